"""Reads topics as they grow, through whatever befalls Kafka, and keeps all that was committed there."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from chassis.kafka import KafkaError, TopicPartition, full, plain_consumer
from chassis.settings import Settings
from contracts.event import Event
from contracts.topics import Topic
from tests.system.network import Raw


class Tail:
    """What the topics hold so far: records as they lie, and events by topic, in order for each key."""

    def __init__(self, settings: Settings, topics: Sequence[Topic[Any]], further: Sequence[str] = ()) -> None:
        self.records: list[Raw] = []
        self.events: defaultdict[str, list[Event]] = defaultdict(list)
        self._settings = settings
        self._topics = {topic.name: topic for topic in topics}
        self._places = [
            TopicPartition(full(settings, name), part)
            for name in (*self._topics, *further)
            for part in range(settings.partitions)
        ]
        self._consumer = plain_consumer(settings)
        self._reading: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[Event], None]] = []
        """Are told of every event."""

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        self._reading = asyncio.create_task(self._read(), name="tail")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    def still_reads(self) -> None:
        """Raise what has ended the reading, if something has."""
        if self._reading is not None and self._reading.done():
            self._reading.result()

    async def _read(self) -> None:
        while True:
            try:
                polled = await self._consumer.getmany(timeout_ms=200, max_records=5000)
            except KafkaError:  # it comes back
                await asyncio.sleep(0.2)
                continue
            for records in polled.values():
                for record in records:
                    self._hear(record)

    def _hear(self, record: Any) -> None:
        name = record.topic.removeprefix(self._settings.topic_prefix)
        self.records.append(Raw(name, record.partition, record.offset, record.key, record.value, dict(record.headers)))
        topic = self._topics.get(name)
        if topic is None or record.value is None:
            return
        event = topic.under(record.key, record.value)
        self.events[name].append(event)
        for tell in self.listeners:
            tell(event)
