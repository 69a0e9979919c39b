"""SIGKILL of each process, of Kafka and of ClickHouse, in the middle of thirty stations' sessions."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from contracts.stations import Said
from contracts.topics import CATALOGUE, COMMANDS, PAPERS, POSTINGS, REQUESTS, REVIEWS, STATIONS
from tests.station import Transaction
from tests.system.network import Charge, Driver, Network, Raw, is_shown_exactly, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

DRIVERS = 30
PATIENCE_S = 240
"""Where other tests start whole systems at the same time, Kafka takes a minute to be back, and the last slice of stations comes after it."""
SAID_AGAIN = {topic.name for topic in (COMMANDS, PAPERS, POSTINGS, REQUESTS, REVIEWS)}
"""Where followers write, at least once."""
OWN = {f"voltstream.{each.__name__}" for each in STATIONS.classes if not issubclass(each, Said)}
"""What a gateway says itself, at least once: what a station said is in the log exactly once."""
VICTIMS = (
    "directory",
    pytest.param("authorization", marks=pytest.mark.covers("C-083")),
    pytest.param("sessions", marks=pytest.mark.covers("C-082")),
    "operations",
    "billing",
    "accounts",
    "payments",
    "invoicing",
    "rerating",
    "monitoring",
    "views",
    "analytics",
    "gateway",
    "api",
    "clickhouse",
    "kafka",
)


@pytest.mark.parametrize("victim", VICTIMS)
async def test_nothing_is_lost_doubled_or_contradicted_when_a_process_is_killed(
    network: Network, fleet: list[Driver], victim: str
) -> None:
    drivers = fleet[:DRIVERS]
    charges = [driver.plug_in() for driver in drivers[: DRIVERS // 2]]
    await delivered(drivers)
    # Half of them are charging, the other half begins, and then:
    charges += [driver.plug_in() for driver in drivers[DRIVERS // 2 :]]
    await asyncio.wait_for(drivers[-1].station.current.heard_more(), 10)
    network.system.kill(victim)
    for driver, charge in zip(drivers, charges, strict=True):
        driver.read(charge, 6)
        driver.unplug(charge)
    await delivered(drivers)
    await network.until_ready(victim)
    assert [driver.station.lost for driver in drivers] == [[]] * DRIVERS
    for driver in drivers:
        await is_shown_exactly(network, driver)
    await say_their_starts_again(drivers, charges)
    await every_answered_frame_is_in_the_log(network, drivers)


async def delivered(drivers: list[Driver]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(driver.station.delivered() for driver in drivers))


async def say_their_starts_again(drivers: list[Driver], charges: list[Charge]) -> None:
    """What a station has been told, it is told again: no answer contradicts an earlier one.

    Over a new connection where need be: after Kafka was away, the last slice of sockets closes when all is well again.
    """
    again = [Transaction() for _ in charges]
    for driver, charge, transaction in zip(drivers, charges, again, strict=True):
        driver.station.keep("StartTransaction", charge.start(), began=transaction)
    await delivered(drivers)
    assert again == [charge.transaction for charge in charges]


async def every_answered_frame_is_in_the_log(network: Network, drivers: list[Driver]) -> None:
    kept = {
        event["frame"]["text"]
        for record in await network.records("stations")
        if record.value is not None and "frame" in (event := json.loads(record.value))
    }
    answered = {exchange.sent for driver in drivers for exchange in driver.station.answered}
    assert len(answered) > 4 * DRIVERS
    assert answered <= kept, f"{len(answered - kept)} answered frames are not in the log"


def name_of(record: Raw) -> tuple[str, str]:
    """Return by what a record is told from all others, but for its repetitions."""
    return record.topic, record.headers["ce_id"].decode()


async def test_clickhouse_has_every_event_as_often_as_the_log(network: Network, fleet: list[Driver]) -> None:
    """After whatever has been killed before: a follower says what it had in hand once more, under the same id (decision 10)."""
    said = await network.records(*(topic.name for topic in CATALOGUE))
    wanted = set(map(name_of, said))
    db = network.clickhouse()
    try:

        async def stored() -> list[dict[str, Any]] | None:
            rows = await db.query("SELECT topic, id, count() AS times FROM events FINAL GROUP BY topic, id")
            return rows if wanted <= {(row["topic"], row["id"]) for row in rows} else None

        rows = await until(stored, "every event in ClickHouse")
        lasting = {topic.name for topic in CATALOGUE if not topic.compacted}
        # What has been written meanwhile is no surplus; what Kafka never had is.
        written = await network.records(*lasting)
        now = Counter(map(name_of, written))
        assert {(row["topic"], row["id"]) for row in rows if row["topic"] in lasting} <= set(now)
        surplus = [row for row in rows if row["topic"] in lasting and row["times"] > now[row["topic"], row["id"]]]
        assert surplus == []
        again = {(r.topic, r.headers["ce_type"].decode()) for r in written if now[name_of(r)] > 1}
        assert {one for one in again if one[0] not in SAID_AGAIN and one[1] not in OWN} == set()
    finally:
        await db.close()
