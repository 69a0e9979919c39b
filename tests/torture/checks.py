"""Compares the stations' books with what the system holds: the log, SQL and ClickHouse."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Select, select

from benchmarks.load.ledger import Ledger, Transaction
from chassis import sql
from chassis.settings import Settings
from contracts import tables
from contracts.topics import DECIDERS
from deploy.local.system import System
from tests.system.network import Network, Raw

OUTPUTS = ("authorizations", "sessions", "readings", "charging", "operations", "directory", "bills")
"""What deciders write in transactions: each event once."""
Row = Mapping[str, Any]


@dataclass
class Verdict:
    """What was found, and of which station."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not (self.lost or self.doubled or self.wrong)

    def add(self, other: "Verdict") -> None:
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong

    def lines(self) -> Iterator[str]:
        """Yield what is not well, one sentence each."""
        for what, found in (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong)):
            yield from (f"{what}: {sentence}" for sentence in found)


def name_of(transaction: Transaction) -> str:
    return f"{transaction.station}, transaction {transaction.id} begun at {transaction.began}"


# ---- the books alone ----


def given_up(ledger: Ledger) -> Verdict:
    """Every offered transaction was acknowledged: no message was thrown away, and none waits."""
    verdict = Verdict()
    for transaction in ledger.transactions:
        verdict.lost += [f"{name_of(transaction)}: {action} was given up" for action in transaction.lost]
        if not transaction.acknowledged and not transaction.lost:
            verdict.lost.append(f"{name_of(transaction)}: not acknowledged in time")
    names = Counter((transaction.station, transaction.id) for transaction in ledger.transactions if transaction.id)
    verdict.wrong += [
        f"{station}: {n} starts were told transaction {id}" for (station, id), n in names.items() if n > 1
    ]
    return verdict


# ---- rows, of SQL or ClickHouse ----


def expected(transaction: Transaction) -> Row:
    """Return what a row says of a transaction."""
    assert transaction.ended is not None, "it was acknowledged"
    return {
        "state": "ended",
        "final": True,
        "started_at": datetime.fromisoformat(transaction.began),
        "ended_at": datetime.fromisoformat(transaction.ended),
        "meter_start_wh": transaction.meter_start,
        "meter_stop_wh": transaction.meter_stop,
        "energy_wh": transaction.energy_wh,
        "authorization": transaction.status,
    }


def rows_of(ledger: Ledger, found: Sequence[Row], where: str) -> Verdict:
    """Each acknowledged transaction is one row, equal in everything, and there are no other rows."""
    verdict = Verdict()
    by_name: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        by_name.setdefault((row["station"], str(row["transaction"])), []).append(row)
    for transaction in ledger.transactions:
        if not transaction.acknowledged:
            continue
        rows = by_name.pop((transaction.station, str(transaction.id)), [])
        if not rows:
            verdict.lost.append(f"{name_of(transaction)}: no session in {where}")
            continue
        verdict.doubled += [f"{name_of(transaction)}: {len(rows)} sessions in {where}"] * (len(rows) > 1)
        wanted = expected(transaction)
        seen = {name: rows[0][name] for name in wanted}
        if seen != wanted:
            differing = {name: (seen[name], wanted[name]) for name in wanted if seen[name] != wanted[name]}
            verdict.wrong.append(f"{name_of(transaction)}: (in {where}, in the books) {differing}")
    begun = {(t.station, str(t.id)) for t in ledger.transactions}
    verdict.doubled += [
        f"{name[0]}: a session {name[1]} in {where} that nobody began" for name in by_name if name not in begun
    ]
    return verdict


async def rows_in_sql(system: System, *questions: Select[Any]) -> list[list[Row]]:
    """Return the rows of each question to the read model, all of one moment."""
    engine = sql.build(Settings(sql=SecretStr(system.environment()["VOLTSTREAM_SQL"])))
    try:
        async with sql.reading(engine) as connection:
            return [[dict(row) for row in (await connection.execute(each)).mappings()] for each in questions]
    finally:
        await engine.dispose()


async def in_sql(network: Network) -> list[Row]:
    """Return every session of the read model."""
    [found] = await rows_in_sql(network.system, select(tables.sessions))
    return [
        {**row, "transaction": row["transaction_id"], "authorization": row["authorization_status"]} for row in found
    ]


async def in_clickhouse(network: Network) -> list[Row]:
    """Return every session of the archive."""
    columns = "station, transaction, state, final, started_at, ended_at, meter_start_wh, meter_stop_wh, energy_wh, authorization"
    db = network.clickhouse()
    try:
        found = await db.query(f"SELECT {columns} FROM sessions")
    finally:
        await db.close()
    moments = ("started_at", "ended_at")
    return [
        {**row, "final": bool(row["final"])} | {name: _utc(row[name]) for name in moments if row[name] is not None}
        for row in found
    ]


def _utc(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def readings(network: Network, ledger: Ledger) -> Verdict:
    """Each acknowledged register is in ClickHouse once."""
    db = network.clickhouse()
    try:
        found = await db.query(
            "SELECT station, toString(value) AS value FROM readings FINAL "
            "WHERE measurand = 'Energy.Active.Import.Register'"
        )
    finally:
        await db.close()
    shown: dict[str, list[int]] = {}
    for row in found:
        shown.setdefault(row["station"], []).append(int(Decimal(row["value"])))
    return registers_of(ledger, shown)


def registers_of(ledger: Ledger, shown: Mapping[str, list[int]]) -> Verdict:
    """Each acknowledged register of a station is shown once, and no other."""
    verdict, noted = Verdict(), dict[str, list[int]]()
    for transaction in ledger.transactions:
        noted.setdefault(transaction.station, []).extend(transaction.registers)
    for station, registers in noted.items():
        missing = Counter(registers) - Counter(shown.get(station, []))
        surplus = Counter(shown.get(station, [])) - Counter(registers)
        verdict.lost += [f"{station}: the reading {register} is not in ClickHouse" for register in missing]
        verdict.doubled += [
            f"{station}: the reading {register} is in ClickHouse {n} times more" for register, n in surplus.items()
        ]
    return verdict


# ---- the log ----


def frames(ledger: Ledger, said: Iterable[Raw]) -> Verdict:
    """Every acknowledged frame is in the log, to the last byte."""
    kept: dict[str, set[str]] = {}
    for record in said:
        if record.value is not None and record.key is not None and "frame" in (event := json.loads(record.value)):
            kept.setdefault(record.key.decode().partition("/")[2], set()).add(event["frame"].get("text", ""))
    missing = [e for e in ledger.exchanges if e.sent not in kept.get(e.station, set())]
    return Verdict(lost=[f"{e.station}: {e.sent} was answered {e.answer} and is not in the log" for e in missing])


def outputs(said: Iterable[Raw]) -> Verdict:
    """No decider has written an event twice."""
    ids = Counter((record.topic, record.headers["ce_id"].decode(), record.key) for record in said if record.value)
    return Verdict(
        doubled=[
            f"{(key or b'').decode()}: event {id} is in {topic} {n} times"
            for (topic, id, key), n in ids.items()
            if n > 1
        ]
    )


def put_aside(said: Iterable[Raw]) -> Verdict:
    """Nothing was parked or unreadable."""
    return Verdict(wrong=[f"{(record.key or b'').decode()}: a record was put into {record.topic}" for record in said])


async def log(network: Network, ledger: Ledger) -> Verdict:
    """Return what is not well in the log."""
    verdict = frames(ledger, await network.records("stations"))
    verdict.add(outputs(await network.records(*OUTPUTS)))
    verdict.add(put_aside(await network.records("stations.unread", *(f"{name}.parked" for name in DECIDERS))))
    return verdict
