"""Takes records into the tables, exactly once in effect: rows and positions change in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import clock, kafka, metrics, sql
from chassis.kafka import Batches, Chunk, Record
from chassis.logs import log
from chassis.patience import Interrupted, Patience
from chassis.service import Service
from chassis.settings import Settings
from contracts import tables
from contracts.cloudevents import Unreadable
from contracts.topics import (
    ACCESS,
    ALERTS,
    AUTHORIZATIONS,
    BILLS,
    DIRECTORY,
    OPERATIONS,
    RATINGS,
    REGISTRY,
    SESSIONS,
    SITES,
    TARIFFS,
    TOKENS,
)
from services.views import invoice_rows, ledger_rows, rows, store
from services.views.rows import Changes, Key, Mark, Operation, Row, Step, Unfit
from services.views.store import Partition, Position

TOPICS = (
    DIRECTORY,
    SITES,
    REGISTRY,
    TOKENS,
    ACCESS,
    TARIFFS,
    AUTHORIZATIONS,
    SESSIONS,
    OPERATIONS,
    BILLS,
    RATINGS,
    ALERTS,
    *ledger_rows.TOPICS,
    *invoice_rows.TOPICS,
)
"""Only what is kept for ever or compacted, so that the tables can be rebuilt at any time."""

MIGRATIONS = Path(__file__).parent / "migrations"
WATCH_S = 1.0

_CHANGES_NOTHING = b"voltstream.TokenDecided"
"""The most frequent event of `authorizations`: it need not even be decoded."""
_ROWS_KEPT = 10_000
"""How many rows of sessions and commands stay in memory: most that have just changed soon change again."""

T = TypeVar("T")

DATABASE = Patience("views", "SQL", (SQLAlchemyError, OSError), sql.delays, sql.away, sql.said)


class Rewound(Exception):
    """The tables have been emptied: what is to come next is not what we have."""


async def serve(settings: Settings, service: Service) -> None:
    """Keep the tables current until asked to stop."""
    engine = sql.build(settings)
    try:
        await sql.until_there(engine, report=log.warning)
        await sql.migrate(engine, MIGRATIONS, tables.REVISION)
        while not service.stopping.is_set():
            try:
                await Views(engine, service.stopping).run(settings, service.ready)
            except Rewound as rewound:
                log.warning("reading anew", why=str(rewound))
    finally:
        await engine.dispose()


async def migrate(settings: Settings) -> None:
    """Bring the database to today's shape."""
    engine = sql.build(settings)
    try:
        await sql.until_there(engine, report=log.warning)
        await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    finally:
        await engine.dispose()


async def rebuild(settings: Settings) -> None:
    """Empty the tables. The service, running or started next, reads the whole log into them anew."""
    await migrate(settings)
    engine = sql.build(settings)
    try:
        await sql.change(engine, store.empty)
    finally:
        await engine.dispose()


class Views:
    """The tables, and how far each partition has been taken into them."""

    def __init__(self, engine: AsyncEngine, stopping: asyncio.Event | None = None) -> None:
        self._engine = engine
        self._stopping = stopping or asyncio.Event()
        self._reached: dict[Partition, int] = {}
        """How far each partition was when we last had to do with it; from there it only goes on."""
        self._kept: dict[tuple[Table, Key], Row] = {}
        """Rows as of `_reached`, the longest unchanged first."""
        self._busy = asyncio.Lock()

    # ---- the process ----

    async def run(self, settings: Settings, ready: Callable[[], None]) -> None:
        """Read until asked to stop; raises `Rewound` when the tables have been emptied meanwhile."""
        tasks = [asyncio.create_task(work) for work in (self._read(settings, ready), self._watch(), self._stop())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            async with self._busy:  # the batch in hand is finished first
                for task in tasks:
                    task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, Interrupted):
                raise outcome

    async def _read(self, settings: Settings, ready: Callable[[], None]) -> None:
        async with Batches(settings, "views", TOPICS, positions=self.positions) as batches:
            ready()
            async for chunks in batches:
                await self.apply(chunks)

    async def _stop(self) -> None:
        await self._stopping.wait()

    async def _watch(self) -> None:
        """Notice emptied tables also where no record comes."""
        while True:
            await asyncio.sleep(WATCH_S)
            async with self._busy:
                await self._patiently(self._check)

    async def _check(self) -> None:
        standing = await sql.ask(self._engine, lambda connection: store.look(connection, self._reached))
        for partition in self._reached:
            self._not_rewound(partition, standing)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        return await DATABASE.attempt(work, self._stopping)

    # ---- positions ----

    async def positions(self, assigned: set[Partition]) -> dict[Partition, int]:
        """Return where to go on; a partition that is not named has never been read."""
        async with self._busy:
            return await self._patiently(lambda: self._take_over(assigned))

    async def _take_over(self, assigned: set[Partition]) -> dict[Partition, int]:
        def declared(connection: Connection) -> dict[Partition, Position]:
            store.declare(connection, assigned)
            return store.look(connection, assigned)

        standing = await sql.change(self._engine, declared)
        for partition in assigned:  # records may still be on their way that follow on what is no longer there
            self._not_rewound(partition, standing)
        self._reached |= {partition: position.next for partition, position in standing.items()}
        self._kept.clear()
        return {partition: position.next for partition, position in standing.items() if position.next}

    def _not_rewound(self, partition: Partition, standing: dict[Partition, Position]) -> None:
        reached = self._reached.get(partition, 0)
        if partition not in standing or standing[partition].next < reached:
            raise Rewound(
                f"the tables have been emptied: {partition[0]}, partition {partition[1]}, is not at {reached}"
            )

    # ---- records ----

    async def apply(self, chunks: Sequence[Chunk]) -> None:
        """Take in `chunks`, however often they come. What the tables hold already changes nothing."""
        async with self._busy:
            taken = await self._patiently(lambda: self._transact(chunks))
        self._account(taken)

    async def _transact(self, chunks: Sequence[Chunk]) -> "Taken":
        taken, standing = await sql.change(self._engine, lambda connection: self._take(connection, chunks))
        self._reached |= {name: position.next for name, position in (standing | taken.reached).items()}
        self._keep(taken.stepped)
        return taken

    def _take(self, connection: Connection, chunks: Sequence[Chunk]) -> tuple["Taken", dict[Partition, Position]]:
        """Write what `chunks` say, and return it with where each partition stood before."""
        names = [(chunk.topic.name, chunk.partition) for chunk in chunks]
        standing = store.look(connection, names, lock=True)
        for name in names:
            self._not_rewound(name, standing)
            if standing[name].next != self._reached.get(name):  # others have gone on from there
                self._kept.clear()
        taken = _heard(chunks, standing)
        if taken.reached:
            self._write(connection, taken)
        return taken, standing

    def _write(self, connection: Connection, taken: "Taken") -> None:
        self._step(connection, taken)
        store.write(connection, taken.changes)
        if tenants := {key[0] for key in taken.changes.puts.get(tables.unknown_tokens, {})}:
            store.forget_unknown_tokens(connection, tenants, tables.UNKNOWN_TOKENS_KEPT)
        if newest := {
            number: position.newest
            for (topic, number), position in taken.reached.items()
            if topic == DIRECTORY.name and position.newest
        }:
            store.forget_changes(connection, newest, timedelta(days=tables.CHANGES_KEPT_DAYS))
        store.move(connection, taken.reached)

    def _step(self, connection: Connection, taken: "Taken") -> None:
        """Let each session and command follow from what it was."""
        names = dict.fromkeys((step.table, step.key) for step, _ in taken.steps)
        before = {name: self._kept[name] for name in names if name in self._kept}
        missing: dict[Table, list[Key]] = {}
        for table, key in names:
            if (table, key) not in before:
                missing.setdefault(table, []).append(key)
        for table, keys in missing.items():
            before |= {(table, key): row for key, row in store.load(connection, table, keys).items()}
        for step, record in taken.steps:
            name = (step.table, step.key)
            try:
                taken.stepped[name] = rows.stepped(taken.stepped.get(name) or before.get(name), step)
            except Unfit as error:
                taken.skipped.append((record, error))
        for (table, key), row in taken.stepped.items():
            if table is tables.sessions:
                taken.stepped[table, key] = rows.finished(row)
        for (table, key), row in taken.stepped.items():
            taken.changes.add(rows.difference(table, before.get((table, key)), row))

    def _keep(self, stepped: dict[tuple[Table, Key], Row]) -> None:
        for name, row in stepped.items():
            self._kept.pop(name, None)
            self._kept[name] = row
        for name in list(islice(self._kept, max(0, len(self._kept) - _ROWS_KEPT))):
            del self._kept[name]

    def _account(self, taken: "Taken") -> None:
        for record, error in taken.skipped:
            metrics.UNREADABLE.labels(record.topic.name).inc()
            log.error(
                "left out of the tables; it stays in the log",
                topic=record.topic.name,
                partition=record.partition,
                offset=record.offset,
                why=str(error),
            )
        for (topic, _), newest in taken.learnt.items():
            metrics.EVENT_AGE.labels(topic).observe(max(0.0, (clock.now() - newest).total_seconds()))


# ---- what a batch says ---------------------------------------------------------------------------------------------


@dataclass
class Taken:
    """What a batch says that the tables do not hold yet."""

    changes: Changes = field(default_factory=Changes)
    steps: list[tuple[Step, Record]] = field(default_factory=list)
    stepped: dict[tuple[Table, Key], Row] = field(default_factory=dict)
    skipped: list[tuple[Record, Exception]] = field(default_factory=list)
    reached: dict[Partition, Position] = field(default_factory=dict)
    learnt: dict[Partition, datetime] = field(default_factory=dict)
    """When we learnt of the last record."""


def _heard(chunks: Iterable[Chunk], standing: dict[Partition, Position]) -> Taken:
    taken = Taken()
    for chunk in chunks:
        name = (chunk.topic.name, chunk.partition)
        position = taken.reached.get(name, standing[name])
        if chunk.after <= position.next:
            continue
        newest = position.newest
        for record in chunk.records:
            if record.offset >= position.next:
                newest = _hear(taken, record, newest)
        taken.reached[name] = Position(chunk.after, None if chunk.topic.compacted else newest)
    return taken


def _hear(taken: Taken, record: Record, newest: datetime | None) -> datetime | None:
    """Add what `record` says, and return the newest time so far."""
    try:
        headers = dict(record.headers)
        recorded = _recorded(record, headers)
        mark = Mark(recorded if newest is None else max(recorded, newest), record.partition, record.offset)
        said = list(_operations(record, headers.get("ce_type"), mark))
    except (Unreadable, Unfit) as error:
        taken.skipped.append((record, error))
        return newest
    for operation in said:
        if isinstance(operation, Step):
            taken.steps.append((operation, record))
        else:
            taken.changes.add(operation)
    taken.learnt[record.topic.name, record.partition] = recorded
    return mark.updated_at


def _recorded(record: Record, headers: dict[str, bytes]) -> datetime:
    if record.value is None:  # no row keeps when something was forgotten
        return kafka.utc(record.timestamp_ms)
    try:
        return tables.utc(datetime.fromisoformat(headers["ce_recordedtime"].decode()))
    except KeyError as missing:
        raise Unreadable(f"the header {missing} is missing") from missing
    except (ValueError, AttributeError) as wrong:  # the latter: Kafka allows a null as a header's value
        raise Unreadable(f"a header is malformed: {wrong}") from wrong


def _operations(record: Record, kind: bytes | None, mark: Mark) -> Iterable[Operation]:
    if record.value is None:
        return rows.forgotten(record.topic, *_forgotten(record))
    if kind == _CHANGES_NOTHING:
        return ()
    key, value = record.key, record.value
    if rb"\u0000" in value or b"\0" in key:  # PostgreSQL's text holds no NUL
        key, value = key.replace(b"\0", "\ufffd".encode()), value.replace(rb"\u0000", rb"\ufffd")
    said = record.topic.under(key, value)
    if record.topic in invoice_rows.TOPICS:
        return invoice_rows.operations(said)
    return ledger_rows.operations(said) if record.topic in ledger_rows.TOPICS else rows.operations(said, mark)


def _forgotten(record: Record) -> tuple[str, str]:
    """Return the tenant and the id that the key of a null names."""
    if record.topic not in (REGISTRY, TARIFFS) and record.topic.name not in rows.THINGS:
        raise Unreadable(f"{record.topic.name}: a null where an event should be")
    tenant, slash, id = record.key.decode(errors="replace").partition("/")
    if not slash:
        raise Unreadable(f"{record.key!r} is no key of {record.topic.name}")
    return tenant, id
