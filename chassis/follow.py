"""Does in the world what a topic says: asks a payment provider, writes a document. What came of it goes to other topics.

A decider's work is undone if its process dies; what has been done in the world is not. So this happens **at least once**: a record is
carried out, what came of it is acknowledged by Kafka, and only then is it behind us (`followed`). Whoever carries out says what makes a
repetition harmless; what it writes has ids derived from the record, the same each time, unless the world may answer otherwise the next
time. Records of one key follow one another; those of different keys go side by side, and none waits for one that takes long. Whoever
carries out ends by itself what never ends.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chassis import clock, metrics
from chassis.copies import Whole
from chassis.hand import Hand
from chassis.kafka import Batches, Chunk, CopyKeeper, KafkaError, Log, Place, Record
from chassis.logs import log
from chassis.progress import PROGRESS
from chassis.service import Service
from chassis.settings import Settings
from contracts.cloudevents import Unreadable
from contracts.event import Event, Message, derived_id
from contracts.followed import Followed
from contracts.topics import FOLLOWED, Topic, follower_key

AT_ONCE = 16
"""Keys whose records are carried out side by side."""
MAX_RECORDS = 200
MOST_IN_HAND = 1000
"""While so many records are not carried out, no more are taken."""
NOTED_EVERY_S = 0.2
"""How often at most it is written how far we are."""
GRACE_S = 20
"""How long what is in hand may take after the process has been asked to stop."""
RETRY_S = 1.0

CarryOut = Callable[[Message[Any]], Awaitable[Iterable[Event]]]
"""Carries out what a message says, and returns what is to be written of it. What it raises stops the process."""


@dataclass(frozen=True)
class Follower:
    """Who follows which topic, and where it writes."""

    name: str
    """Its consumer group, and who wrote what it writes."""
    topic: Topic[Any]
    outputs: tuple[Topic[Any], ...]
    carry_out: CarryOut
    hears: tuple[type[Event], ...]
    """All others are passed over undecoded."""
    brings_answers: bool = False
    """What it writes is what the world said when it was asked. Asked again it may say something else, which is another event: so the
    moment is in the id. Under one id a refusal and a later success would each have the same consequences' ids."""


class Following:
    """A follower at work: one member of its group."""

    def __init__(self, follower: Follower, settings: Settings, stopping: asyncio.Event) -> None:
        self._follower, self._settings, self._stopping = follower, settings, stopping
        self._topic_of = {cls: topic for topic in follower.outputs for cls in topic.classes}
        self._heard = {f"voltstream.{cls.__name__}".encode() for cls in follower.hears}
        self._source = f"/voltstream/{follower.name}"
        self._out = Log(settings, linger_ms=0)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._group = asyncio.TaskGroup()
        self._at_work: set[asyncio.Task[None]] = set()
        self._queues: dict[bytes, deque[tuple[Message[Any], Hand]]] = {}
        """By key: what is to be carried out, in order. A key that is here is at work."""
        self._hands: dict[int, Hand] = {}
        self._noted: dict[int, int] = {}
        self._moved = asyncio.Event()
        """Something is done since it was last written how far we are."""
        self._noting = asyncio.Lock()
        self._ending = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Follow until asked to stop; what is in hand is finished first."""
        tasks = [
            asyncio.create_task(self._carrying(), name=f"{self._follower.name}: carry out"),
            asyncio.create_task(self._follow(ready), name=self._follower.name),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._finish_what_is_in_hand()
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._out.stop()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _carrying(self) -> None:
        """Write how far we are, as long as nothing fails of what is carried out beside it."""
        async with self._group:
            while True:
                await self._moved.wait()
                await self._note()
                await asyncio.sleep(NOTED_EVERY_S)

    async def _finish_what_is_in_hand(self) -> None:
        self._ending = True
        try:
            async with asyncio.timeout(GRACE_S):
                await self._put_down()
        except TimeoutError:
            log.warning("what is in hand is left unfinished; the next start carries it out", waited_s=GRACE_S)

    async def _follow(self, ready: Callable[[], None]) -> None:
        await self._out.start()
        async with Batches(
            self._settings,
            self._follower.name,
            [self._follower.topic],
            positions=self._positions,
            max_records=MAX_RECORDS,
            put_down=self._put_down,
        ) as batches:
            ready()
            async for chunks in batches:
                for chunk in chunks:
                    self._take(chunk)
                await self._until_there_is_room()

    async def _positions(self, assigned: set[tuple[str, int]]) -> dict[tuple[str, int], int]:
        async with CopyKeeper(self._settings, Whole(FOLLOWED)) as copies:
            known = copies.of(FOLLOWED)
            found = {place: known.get(follower_key(self._follower.name, *place)) for place in assigned}
        return {place: event.next for place, event in found.items() if event is not None}

    # ---- records ---------------------------------------------------------------------------------------------------

    def _take(self, chunk: Chunk) -> None:
        """Take the records in hand that are our business."""
        if self._ending:
            return
        hand = self._hands.setdefault(chunk.partition, Hand())
        heard = [(record.key, message) for record in chunk.records if (message := self._message(record)) is not None]
        hand.take((message.offset for _, message in heard), chunk.after)
        for key, message in heard:
            if key not in self._queues:
                self._queues[key] = deque()
                task = self._group.create_task(self._work(key))
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)
            self._queues[key].append((message, hand))
        self._moved.set()

    async def _until_there_is_room(self) -> None:
        while self._at_work and sum(map(len, self._queues.values())) >= MOST_IN_HAND:
            await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)

    async def _work(self, key: bytes) -> None:
        """Carry out what there is of a key, one after the other."""
        async with self._room:
            queue = self._queues[key]
            while queue:
                message, hand = queue.popleft()
                await self._carry_out(message)
                hand.done(message.offset)
                self._moved.set()
            del self._queues[key]

    async def _put_down(self) -> None:
        """Finish what has been begun, take nothing else out of the hand, and write how far we are."""
        for queue in self._queues.values():
            queue.clear()
        while self._at_work:
            await asyncio.wait(self._at_work)
        await self._note()
        self._hands.clear()
        self._noted.clear()

    async def _note(self) -> None:
        """Write how far everything is done, where that is further than before."""
        async with self._noting:
            self._moved.clear()
            moved = {part: hand.reached for part, hand in self._hands.items() if hand.reached != self._noted.get(part)}
            await self._append([self._followed(part, reached) for part, reached in moved.items()])
            self._noted |= moved

    def _followed(self, partition: int, reached: int) -> tuple[Event, Topic[Any], str]:
        name, topic = self._follower.name, self._follower.topic.name
        event = Followed(at=clock.now(), follower=name, topic=topic, partition=partition, next=reached)
        return event, FOLLOWED, derived_id(f"{topic}/{partition}/{reached}", name, "followed")

    def _message(self, record: Record) -> Message[Any] | None:
        """Return what a record says, if it is our business. What nobody can read has been put aside by whoever decides on it."""
        if record.value is None or not any(name == "ce_type" and kind in self._heard for name, kind in record.headers):
            return None
        try:
            return record.message()
        except Unreadable as why:
            metrics.UNREADABLE.labels(record.topic.name).inc()
            log.error(
                "passed over: nobody can read it", place=str(Place(record.partition, record.offset)), why=str(why)
            )
            return None

    async def _carry_out(self, message: Message[Any]) -> None:
        PROGRESS.beat(self._follower.name)
        events = await self._follower.carry_out(message)
        await self._append(
            [
                (event, self._topic_of[type(event)], self._id(message, number, event))
                for number, event in enumerate(events)
            ]
        )

    def _id(self, message: Message[Any], number: int, event: Event) -> str:
        which = f"{number}/{event.at.isoformat()}" if self._follower.brings_answers else number
        return derived_id(message.id, self._follower.name, which)

    async def _append(self, written: Sequence[tuple[Event, Topic[Any], str]]) -> None:
        """Write until Kafka has it all: again from the beginning if it did not take one of them."""
        while written:
            try:
                sent = [await self._out.send(topic, event, id=id, source=self._source) for event, topic, id in written]
                await asyncio.gather(*sent)
            except KafkaError as why:
                log.warning("waiting for Kafka", what=self._follower.name, why=repr(why))
                await asyncio.sleep(RETRY_S)
            else:
                return


async def follow(follower: Follower, settings: Settings, service: Service) -> None:
    """Carry out what `follower` hears, until asked to stop."""
    await Following(follower, settings, service.stopping).run(service.ready)
