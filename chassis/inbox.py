"""What has been fetched for a partition number and waits to be decided on.

aiokafka fetches nothing for anybody while fetched records of one partition lie untaken, for up to 0.1 s, and what it fetches
next leaves that partition out. Partition numbers that share a consumer would wait for one another's transactions. So the
consumer is emptied as soon as it has something, into an inbox for each number.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chassis.kafka import AIOKafkaConsumer, KafkaError, TopicPartition

MOST_RECORDS = 1000
MOST_BYTES = 8 * 1024 * 1024
"""With more than this in an inbox, nothing more is fetched for it until half of it has been taken."""
BESIDES = 1000
"""Bytes that a record takes in memory besides its value."""


class Inbox:
    """Records of one partition number, in the order in which they came."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        self._records: deque[Any] = deque()
        self._bytes = 0
        self._is_full = False
        self._error: KafkaError | None = None
        self._closed = False
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._records)

    def put(self, raws: Sequence[Any]) -> None:
        """Keep what has been fetched."""
        self._records += raws
        self._bytes += sum(map(_size, raws))
        self._news.set()
        if not self._is_full and (len(self._records) > MOST_RECORDS or self._bytes > MOST_BYTES):
            self._is_full = True
            self._pause()

    def fail(self, error: KafkaError) -> None:
        """Let whoever takes next have this error."""
        self._error = error
        self._news.set()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        self._news.set()

    async def take(self, room: int, patience_s: float) -> list[Any]:
        """Return what is here, at most `room` records; if there is nothing, what comes within `patience_s` seconds."""
        if not self._records and self._error is None:
            await self._wait(patience_s)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        taken = [self._records.popleft() for _ in range(min(room, len(self._records)))]
        self._bytes -= sum(map(_size, taken))
        if self._is_full and len(self._records) < MOST_RECORDS // 2 and self._bytes < MOST_BYTES // 2:
            self._is_full = False
            self._resume()
        return taken

    async def _wait(self, patience_s: float) -> None:
        if self._closed:
            return
        self._news.clear()
        timer = asyncio.get_running_loop().call_later(patience_s, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()


def _size(raw: Any) -> int:
    return len(raw.value or b"") + BESIDES


class Intake:
    """Empties a consumer into the inboxes that are open, at most every `pace_ms` milliseconds.

    A fetch costs the same for one record as for many: whoever fetches each by itself does little else.
    """

    def __init__(self, consumer: AIOKafkaConsumer, *, pace_ms: int) -> None:
        self._consumer, self._pace_s = consumer, pace_ms / 1000
        self._open: dict[TopicPartition, Inbox] = {}
        self._moved = asyncio.Event()

    def open(self, places: Iterable[TopicPartition], inbox: Inbox) -> None:
        """From now on, let what is fetched of these places come into `inbox`."""
        self._open |= dict.fromkeys(places, inbox)
        self._moved.set()

    def close(self, inbox: Inbox) -> None:
        """Let nothing more come into an inbox."""
        self._open = {place: each for place, each in self._open.items() if each is not inbox}
        self._moved.set()

    async def run(self) -> None:
        """Distribute what is fetched until cancelled. What goes wrong with Kafka, every inbox is told."""
        while True:
            self._moved.clear()
            asked = dict(self._open)
            try:
                came = await self._distributed(asked)
            except KafkaError as error:
                for inbox in set(asked.values()):
                    inbox.fail(error)
                await asyncio.sleep(0.2)
            else:
                if 0 < came < MOST_RECORDS:
                    await asyncio.sleep(self._pace_s)

    async def _distributed(self, asked: Mapping[TopicPartition, Inbox]) -> int:
        """Return how many records have come for these places: none as soon as other places count."""
        moved: asyncio.Task[Any] = asyncio.create_task(self._moved.wait())
        polling: asyncio.Task[int] = asyncio.create_task(self._poll(asked), name="poll")
        try:
            await asyncio.wait([polling, moved], return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
            if not polling.done():
                polling.cancel()
        await asyncio.wait([polling])
        return 0 if polling.cancelled() else polling.result()

    async def _poll(self, asked: Mapping[TopicPartition, Inbox]) -> int:
        """Put what is fetched where it belongs, in one step: what the consumer has given out is always in an inbox."""
        if not asked:
            await self._moved.wait()
            return 0
        polled = await self._consumer.getmany(*asked, timeout_ms=1000, max_records=MOST_RECORDS)
        for place, raws in polled.items():
            if self._open.get(place) is asked[place]:
                asked[place].put(raws)
        return sum(map(len, polled.values()))
