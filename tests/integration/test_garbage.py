"""Garbage in each topic: nobody dies of it, it is kept or counted, and what comes before and after it is done as ever."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from chassis import metrics
from chassis.clickhouse import connect
from chassis.kafka import AIOKafkaProducer, TopicPartition, connection, create_topics, full, plain_consumer
from chassis.settings import Settings
from contracts.topics import CATALOGUE, FOLLOWED, RATED, READINGS, Topic
from tests.integration.everything import DECIDING, Everything, everything, settings_of
from tests.integration.garbage import GARBAGE, Rubbish, in_state
from tests.system.network import ago, authorize, start, status, stop

pytestmark = [pytest.mark.alone, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    sql = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('garbage')}/views.sqlite"
    settings = settings_of(kafka, "garbage.", sql, f"{clickhouse}/garbage")
    await create_topics(settings)
    async with everything(settings) as running:
        yield running


async def life(it: Everything, identity: str | None = None) -> None:
    """What a station does goes through every service, and shows everywhere."""
    station, token = await it.station(identity), await it.token()
    assert await authorize(station, token.uid) == "Accepted"
    transaction = await start(station, token.uid, ago(minutes=5), meter=1000)
    for _ in range(2):
        await status(station, 1, "Faulted", "GroundFailure")
        await status(station, 1, "Available")
    await stop(station, transaction, ago(minutes=1), 3000)
    (*_, session) = await it.rest.until_sessions(station.identity, *["ended"] * (2 if identity else 1))
    assert session["energy_wh"] == 2000

    async def alert() -> Any:
        return (await it.rest.get("/v1/alerts", station=station.identity))["items"] or None

    await it.until(alert, f"monitoring's alert of {station.identity}")
    async with asyncio.timeout(30):
        async for heard in it.ear.events:
            if heard.type == "SessionEnded" and heard.data["station"] == station.identity:
                break
    await station.close()


async def thrown(settings: Settings, what: dict[Topic[Any], Rubbish]) -> dict[str, int]:
    """Write a record into each topic, and return its offset."""
    producer = AIOKafkaProducer(**connection(settings), compression_type="zstd", max_request_size=20 << 20)
    await producer.start()
    try:
        return {
            topic.name: (
                await producer.send_and_wait(
                    full(settings, topic.name), it.value, key=it.key, partition=0, headers=it.headers
                )
            ).offset
            for topic, it in what.items()
        }
    finally:
        await producer.stop()


def kept_by(settings: Settings, topic: Topic[Any], kind: str) -> int:
    """Return how many deciders must keep a record that says it is of this kind."""
    known = {cls.__name__ for cls in topic.classes}
    streams = [build(settings) for build in DECIDING.values()]
    return sum(
        topic in stream.inputs
        and (not stream.hears or kind not in known or kind in {cls.__name__ for cls in stream.hears})
        for stream in streams
    )


async def unread(settings: Settings, topics: dict[str, int]) -> Counter[str]:
    """Return how often each of these records lies in its topic's `.unread`."""
    places = [TopicPartition(full(settings, f"{name}.unread"), 0) for name in topics]
    consumer, found = plain_consumer(settings), Counter[str]()
    await consumer.start()
    try:
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                    said = dict(record.headers)
                    name = said["dlq_topic"].decode()
                    found[name] += int(said["dlq_offset"]) == topics[name]
    finally:
        await consumer.stop()
    return +found


async def stored(settings: Settings, offsets: dict[str, int]) -> set[str] | None:
    """Return the topics whose record of this offset is in ClickHouse, once all of them are."""
    db = connect(settings.clickhouse.get_secret_value(), threads=1)
    try:
        found = await db.query("SELECT topic, offset FROM events")
    finally:
        await db.close()
    there = {(row["topic"], row["offset"]) for row in found}
    return set(offsets) if there >= set(offsets.items()) else None


async def test_a_life_without_garbage(it: Everything) -> None:
    await life(it)


def expected(settings: Settings, kind: str, rubbish: dict[Topic[Any], Rubbish]) -> Counter[str]:
    """Return how often each topic's `.unread` must hold what was thrown into it."""
    said = {topic: it.type.removeprefix("voltstream.") for topic, it in rubbish.items()}
    return +Counter({topic.name: kept_by(settings, topic, said[topic]) for topic in rubbish})


GOOD_HEADERS = {kind for kind in GARBAGE if "header" not in kind and kind != "no time"}
GOOD_HEADERS.add("another type than its headers say")


def counted(kind: str) -> dict[str, float]:
    """Return how many unreadable records have been counted, by the topics where somebody must count this kind."""
    exempt = {topic.name for topic in CATALOGUE if topic.compacted} if kind == "no value" else set()
    if (
        kind in GOOD_HEADERS
    ):  # no service reads the values of these, or only when it begins: ClickHouse keeps them as they are
        exempt |= {READINGS.name, RATED.name, FOLLOWED.name}
    return {t.name: metrics.UNREADABLE.labels(t.name)._value.get() for t in CATALOGUE if t.name not in exempt}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_in_each_topic_is_kept_and_everything_goes_on(it: Everything, kind: str) -> None:
    key = f"default/{it.stations[0].identity}".encode()
    rubbish = {topic: GARBAGE[kind](topic, key) for topic in CATALOGUE}
    before = counted(kind)
    offsets = await thrown(it.settings, rubbish)
    await life(it)
    await it.until(lambda: stored(it.settings, offsets), f"{kind} in ClickHouse")
    wanted = expected(it.settings, kind, rubbish)

    async def kept() -> bool | None:
        return await unread(it.settings, offsets) == wanted or None

    await it.until(kept, f"{kind} in .unread: {wanted}")

    async def everything_counted() -> bool | None:
        return all(count > before[name] for name, count in counted(kind).items()) or None

    await it.until(everything_counted, f"{kind} counted in each topic")
    it.check()


async def test_whoever_starts_behind_all_that_and_with_garbage_in_the_states_becomes_ready(
    it: Everything, tmp_path: Path
) -> None:
    """Copies, states and windows are read back, and SQL is filled anew."""
    await life(it)
    identity = it.stations[-1].identity
    await it.stop()
    producer = AIOKafkaProducer(**connection(it.settings))
    await producer.start()
    for name in DECIDING:
        for key, value in in_state(f"default/{identity}".encode()):
            await producer.send_and_wait(full(it.settings, f"{name}.state"), value, key=key, partition=0)
        for headers in ([("ce_type", b"voltstream.Replay")], [("dlq_topic", None), ("dlq_offset", b"x")]):
            await producer.send_and_wait(full(it.settings, f"{name}.parked"), None, key=b"x", headers=headers)
    await producer.stop()
    fresh = it.settings.model_copy(update={"sql": SecretStr(f"sqlite+aiosqlite:///{tmp_path}/anew.sqlite")})
    async with everything(fresh) as again:
        await life(again)
        await life(again, identity)
        again.check()
