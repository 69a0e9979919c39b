"""What is written to topics, for many listeners at once: a window onto each topic's end, and the log for whoever is behind it.

One consumer per topic tails it while anybody listens, and keeps its newest items in memory, up to `window_bytes`. A listener holds
nothing but its place. As long as that lies in the window it is served from there; a listener that comes from further back, or that
fell out of the window because it was slow, reads the log until it meets the window again. So nobody can miss anything, and
nobody's slowness costs memory.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import merge
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from chassis import metrics
from chassis.kafka import (
    MIB,
    RECORD_LIMIT,
    AIOKafkaConsumer,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    Record,
    TopicPartition,
    Unavailable,
    departed,
    full,
    plain_consumer,
    record_of,
    started,
)
from chassis.logs import log
from chassis.progress import PROGRESS
from chassis.settings import Settings
from contracts.topics import Topic

Part = tuple[str, int]
"""A topic's name and a partition."""
Places = dict[Part, int]
"""The offset that comes next, for each partition of interest."""

WINDOW_BYTES = 8 * MIB
"""Of one topic's newest records."""
MOST_BYTES = MIB
"""That one read takes, but for a single record that is larger."""
MOST_ITEMS = 256
"""That one read takes of one partition."""
READERS = 8
"""Listeners that read the log at the same time; others wait for their turn."""
TURN_S = 5.0
"""How long one of them may go on while others wait."""
PATIENCE_S = 5.0
"""How long Kafka may take to say where its topics begin and end."""
KEPT_S = 20.0
"""How long a tail goes on when nobody listens to it: many who leave come back."""
LINGER_S = 0.01
"""Between two looks at the end of a topic that moves: listeners are woken so often at most."""


class Expired(Exception):
    """What comes next is not in the log: it has been deleted, or the log is another one."""


class Item(Protocol):
    """What is made of a record."""

    @property
    def record(self) -> Record: ...


I = TypeVar("I", bound=Item)  # noqa: E741 - an item

Make = Callable[[Record], I | None]
"""Makes an item of a record; None: it is nobody's business."""


class Window(Generic[I]):
    """The newest items of one partition: everything that was written from `low` on, up to `high`."""

    def __init__(self, end: int) -> None:
        self.low = self.high = end
        self._offsets: list[int] = []
        self._items: list[I | None] = []
        self._gone = 0

    def add(self, item: I) -> None:
        self._offsets.append(item.record.offset)
        self._items.append(item)

    def forget_first(self) -> I:
        """Forget the oldest item, and return it."""
        item = self._items[self._gone]
        assert item is not None
        self.low = self._offsets[self._gone] + 1
        self._items[self._gone] = None
        self._gone += 1
        if self._gone > 1000 and self._gone * 2 > len(self._items):
            del self._items[: self._gone], self._offsets[: self._gone]
            self._gone = 0
        return item

    def after(self, place: int) -> list[I]:
        """Return the first items from `place` on."""
        first = bisect_left(self._offsets, place, lo=self._gone)
        return [item for item in self._items[first : first + MOST_ITEMS] if item is not None]


class Tail(Generic[I]):
    """The end of one topic."""

    def __init__(self, settings: Settings, topic: Topic[Any], make: Make[I], window_bytes: int) -> None:
        self._settings, self._topic, self._make, self._most = settings, topic, make, window_bytes
        self._places = {
            TopicPartition(full(settings, topic.name), number): (topic.name, number)
            for number in range(settings.partitions)
        }
        self._order: deque[Window[I]] = deque()
        self._bytes = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._work = f"tail of {topic.name}"
        self.windows: dict[Part, Window[I]] = {}
        self.there = asyncio.Event()
        """Set once the windows are open."""
        self.grew = asyncio.Event()
        """Set, and replaced, whenever something has come."""
        self.listeners = 0
        self.task = asyncio.create_task(self._run(), name=self._work)

    async def _run(self) -> None:
        """Tail the topic until it is cancelled. What goes wrong with Kafka is begun anew: listeners read the log meanwhile."""
        try:
            while True:
                try:
                    await self._follow()
                except KafkaError as error:
                    log.warning("a tail is begun anew", topic=self._topic.name, why=repr(error))
                    await asyncio.sleep(0.5)
        finally:
            PROGRESS.over(self._work)

    async def _follow(self) -> None:
        consumer = plain_consumer(self._settings, reset="none", fetch_bytes=8 * MIB)
        await started(consumer, self._work)
        try:
            ends = await consumer.end_offsets(list(self._places))
            consumer.assign(list(self._places))
            for place, end in ends.items():
                consumer.seek(place, end)
            self._open(ends)
            self._consumer = consumer
            while True:
                PROGRESS.beat(self._work)
                await self._take(consumer, await consumer.getmany(timeout_ms=1000))
        finally:
            self._consumer = None
            await departed(consumer)

    def _open(self, ends: dict[TopicPartition, int]) -> None:
        self._order.clear()
        self._bytes = 0
        self.windows = {self._places[place]: Window(end) for place, end in ends.items()}
        self.there.set()

    async def _take(self, consumer: AIOKafkaConsumer, polled: dict[TopicPartition, list[Any]]) -> None:
        for place, raws in polled.items():
            window = self.windows[self._places[place]]
            for item in _made(self._topic, raws, self._make):
                window.add(item)
                self._order.append(window)
                self._bytes += _size(item)
        while self._bytes > self._most and self._order:
            self._bytes -= _size(self._order.popleft().forget_first())
        for place, part in self._places.items():
            self.windows[part].high = await consumer.position(place)  # also beyond what was aborted
        if polled:
            self.grew.set()
            self.grew = asyncio.Event()
            await asyncio.sleep(LINGER_S)

    async def bounds(self, parts: Iterable[Part]) -> tuple[Places, Places]:
        """Return where the log of these partitions begins and ends."""
        places = [place for place, part in self._places.items() if part in set(parts)]
        if self._consumer is None:
            raise Unavailable(f"Kafka does not say where {self._topic.name} ends")
        first, last = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        return {self._places[p]: o for p, o in first.items()}, {self._places[p]: o for p, o in last.items()}

    def check(self) -> None:
        """Raise what ended the tail, if anything did."""
        if self.task.done():
            self.task.result()


def _made(topic: Topic[Any], raws: Sequence[Any], make: Make[I]) -> list[I]:
    records = (record_of(topic, raw) for raw in raws)
    return [item for record in records if (item := make(record)) is not None]


def _size(item: Item) -> int:
    return len(item.record.value or b"") + len(item.record.key) + 1000


class Reader(Generic[I]):
    """Reads the log itself, for one listener."""

    def __init__(self, settings: Settings, topics: dict[str, Topic[Any]], make: Make[I]) -> None:
        self._settings, self._make = settings, make
        self._topics = topics
        self._consumer = plain_consumer(settings, reset="none", fetch_bytes=MOST_BYTES)
        self._assigned: dict[TopicPartition, Part] = {}
        self._begun = asyncio.get_running_loop().time()

    @property
    def had_its_turn(self) -> bool:
        return asyncio.get_running_loop().time() - self._begun > TURN_S

    async def start(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await started(self._consumer, "a stream that is behind")

    async def stop(self) -> None:
        await departed(self._consumer)

    async def read(self, places: Places) -> tuple[list[list[I]], Places]:
        """Return what comes next in the log for these partitions, and the places after that. Raises `Expired`."""
        if set(self._assigned.values()) != set(places):
            self._assign(places)
        metrics.STREAM_LOG_READS.inc()
        try:
            polled = await self._consumer.getmany(timeout_ms=200)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise Expired(str(error)) from error
        made = [_made(self._topics[self._assigned[place][0]], raws, self._make) for place, raws in polled.items()]
        return made, {part: await self._consumer.position(place) for place, part in self._assigned.items()}

    def _assign(self, places: Places) -> None:
        self._assigned = {TopicPartition(full(self._settings, part[0]), part[1]): part for part in places}
        self._consumer.assign(list(self._assigned))
        for place, part in self._assigned.items():
            self._consumer.seek(place, places[part])


@dataclass
class Chunk(Generic[I]):
    """What a listener hears next: of each partition in order, over all of them roughly by time."""

    items: Sequence[I]
    after: Places = field(default_factory=dict)
    """Where every partition stands after it."""


class Listener(Generic[I]):
    """One listener, who holds its place and nothing else."""

    def __init__(self, feed: "Feed[I]", tails: list[Tail[I]], places: Places) -> None:
        self._feed, self._tails, self._places = feed, tails, dict(places)
        self._reader: Reader[I] | None = None
        self._turn = 0

    @property
    def places(self) -> Places:
        return dict(self._places)

    async def read(self, wait_s: float) -> Chunk[I]:
        """Return what comes next; nothing, if that takes longer than `wait_s` seconds. Raises `Expired`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while True:
            grew = [tail.grew for tail in self._tails]
            found, places = self._from_windows()
            if behind := self._behind():
                more, reached = await self._from_log(behind, max(0.0, end - loop.time()))
                found, places = found + more, places | reached
            else:
                await self._close_reader()
            self._places |= places
            if any(found) or loop.time() >= end:
                merged = list(merge(*found, key=lambda item: item.record.timestamp_ms))
                return Chunk(merged, dict(self._places))
            if not behind:
                await self._grown(grew, end - loop.time())

    def _behind(self) -> Places:
        return {part: place for part, place in self._places.items() if place < self._window(part).low}

    def _window(self, part: Part) -> Window[I]:
        return self._feed.tails[part[0]].windows[part]

    def _from_windows(self) -> tuple[list[list[I]], Places]:
        """Return what the windows hold for us, of each partition a part, each time beginning with another one."""
        found: list[list[I]] = []
        reached: Places = {}
        room = MOST_BYTES
        parts = list(self._places)
        self._turn = (self._turn + 1) % max(1, len(parts))
        for part in parts[self._turn :] + parts[: self._turn]:
            window, place = self._window(part), self._places[part]
            if room <= 0 or not window.low <= place < window.high:
                continue
            items, whole = window.after(place), True
            for number, item in enumerate(items):
                room -= _size(item)
                if room <= 0:
                    whole = number + 1 == len(items)
                    items = items[: number + 1]
                    break
            found.append(items)
            whole = whole and len(items) < MOST_ITEMS
            reached[part] = window.high if whole else items[-1].record.offset + 1
        return found, reached

    async def _from_log(self, behind: Places, wait_s: float) -> tuple[list[list[I]], Places]:
        if self._reader is not None and self._reader.had_its_turn and self._feed.crowded:
            await self._close_reader()
        if self._reader is None:
            self._reader = await self._feed.reader(wait_s)
        return await self._reader.read(behind) if self._reader is not None else ([], {})

    async def _close_reader(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await self._feed.put_back(reader)

    async def _grown(self, grew: list[asyncio.Event], wait_s: float) -> None:
        waits = [asyncio.create_task(event.wait()) for event in grew]
        try:
            tasks = [tail.task for tail in self._tails]
            await asyncio.wait([*waits, *tasks], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        for tail in self._tails:
            tail.check()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave(self._tails)
        await self._close_reader()


class Feed(Generic[I]):
    """Topics that can be listened to."""

    def __init__(
        self, settings: Settings, topics: Sequence[Topic[Any]], make: Make[I], *, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self._settings, self._make, self._window_bytes = settings, make, window_bytes
        self._topics = {topic.name: topic for topic in topics}
        self._turns = asyncio.Semaphore(READERS)
        self._ending: set[asyncio.Task[None]] = set()
        self.tails: dict[str, Tail[I]] = {}

    @property
    def partitions(self) -> int:
        return self._settings.partitions

    async def listen(self, parts: Sequence[Part], places: Places | None) -> Listener[I]:
        """Return a listener to these partitions, from `places` on, or from now on.

        Raises `Expired` if what comes next is not in the log, and `Unavailable` while Kafka is away.
        """
        tails = [self._join(name) for name in dict.fromkeys(name for name, _ in parts)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for tail in tails:
                    await tail.there.wait()
                found = {part: self.tails[part[0]].windows[part].high for part in parts}
                if places is not None:
                    await self._check(tails, places, found)
        except (TimeoutError, KafkaError) as error:
            self.leave(tails)
            raise Unavailable("Kafka does not say where its topics begin and end") from error
        except BaseException:
            self.leave(tails)
            raise
        return Listener(self, tails, places if places is not None else found)

    async def _check(self, tails: list[Tail[I]], places: Places, ends: Places) -> None:
        """Raise `Expired` unless the log has what comes next at each of these places."""
        for tail in tails:
            doubtful = {
                part: place
                for part, place in places.items()
                if part in tail.windows and not tail.windows[part].low <= place <= ends[part]
            }
            if not doubtful:
                continue
            first, last = await tail.bounds(doubtful)
            for part, place in doubtful.items():
                if not first[part] <= place <= last[part]:
                    raise Expired(f"{part[0]}, partition {part[1]}: {place} is not in the log")

    def _join(self, name: str) -> Tail[I]:
        tail = self.tails.get(name)
        if tail is None or tail.task.done():
            tail = self.tails[name] = Tail(self._settings, self._topics[name], self._make, self._window_bytes)
        tail.listeners += 1
        return tail

    def leave(self, tails: list[Tail[I]]) -> None:
        """End the tails to which nobody listens any more, unless somebody does again soon."""
        for tail in tails:
            tail.listeners -= 1
            if not tail.listeners:
                asyncio.get_running_loop().call_later(KEPT_S, self._end_if_idle, tail)

    def _end_if_idle(self, tail: Tail[I]) -> None:
        if not tail.listeners and not tail.task.done():
            self._end(tail)

    def _end(self, tail: Tail[I]) -> None:
        self.tails = {name: each for name, each in self.tails.items() if each is not tail}
        self._ending.add(tail.task)
        tail.task.add_done_callback(self._ending.discard)
        tail.task.cancel()

    async def stop(self) -> None:
        """End every tail."""
        for tail in list(self.tails.values()):
            self._end(tail)
        await asyncio.gather(*self._ending, return_exceptions=True)

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a turn to read the log."""
        return self._turns.locked()

    async def reader(self, wait_s: float) -> Reader[I] | None:
        """Return a reader of the log; None: it is not our turn within `wait_s` seconds."""
        try:
            async with asyncio.timeout(wait_s):
                await self._turns.acquire()
        except TimeoutError:
            return None
        reader = Reader(self._settings, self._topics, self._make)
        starting = asyncio.create_task(reader.start(), name="start a reader")
        try:
            await asyncio.shield(
                starting
            )  # aiokafka leaves connections behind where it is cancelled while it makes them
        except TimeoutError as error:
            self._turns.release()
            raise Unavailable("Kafka cannot be reached") from error
        except BaseException:
            self._turns.release()
            self._in_background(self._stopped(starting, reader))
            raise
        return reader

    async def _stopped(self, starting: asyncio.Task[None], reader: Reader[I]) -> None:
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await reader.stop()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def put_back(self, reader: Reader[I]) -> None:
        """Take back a reader, so that another listener can have its turn."""
        self._turns.release()
        with suppress(KafkaError):
            await reader.stop()


assert MOST_BYTES < RECORD_LIMIT  # a single record may be larger: Kafka sends it all the same
