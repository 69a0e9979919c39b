"""Who of several processes does what is keyed: each has the keys of the partitions that its group gives it, and takes over others'.

For work that does no harm when two do it for a moment, as they may while the group moves.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from chassis import kafka
from chassis.kafka import ConsumerRebalanceListener, KafkaError, TopicPartition, full, partition_of_key
from chassis.settings import Settings
from contracts.topics import Topic

POLL_MS = 1000


class Share(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Our part of a topic's keys, while it is entered. It reads nothing."""

    def __init__(self, settings: Settings, group: str, topic: Topic[Any]) -> None:
        self._settings = settings
        self._topic = full(settings, topic.name)
        self._consumer = kafka.group_consumer(settings, group, reset="latest")
        self._work = f"share of {topic.name}"
        self._ours: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def owns(self, key: bytes) -> bool:
        """Tell whether a key is ours to care for."""
        return partition_of_key(key, self._settings.partitions) in self._ours

    async def __aenter__(self) -> Self:
        self._consumer.subscribe([self._topic], listener=self)
        await kafka.started(self._consumer, self._work)
        self._tasks = [
            asyncio.create_task(self._stay(), name=self._work),
            asyncio.create_task(kafka.watched(self._consumer), name="watch Kafka"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await kafka.departed(self._consumer)

    async def _stay(self) -> None:
        """Remain a member: who does not ask for records is taken for dead."""
        while True:
            with suppress(KafkaError):
                await self._consumer.getmany(timeout_ms=POLL_MS)

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        self._ours.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = list(assigned)
        self._consumer.pause(*places)
        self._ours = {place.partition for place in places}
