"""Followers over a real Kafka: what is carried out, in which order, and what is carried out again after a crash."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from chassis import clock
from chassis.follow import CarryOut, Follower, Following
from chassis.kafka import Log, create_topics, partition_of_key
from chassis.settings import Settings
from contracts.event import Event, Message, derived_id
from contracts.stations import MetersRead
from contracts.topics import SESSIONS, STATIONS
from tests.chassis import toy
from tests.chassis.test_loop import everything, say

pytestmark = pytest.mark.timeout(90)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000)
    await create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    yield log
    await log.stop()


def follower(carry_out: CarryOut, *, brings_answers: bool = False) -> Follower:
    return Follower("clerk", STATIONS, (SESSIONS,), carry_out, (MetersRead,), brings_answers)


class Clerk:
    """Remembers what it has carried out, and says that it delivered something each time."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def __call__(self, message: Message[Any]) -> Iterable[Event]:
        self.done.append(message.id)
        return [toy.delivered(message.event.station, len(self.done))]


@asynccontextmanager
async def following(
    carry_out: CarryOut, settings: Settings, *, brings_answers: bool = False
) -> AsyncIterator[asyncio.Event]:
    """A follower at work, and what asks it to stop. Leaving it waits for its end."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    at_work = Following(follower(carry_out, brings_answers=brings_answers), settings, stopping)
    task = asyncio.create_task(at_work.run(ready.set))
    async with asyncio.timeout(60):
        await ready.wait()
        try:
            yield stopping
        finally:
            stopping.set()
            await task


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await fact():
            await asyncio.sleep(0.05)


def written(settings: Settings, count: int) -> Callable[[], Awaitable[bool]]:
    async def fact() -> bool:
        return len(await everything(settings, "sessions")) >= count

    return fact


async def ids(settings: Settings) -> list[str]:
    return sorted(record.attributes().id for record in await everything(settings, "sessions"))


def neighbour_of(station: str) -> str:
    """Return another station in the same partition."""
    return next(name for name in "BCDEFGH" if _partition(name) == _partition(station))


def _partition(station: str) -> int:
    return partition_of_key(f"acme/{station}".encode(), 2)


async def test_what_is_carried_out_is_written_under_ids_that_derive_from_the_record(
    settings: Settings, log: Log
) -> None:
    await say(log, toy.read("A"), "a1")
    async with following(Clerk(), settings):
        await until(written(settings, 1))
    (record,) = await everything(settings, "sessions")
    assert record.attributes().id == derived_id("a1", "clerk", 0)
    assert record.attributes().source == "/voltstream/clerk"


async def test_a_follower_goes_on_where_it_was(settings: Settings, log: Log) -> None:
    first, second = Clerk(), Clerk()
    await say(log, toy.read("A"), "a1")
    async with following(first, settings):
        await until(written(settings, 1))
    await say(log, toy.read("A"), "a2")
    async with following(second, settings):
        await until(written(settings, 2))
    assert (first.done, second.done) == (["a1"], ["a2"])


async def test_what_was_in_hand_when_the_process_died_is_carried_out_again_under_the_same_ids(
    settings: Settings, log: Log
) -> None:
    clerk, other = Clerk(), neighbour_of("A")

    async def hangs_at_the_first(message: Message[Any]) -> Iterable[Event]:
        if message.id == "a1":
            await asyncio.Event().wait()
        return [toy.delivered("A", 1)]

    for station, id in (("A", "a1"), (other, "b1")):
        await say(log, toy.read(station), id)
    dying = asyncio.create_task(Following(follower(hangs_at_the_first), settings, asyncio.Event()).run(lambda: None))
    await until(written(settings, 1))
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    async with following(clerk, settings):
        await until(written(settings, 3))
    assert sorted(clerk.done) == ["a1", "b1"]
    assert await ids(settings) == sorted(derived_id(cause, "clerk", 0) for cause in ("a1", "b1", "b1"))


async def test_what_the_world_answers_the_next_time_is_another_event(settings: Settings, log: Log) -> None:
    """A provider that was away answers when it is asked again, after a crash: a refusal and a success never share an id."""

    async def answers(message: Message[Any]) -> Iterable[Event]:
        return [replace(toy.delivered("A", 1), at=clock.now())]

    await say(log, toy.read("A"), "a1")
    async with following(answers, settings, brings_answers=True):
        await until(written(settings, 1))
    await say(log, toy.read("A"), "a1")  # as it is heard again by whoever died before it was noted
    async with following(answers, settings, brings_answers=True):
        await until(written(settings, 2))
    first, second = await ids(settings)
    assert first != second


async def test_what_takes_long_holds_up_nothing_that_comes_later_but_its_own_key(settings: Settings, log: Log) -> None:
    begun, slow, order, later = asyncio.Event(), asyncio.Event(), list[str](), neighbour_of("A")

    async def carry_out(message: Message[Any]) -> Iterable[Event]:
        if message.id == "a1":
            begun.set()
            await slow.wait()
        order.append(message.id)
        return []

    def done(count: int) -> Callable[[], Awaitable[bool]]:
        async def fact() -> bool:
            return len(order) == count

        return fact

    await say(log, toy.read("A"), "a1")
    async with following(carry_out, settings):
        await begun.wait()
        for station, id in (("A", "a2"), (later, "b1"), (later, "b2"), (later, "b3")):
            await say(log, toy.read(station), id)
        await until(done(3))
        slow.set()
        await until(done(5))
    assert order == ["b1", "b2", "b3", "a1", "a2"]


async def test_records_of_one_key_follow_each_other_and_others_do_not_wait_for_them(
    settings: Settings, log: Log
) -> None:
    slow, order = asyncio.Event(), list[str]()

    async def carry_out(message: Message[Any]) -> Iterable[Event]:
        if message.id == "a1":
            await slow.wait()
        order.append(message.id)
        if message.id == "b1":
            slow.set()
        return []

    for station, id in (("A", "a1"), ("A", "a2"), (neighbour_of("A"), "b1")):
        await say(log, toy.read(station), id)

    async def all_done() -> bool:
        return len(order) == 3

    async with following(carry_out, settings):
        await until(all_done)
    assert order == ["b1", "a1", "a2"]


async def test_what_is_in_hand_is_finished_before_its_partition_goes_to_another_member(
    settings: Settings, log: Log
) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def carry_out(message: Message[Any]) -> Iterable[Event]:
        begun.set()
        await go_on.wait()
        done.append(message.id)
        return []

    async def all_done() -> bool:
        return len(done) >= 9

    await say(log, toy.read("A"), "a0")
    async with following(carry_out, settings):
        await begun.wait()
        async with following(carry_out, settings):
            go_on.set()
            for station in "ABCDEFGH":
                await say(log, toy.read(station), f"{station.lower()}1")
            await until(all_done)
    assert sorted(done) == ["a0", "a1", "b1", "c1", "d1", "e1", "f1", "g1", "h1"]


async def test_what_is_in_hand_is_finished_before_a_follower_stops(settings: Settings, log: Log) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def carry_out(_: Message[Any]) -> Iterable[Event]:
        begun.set()
        await go_on.wait()
        return [toy.delivered("A", 1)]

    await say(log, toy.read("A"), "a1")
    async with following(carry_out, settings) as stopping:
        await begun.wait()
        stopping.set()
        go_on.set()
    assert len(await everything(settings, "sessions")) == 1


async def test_what_nobody_can_read_is_passed_over(settings: Settings, log: Log) -> None:
    producer = log._producer
    garbage = [("ce_type", b"voltstream.MetersRead"), ("ce_id", b"\xff")]
    await producer.send_and_wait(f"{settings.topic_prefix}stations", b"{", key=b"acme/A", headers=garbage)
    await say(log, toy.read("A"), "a1")
    clerk = Clerk()
    async with following(clerk, settings):
        await until(written(settings, 1))
    assert clerk.done == ["a1"]


async def test_what_a_carrier_raises_ends_the_follower(settings: Settings, log: Log) -> None:
    async def carry_out(_: Message[Any]) -> Iterable[Event]:
        raise ZeroDivisionError("it cannot be done")

    await say(log, toy.read("A"), "a1")
    with pytest.raises(ExceptionGroup) as failed:
        await Following(follower(carry_out), settings, asyncio.Event()).run(lambda: None)
    assert failed.group_contains(ZeroDivisionError)
