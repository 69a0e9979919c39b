"""What is fetched lies in an inbox until it is taken, and never holds up what is fetched for others."""

import asyncio
from collections import deque
from dataclasses import dataclass

import pytest

from chassis import inbox as module
from chassis.inbox import Inbox, Intake
from chassis.kafka import KafkaError, TopicPartition

ONE, OTHER = TopicPartition("t", 1), TopicPartition("t", 2)


@dataclass(frozen=True)
class Raw:
    """A record as far as an inbox looks at it."""

    offset: int
    value: bytes = b""


def raws(*offsets: int) -> list[Raw]:
    return [Raw(offset) for offset in offsets]


class Flow:
    """What an inbox has asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.inbox = Inbox(pause=lambda: self.asked.append("pause"), resume=lambda: self.asked.append("resume"))


class Consumer:
    """Gives what it is told to give, of the places that are asked for."""

    def __init__(self) -> None:
        self.gives: deque[dict[TopicPartition, list[Raw]] | KafkaError] = deque()
        self.more = asyncio.Event()

    def give(self, what: dict[TopicPartition, list[Raw]] | KafkaError) -> None:
        self.gives.append(what)
        self.more.set()

    async def getmany(self, *_: TopicPartition, **__: int) -> dict[TopicPartition, list[Raw]]:
        await self.more.wait()
        given = self.gives.popleft()
        if not self.gives:
            self.more.clear()
        if isinstance(given, KafkaError):
            raise given
        return given


async def test_records_are_taken_in_the_order_in_which_they_came() -> None:
    it = Flow().inbox
    it.put(raws(1, 2))
    it.put(raws(3))
    assert [raw.offset for raw in await it.take(2, 0)] == [1, 2]
    assert [raw.offset for raw in await it.take(2, 0)] == [3]
    assert await it.take(2, 0) == []


async def test_whoever_waits_has_what_comes() -> None:
    it = Flow().inbox
    taking = asyncio.create_task(it.take(9, 3600))
    await asyncio.sleep(0)
    it.put(raws(1))
    assert await taking == raws(1)


async def test_nobody_waits_at_a_closed_inbox() -> None:
    it = Flow().inbox
    taking = asyncio.create_task(it.take(9, 3600))
    await asyncio.sleep(0)
    it.close()
    assert await taking == []
    assert await it.take(9, 3600) == []


async def test_a_full_inbox_pauses_until_half_of_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 4)
    flow = Flow()
    flow.inbox.put(raws(1, 2, 3, 4))
    assert flow.asked == []
    flow.inbox.put(raws(5))
    flow.inbox.put(raws(6))
    assert flow.asked == ["pause"]
    await flow.inbox.take(4, 0)
    assert flow.asked == ["pause"]
    await flow.inbox.take(1, 0)
    assert flow.asked == ["pause", "resume"]


async def test_few_large_records_fill_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    flow = Flow()
    flow.inbox.put([Raw(1, b"x" * 9_500)])
    assert flow.asked == ["pause"]
    await flow.inbox.take(1, 0)
    assert flow.asked == ["pause", "resume"]


async def test_what_is_fetched_comes_to_where_it_belongs_and_what_nobody_wants_to_nobody() -> None:
    consumer, first, second = Consumer(), Flow().inbox, Flow().inbox
    intake = Intake(consumer, pace_ms=0)
    running = asyncio.create_task(intake.run())
    intake.open([ONE], first)
    intake.open([OTHER], second)
    consumer.give({ONE: raws(1), OTHER: raws(7)})
    assert await first.take(9, 60) == raws(1)
    assert await second.take(9, 60) == raws(7)
    intake.close(second)
    consumer.give({ONE: raws(2), OTHER: raws(8)})
    assert await first.take(9, 60) == raws(2)
    assert len(second) == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_kafka_refuses_is_told_to_every_inbox() -> None:
    consumer, it = Consumer(), Flow().inbox
    intake = Intake(consumer, pace_ms=0)
    intake.open([ONE], it)
    running = asyncio.create_task(intake.run())
    consumer.give(KafkaError("gone"))
    with pytest.raises(KafkaError, match="gone"):
        await it.take(9, 60)
    consumer.give({ONE: raws(1)})
    assert await it.take(9, 60) == raws(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
