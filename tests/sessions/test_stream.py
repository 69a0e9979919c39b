"""A session over a real Kafka: from a start and a decision to the answer, and from the stop to the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from chassis import kafka as kafka_
from chassis.kafka import Log, TopicPartition, full
from chassis.loop import Loop
from chassis.settings import Settings
from contracts.commands import End
from contracts.event import Event, SiteId
from contracts.gateways import StartAnswered
from contracts.reference import Site, Station
from contracts.sessions import (
    Account,
    ChargingBegan,
    EnergyDelivered,
    ReadingsTaken,
    SessionEnded,
    SessionPresumedEnded,
    SessionStarted,
)
from contracts.topics import (
    AUTHORIZATIONS,
    CHARGING,
    COMMANDS,
    GATEWAYS,
    READINGS,
    REGISTRY,
    SESSIONS,
    SITES,
    STATIONS,
    Topic,
)
from services.sessions import worker
from tests.sessions.says import ACME, NOON, STATION, at, decision, meters, reading, session_of, start, stop
from tests.sessions.test_repairs import asked

pytestmark = pytest.mark.timeout(90)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka_.create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    yield log
    await log.stop()


@pytest_asyncio.fixture
async def sessions(settings: Settings, log: Log) -> AsyncIterator[Loop]:
    """The service at work; the directory knows the station and its site."""
    site = Site(at=NOON, tenant=ACME, version=1, id=SiteId("oslo"), name="Oslo", time_zone="Europe/Oslo")
    await say(log, SITES, site, "site")
    await say(log, REGISTRY, Station(at=NOON, tenant=ACME, version=1, id=STATION, site=site.id), "station")
    loop, ready, stopping = Loop(worker.build(settings), settings), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(loop.run(ready.set, stopping))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    yield loop
    stopping.set()
    await task


async def say(log: Log, topic: Topic[Any], event: Event, id: str) -> None:
    await log.append(topic, event, id=id, source="/test", timeout=30)


async def heard(settings: Settings, topic: Topic[Any], last: type[Event]) -> list[Event]:
    """Return the events of a topic, as soon as there is one of a kind among them."""
    consumer = kafka_.plain_consumer(settings)
    await consumer.start()
    found: list[Event] = []
    try:
        places = [TopicPartition(full(settings, topic.name), partition) for partition in range(settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        async with asyncio.timeout(30):
            while not any(isinstance(event, last) for event in found):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [topic.decode(record.value) for record in records if record.value is not None]
    finally:
        await consumer.stop()
    return found


async def test_a_session_from_start_to_stop(settings: Settings, log: Log, sessions: Loop) -> None:
    await say(log, AUTHORIZATIONS, decision().event, "d")
    await say(log, STATIONS, start().event, "start")
    (answer,) = await heard(settings, GATEWAYS, StartAnswered)
    assert isinstance(answer, StartAnswered)
    assert (answer.transaction, answer.info.status) == ("1", "Accepted")
    await heard(settings, CHARGING, ChargingBegan)
    await say(log, STATIONS, meters(reading(1500)).event, "meters")
    await say(log, STATIONS, stop().event, "stop")
    await heard(settings, READINGS, ReadingsTaken)
    events = [event for event in await heard(settings, SESSIONS, SessionEnded) if not hasattr(event, "purpose")]
    started, _, delivered, ended = events
    assert isinstance(started, SessionStarted)
    assert (started.site, started.time_zone, started.offline) == ("oslo", "Europe/Oslo", True)
    assert isinstance(delivered, EnergyDelivered)
    assert isinstance(ended, SessionEnded)
    assert (delivered.energy_wh, ended.energy_wh) == (500, 7000)


async def test_a_repair_that_somebody_asks_for_is_done(settings: Settings, log: Log, sessions: Loop) -> None:
    await say(log, STATIONS, start().event, "start")
    await heard(settings, SESSIONS, SessionStarted)
    await say(log, COMMANDS, asked(session_of("start"), End(at(30), 3000)).event, "repair")
    events = await heard(settings, SESSIONS, SessionEnded)
    assert [type(event).__name__ for event in events[-2:]] == ["SessionRepaired", "SessionEnded"]
    assert isinstance(events[-1], SessionEnded)
    assert (events[-1].energy_wh, events[-1].account) == (
        2000,
        Account(delivered_wh=2000, attributed_wh=2000, site=SiteId("oslo"), time_zone="Europe/Oslo", register_wh=3000),
    )


async def test_a_session_of_which_nothing_was_heard_for_days_is_over_when_its_time_has_come(
    settings: Settings, log: Log, sessions: Loop
) -> None:
    """Its deadline is a week after it was heard of: here that was long ago, by the record's own time."""
    await log.append(STATIONS, start().event, id="start", source="/test", timeout=30, recorded_at=NOON)
    (presumed,) = (
        e for e in await heard(settings, SESSIONS, SessionPresumedEnded) if isinstance(e, SessionPresumedEnded)
    )
    assert (presumed.reason, presumed.at) == ("Silent", NOON)
