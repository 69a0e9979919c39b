"""Monitoring over a real Kafka: what is aborted, what is late, what is killed."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis import clock, windows
from chassis.child import Child
from chassis.kafka import (
    Log,
    LogTruncated,
    TopicPartition,
    WrongTopics,
    connection,
    create_topics,
    full,
    plain_consumer,
    transactional_producer,
)
from chassis.settings import Settings
from chassis.windows import Shell
from contracts.alerts import AlertCleared, AlertEvent, AlertRaised
from contracts.authorizations import TokenDecided
from contracts.cloudevents import Attributes, from_headers, to_headers
from contracts.event import Event, Message
from contracts.topics import ALERTS, AUTHORIZATIONS, STATIONS, Topic
from services.monitoring import worker
from services.monitoring.watch import Watch
from tests.monitoring.said import connected, decided, essence, faulted, heartbeat

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(
        kafka=kafka,
        topic_prefix=topic_prefix,
        partitions=2,
        session_timeout_ms=6000,
        alert_connections=4,
        alert_connections_within_s=600,
        alert_refused_starts=2,
    )
    await create_topics(settings)
    return settings


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """Monitoring in this process, once it is ready."""
    shell, ready, stopping = Shell(worker.build(settings), settings), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(shell.run(ready.set, stopping))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), PATIENCE_S)


async def append(settings: Settings, topic: Topic[Any], events: Iterable[tuple[Event, datetime]]) -> None:
    log = Log(settings, linger_ms=0)
    await log.start()
    try:
        for number, (event, recorded_at) in enumerate(events):
            await log.append(topic, event, id=f"{recorded_at}/{number}", source="/test", recorded_at=recorded_at)
    finally:
        await log.stop()


async def in_a_transaction(settings: Settings, event: TokenDecided, *, commit: bool) -> None:
    producer = transactional_producer(settings, f"test-{commit}")
    await producer.start()
    now = clock.now()
    attributes = Attributes(str(now), f"voltstream.{type(event).__name__}", "/test", "acme/ST1", now, now)
    with suppress(ZeroDivisionError):
        async with producer.transaction():
            await producer.send_and_wait(
                full(settings, AUTHORIZATIONS.name),
                AUTHORIZATIONS.encode(event),
                key=AUTHORIZATIONS.key_of(event),
                headers=to_headers(attributes),
            )
            if not commit:
                raise ZeroDivisionError
    await producer.stop()


async def records(settings: Settings, topic: Topic[Any]) -> list[Any]:
    """All that lies in a topic now, the partitions one after the other."""
    consumer = plain_consumer(settings)
    await consumer.start()
    found = []
    try:
        for number in range(settings.partitions):
            place = TopicPartition(full(settings, topic.name), number)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, 0)
            while await consumer.position(place) < end:
                found += (await consumer.getmany(place, timeout_ms=200)).get(place, [])
    finally:
        await consumer.stop()
    return found


MARK = "mark-"


async def every_alert(settings: Settings) -> dict[str, AlertEvent]:
    return {from_headers(raw.headers).id: ALERTS.decode(raw.value) for raw in await records(settings, ALERTS)}


async def alerts(settings: Settings) -> dict[str, AlertEvent]:
    """What was raised and cleared, each once, but for the marks."""
    return {id: alert for id, alert in (await every_alert(settings)).items() if not alert.station.startswith(MARK)}


async def until_all_is_heard(settings: Settings) -> None:
    """Wait for alerts of stations in every partition: whatever was written before them has been heard."""
    marks = {f"{MARK}{number}-{clock.now().timestamp()}" for number in range(12)}
    await append(settings, STATIONS, now(connected(station=mark) for mark in marks for _ in range(4)))
    async with asyncio.timeout(PATIENCE_S):
        while not {str(alert.station) for alert in (await every_alert(settings)).values()} >= marks:
            await asyncio.sleep(0.2)


async def until(settings: Settings, enough: Callable[[dict[str, AlertEvent]], bool]) -> dict[str, AlertEvent]:
    async with asyncio.timeout(PATIENCE_S):
        while not enough(found := await alerts(settings)):
            await asyncio.sleep(0.2)
    return found


def at_least(number: int) -> Callable[[dict[str, AlertEvent]], bool]:
    return lambda found: len(found) >= number


def now(events: Iterable[Event]) -> list[tuple[Event, datetime]]:
    return [(event, clock.now()) for event in events]


@pytest.mark.covers("C-023")
async def test_an_identity_that_connects_again_and_again_raises_one_alert(settings: Settings) -> None:
    async with watching(settings):
        await append(settings, STATIONS, now([heartbeat(), *(connected(address=f"198.51.100.{n}") for n in range(20))]))
        await append(settings, AUTHORIZATIONS, now([decided(), decided()]))
        found = await until(settings, at_least(2))
    raised = {alert.rule: alert for alert in found.values() if isinstance(alert, AlertRaised)}
    assert raised.keys() == {"flapping_connection", "refused_starts"}
    assert (raised["flapping_connection"].count, raised["flapping_connection"].detail) == (4, "from 198.51.100.3")


async def test_what_was_aborted_is_not_counted(settings: Settings) -> None:
    async with watching(settings):
        for _ in range(3):
            await in_a_transaction(settings, decided(), commit=False)
        begun = clock.now()
        for _ in range(2):
            await in_a_transaction(settings, decided(), commit=True)
        [alert] = (await until(settings, at_least(1))).values()
    assert isinstance(alert, AlertRaised)
    assert (alert.count, alert.since >= begun) == (2, True)


async def test_a_rule_that_raises_stops_the_process_and_nothing_is_skipped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Watch, message: Message[Any]) -> list[tuple[str, Event]]:
        raise ZeroDivisionError(message.id)

    await append(settings, STATIONS, now(connected() for _ in range(4)))
    monkeypatch.setattr(windows, "COMMIT_EVERY_S", windows.TICK_S)
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "hear", broken)
        async with watching(settings) as task:
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)
    async with watching(settings):
        [alert] = (await until(settings, at_least(1))).values()
    assert alert.rule == "flapping_connection"


async def test_a_window_outlives_the_process(settings: Settings) -> None:
    for _ in range(2):
        await append(settings, STATIONS, now([connected(), connected(), heartbeat()]))
        async with watching(settings) as task:
            await until_all_is_heard(settings)
        assert task.exception() is None
    [alert] = (await until(settings, at_least(1))).values()
    assert isinstance(alert, AlertRaised)
    assert alert.count == 4


def before(seconds: float, events: Iterable[Event]) -> list[tuple[Event, datetime]]:
    return [(event, clock.now() - timedelta(seconds=seconds)) for event in events]


async def test_what_passed_quietly_is_cleared_once_by_time_alone(settings: Settings) -> None:
    first = before(700, (connected() for _ in range(4)))
    await append(settings, STATIONS, first)
    async with watching(settings):
        found = await until(settings, at_least(2))
    [raised, cleared] = found.values()
    assert isinstance(cleared, AlertCleared)
    assert (cleared.alert, cleared.reason) == (raised.alert, "quiet")
    assert cleared.at == first[-1][1] + timedelta(seconds=600)
    async with watching(settings):
        await until_all_is_heard(settings)
    assert await alerts(settings) == found


async def test_an_open_alert_is_known_again_and_not_raised_again(settings: Settings) -> None:
    await append(settings, STATIONS, before(300, (connected() for _ in range(4))))
    async with watching(settings):
        await until_all_is_heard(settings)
    raised = await alerts(settings)
    await append(settings, STATIONS, before(290, (connected() for _ in range(6))))
    async with watching(settings):
        await until_all_is_heard(settings)
    assert await alerts(settings) == raised
    assert [type(alert) for alert in raised.values()] == [AlertRaised]


async def test_alerts_that_were_written_but_not_acknowledged_are_not_raised_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a SIGKILL between the append and the commit."""

    async def nothing(_: Shell) -> None: ...

    await append(settings, STATIONS, before(300, (connected() for _ in range(4))))
    with monkeypatch.context() as patch:
        patch.setattr(Shell, "_keep", nothing)
        async with watching(settings):
            await until_all_is_heard(settings)
    assert len(await alerts(settings)) == 1
    count = len(await records(settings, ALERTS))
    async with watching(settings):
        await append(settings, AUTHORIZATIONS, now([decided(), decided()]))
        await until(settings, at_least(2))
        await until_all_is_heard(settings)
    assert len(await records(settings, ALERTS)) == count + 1 + 12
    assert len(await alerts(settings)) == 2


async def test_topics_of_another_number_of_partitions_are_refused(settings: Settings) -> None:
    async with watching(settings.model_copy(update={"partitions": 3})) as task:
        with pytest.raises(WrongTopics, match="2 partitions where VOLTSTREAM_PARTITIONS says 3"):
            await task


async def test_what_expired_unread_is_not_skipped(settings: Settings) -> None:
    async with watching(settings):
        await until_all_is_heard(settings)
    await append(settings, STATIONS, now(heartbeat(station=f"ST{n}") for n in range(20)))
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    name = full(settings, STATIONS.name)
    await admin.delete_records({TopicPartition(name, number): RecordsToDelete(-1) for number in range(2)})
    await admin.close()
    async with watching(settings) as task:
        with pytest.raises(LogTruncated):
            await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)


async def test_two_members_share_the_partitions_and_one_takes_over(settings: Settings) -> None:
    async with watching(settings):
        async with watching(settings):
            await append(settings, STATIONS, now(connected() for _ in range(2)))
            await until_all_is_heard(settings)
        await append(settings, STATIONS, now(connected() for _ in range(2)))
        [alert] = (await until(settings, at_least(1))).values()
    assert isinstance(alert, AlertRaised)
    assert alert.count == 4
    assert len([raw for raw in await records(settings, ALERTS) if raw.key == b"acme/ST1"]) == 1


async def test_what_nobody_can_read_is_passed_over(settings: Settings) -> None:
    log = Log(settings, linger_ms=0)
    await log.start()
    producer, headers = log._producer, to_headers(_attributes(connected()))
    await producer.send_and_wait(full(settings, STATIONS.name), b"{", key=b"acme/ST1", headers=headers)
    await log.stop()
    await append(settings, STATIONS, now(connected() for _ in range(4)))
    async with watching(settings):
        [alert] = (await until(settings, at_least(1))).values()
    assert alert.place == 4


def _attributes(event: Event) -> Attributes:
    return Attributes("id", f"voltstream.{type(event).__name__}", "/test", "acme/ST1", clock.now(), clock.now())


# ---- SIGKILL -------------------------------------------------------------------------------------------------------


async def by_the_rules(settings: Settings) -> set[tuple[Any, ...]]:
    """What one undisturbed run of the rules over the whole log comes to, once all has been quiet."""
    windows = worker.build(settings)
    heard = {f"voltstream.{cls.__name__}" for cls in windows.hears}
    found: list[AlertEvent] = []
    for topic in windows.inputs:
        watches = [windows.watch(topic) for _ in range(settings.partitions)]
        for raw in await records(settings, topic):
            attributes = from_headers(raw.headers)
            if attributes.type in heard:
                message = Message(topic.decode(raw.value), attributes.id, attributes.recorded_time, raw.offset)
                found += [alert for _, alert in watches[raw.partition].hear(message)]
        for watch in watches:
            found += [alert for _, alert in watch.pass_time(clock.now() + timedelta(days=9), 0)]  # type: ignore[misc]
    return {essence(alert) for alert in found}


def _start(settings: Settings, output: Path) -> Child:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
    said = {f"VOLTSTREAM_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    command = [sys.executable, "-m", "services.monitoring"]
    return Child(command, folder=ROOT, output=output, environment=mine | said | {"VOLTSTREAM_MEMBER": "one"})


async def test_killed_under_load_it_loses_no_alert_and_doubles_none(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(
        update={"alert_connections_within_s": 2, "alert_faults_within_s": 3, "alert_refused_starts_within_s": 2}
    )
    dice, loop = random.Random(7), asyncio.get_running_loop()
    logs = iter(tmp_path / f"{number}.log" for number in range(99))
    child, kills = _start(settings, next(logs)), 0
    log = Log(settings, linger_ms=0)
    await log.start()
    began = killed = loop.time()
    number = 0
    try:
        while loop.time() - began < 30:
            number += 1
            station = f"ST{dice.randrange(30)}"
            happens: list[tuple[Topic[Any], Event]] = [
                (STATIONS, connected(station=station)),
                (STATIONS, faulted(station=station)),
                (AUTHORIZATIONS, decided(station=station)),
            ]
            topic, event = dice.choice(happens)
            await log.append(topic, event, id=str(number), source="/test")
            await asyncio.sleep(0.01 * dice.random() if number % 400 else 4)  # and now and then all is quiet
            if loop.time() - killed > dice.uniform(2, 7) and (child.exit_code is None):
                child.kill()
                child, kills, killed = _start(settings, next(logs)), kills + 1, loop.time()
        expected = await by_the_rules(settings)
        found = await until(settings, lambda found: len(found) >= len(expected))
    finally:
        await log.stop()
        code = await child.stop(patience=30)
    assert {essence(alert) for alert in found.values()} == expected
    assert len(found) == len(expected) > 50
    assert (kills >= 4, code) == (True, 0)
