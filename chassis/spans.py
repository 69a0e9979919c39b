"""Parts of partitions, as they were at a moment: read from one offset to another, once or again, and always the same."""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from chassis import kafka
from chassis.errors import SaysWhatToDo
from chassis.kafka import NoOffsetForPartitionError, OffsetOutOfRangeError, Record, TopicPartition, full, record_of
from chassis.progress import PROGRESS
from chassis.settings import Settings
from contracts.topics import Topic

MOST_RECORDS = 2000
"""That one read brings."""


class Extent(NamedTuple):
    """A part of a partition: from one offset up to another, that of what had not been written yet."""

    partition: int
    first: int
    end: int


class Expired(SaysWhatToDo):
    """What was to be read is not in the log any more."""


async def extents(
    settings: Settings, topic: Topic[Any], partitions: Iterable[int], since: datetime | None = None
) -> list[Extent]:
    """Return where the partitions begin, or begin to have what was written since a moment, and where they end now."""
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, f"extent of {topic.name}")
    try:
        places = [TopicPartition(full(settings, topic.name), number) for number in partitions]
        consumer.assign(places)
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        if since is not None:
            stamp = int(since.timestamp() * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(places, stamp))
            firsts = {place: at.offset if (at := found.get(place)) else ends[place] for place in places}
        return [Extent(place.partition, firsts[place], ends[place]) for place in places]
    finally:
        await kafka.departed(consumer)


async def batches(settings: Settings, topic: Topic[Any], extent: Extent, work: str) -> AsyncGenerator[list[Record]]:
    """Yield the committed records of a part of a partition in order, some at a time. Raises `Expired`."""
    consumer = kafka.plain_consumer(settings, reset="none")
    await kafka.started(consumer, work)
    try:
        place = TopicPartition(full(settings, topic.name), extent.partition)
        consumer.assign([place])
        consumer.seek(place, extent.first)
        while await consumer.position(place) < extent.end:
            PROGRESS.beat(work)
            raws = (await consumer.getmany(place, timeout_ms=200, max_records=MOST_RECORDS)).get(place, [])
            yield [record_of(topic, raw) for raw in raws if raw.offset < extent.end]
    except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
        raise Expired(f"{topic.name}, partition {extent.partition}: {error}") from error
    finally:
        PROGRESS.over(work)
        await kafka.departed(consumer)


class News(NamedTuple):
    """Records of a topic, and whether all that lay in it at first has been read with them."""

    records: list[Record]
    is_current: bool


async def everything(settings: Settings, topic: Topic[Any], work: str) -> AsyncGenerator[News]:
    """Yield all committed records of a topic from its beginning, and then what is written to it, for ever."""
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, work)
    try:
        places = [TopicPartition(full(settings, topic.name), number) for number in range(settings.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        behind = {place for place, end in ends.items() if end > 0}
        while True:
            PROGRESS.beat(work)
            polled = await consumer.getmany(timeout_ms=200 if behind else 1000, max_records=MOST_RECORDS)
            behind = {place for place in behind if await consumer.position(place) < ends[place]}
            records = [record_of(topic, raw) for raws in polled.values() for raw in raws]
            yield News(records, not behind)
    finally:
        PROGRESS.over(work)
        await kafka.departed(consumer)
