"""`python -m chassis.dead_letters`. What becomes of a replay is in `test_loop`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest_asyncio

from chassis.dead_letters import parked_keys
from chassis.kafka import AIOKafkaProducer, TopicPartition, connection, create_topics, full, plain_consumer
from chassis.loop import PARKED, Parked
from chassis.settings import Settings
from tests.chassis.test_service import outcome

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    return settings


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(**connection(settings), enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def park(settings: Settings, *keys: bytes, freed: tuple[bytes, ...] = ()) -> None:
    name = full(settings, "sessions.state")
    async with writing(settings) as producer:
        await producer.send_and_wait(name, b"{}", key=b"acme/A", partition=0)
        for number, key in enumerate(keys):
            parked = msgspec.json.encode(Parked(NOON, "ZeroDivisionError: x", 0))
            await producer.send_and_wait(name, parked, key=PARKED + key, partition=number % 2)
        for key in freed:
            await producer.send_and_wait(name, None, key=PARKED + key, partition=keys.index(key) % 2)


async def asked(settings: Settings) -> list[tuple[int, bytes]]:
    """Return for which keys a replay was asked for, and in which partition."""
    places = [TopicPartition(full(settings, "sessions.parked"), partition) for partition in range(2)]
    consumer = plain_consumer(settings)
    await consumer.start()
    try:
        consumer.assign(places)
        found = []
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                raws = (await consumer.getmany(place, timeout_ms=100)).get(place, [])
                found += [(raw.partition, raw.key) for raw in raws if dict(raw.headers)["ce_type"].endswith(b"Replay")]
        return found
    finally:
        await consumer.stop()


async def command(settings: Settings, *arguments: str) -> tuple[int | None, str, str]:
    return await outcome(
        "chassis.dead_letters", *arguments, kafka=settings.kafka, topic_prefix=settings.topic_prefix, partitions="2"
    )


async def test_parked_keys_are_those_that_have_not_been_freed(settings: Settings) -> None:
    await park(settings, b"acme/A", b"acme/B", b"acme/C", freed=(b"acme/B",))
    found = await parked_keys(settings, "sessions")
    assert {key: partition for key, (partition, _) in found.items()} == {b"acme/A": 0, b"acme/C": 0}


async def test_list_says_who_has_parked_what_and_why(settings: Settings) -> None:
    await park(settings, b"acme/A", b"acme/B")
    code, out, error = await command(settings, "list")
    assert (code, error) == (0, "")
    assert sorted(out.splitlines()) == [
        f"sessions\tacme/{name}\tsince 2026-01-01T12:00:00+00:00\tZeroDivisionError: x" for name in "AB"
    ]


async def test_replay_asks_for_one_station_by_either_of_its_names(settings: Settings) -> None:
    await park(settings, b"acme/A", b"acme/B", b"other/B")
    assert (await command(settings, "replay", "A"))[0] == 0
    assert await asked(settings) == [(0, b"acme/A")]
    assert (await command(settings, "--service", "sessions", "replay", "acme/B"))[0] == 0
    assert sorted(await asked(settings)) == [(0, b"acme/A"), (1, b"acme/B")]


async def test_a_replay_of_what_is_not_parked_is_an_error(settings: Settings) -> None:
    code, out, error = await command(settings, "replay", "Z")
    assert (code, error) == (1, "")
    assert json.loads(out)["event"] == "nothing of it is parked"


async def test_missing_topics_are_one_line_and_no_traceback(kafka: str, topic_prefix: str) -> None:
    code, out, error = await outcome("chassis.dead_letters", "list", kafka=kafka, topic_prefix=topic_prefix)
    assert (code, error) == (1, "")
    assert "chassis.topics create" in json.loads(out)["event"]
