"""Takes every record of every topic into ClickHouse. `sink` says why none is lost or doubled."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, repeat
from pathlib import Path
from typing import TypeVar

from chassis import clickhouse, clock, kafka, metrics
from chassis.clickhouse import ClickHouse, MigrationRefused, Refused, Unavailable
from chassis.kafka import (
    AIOKafkaConsumer,
    Batches,
    Chunk,
    LogTruncated,
    Record,
    TopicPartition,
    check_not_truncated,
    full,
    record_of,
)
from chassis.logs import log
from chassis.patience import Interrupted, Patience
from chassis.service import Service
from chassis.settings import BrokenSetting, Settings
from contracts.topics import CATALOGUE
from services.analytics import rows
from services.analytics.rows import Line
from services.analytics.sink import Partition, Plan, Sink, Span, plan

SCHEMA = Path(__file__).parent / "schema"
TOPICS = {topic.name: topic for topic in CATALOGUE}
MAX_RECORDS = 10_000
LINGER_MS = 1000
GRACE_S = 10
"""How long the batch in hand may take after the process has been asked to stop."""

T = TypeVar("T")

CLICKHOUSE = Patience("analytics", "ClickHouse", (Unavailable,), lambda: chain((0.2, 0.5, 1, 2), repeat(5)))


async def serve(settings: Settings, service: Service) -> None:
    """Take records in until asked to stop."""
    db = connect(settings)
    archive = Archive(settings, db, service.stopping)
    try:
        await archive.run(service.ready)
    finally:
        await db.close()


async def migrate(settings: Settings) -> None:
    """Bring the database to today's shape."""
    db = connect(settings)
    try:
        await Archive(settings, db).migrate()
    finally:
        await db.close()


def connect(settings: Settings) -> ClickHouse:
    """Build the ClickHouse that the settings name, or raise `BrokenSetting`."""
    try:
        return clickhouse.connect(settings.clickhouse.get_secret_value(), threads=2, timeout_s=60)
    except ValueError as wrong:
        raise BrokenSetting(f"VOLTSTREAM_CLICKHOUSE: {wrong}") from None


class Archive:
    """The one writer of `events`: a member of its group."""

    def __init__(self, settings: Settings, db: ClickHouse, stopping: asyncio.Event | None = None) -> None:
        self._settings = settings
        self._db = db
        self._sink = Sink(db, replicated=bool(settings.clickhouse_cluster))
        self._stopping = stopping or asyncio.Event()
        self._next: dict[Partition, int] = {}
        """What is stored already, of the partitions that are ours."""
        self._busy = asyncio.Lock()

    async def migrate(self) -> None:
        """Bring the database to today's shape; several processes may do so at once. Raises `BrokenSetting` if it may not."""
        cluster = self._settings.clickhouse_cluster
        try:
            await self._patiently(lambda: clickhouse.migrate(self._db, SCHEMA, cluster=cluster))
        except (Refused, MigrationRefused) as why:
            raise BrokenSetting(f"VOLTSTREAM_CLICKHOUSE: {self._db.address} cannot be used: {why}") from why

    # ---- the process ----

    async def run(self, ready: Callable[[], None]) -> None:
        """Migrate, then read until asked to stop."""
        reading = asyncio.create_task(self._read(ready))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
        await self._finish_what_is_in_hand()
        for task in (reading, stopping):
            task.cancel()
        for outcome in await asyncio.gather(reading, stopping, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, Interrupted):
                raise outcome

    async def _finish_what_is_in_hand(self) -> None:
        try:
            async with asyncio.timeout(GRACE_S), self._busy:
                pass
        except TimeoutError:
            log.warning("a batch is left unfinished; the next start finishes it", waited_s=GRACE_S)

    async def _read(self, ready: Callable[[], None]) -> None:
        await self.migrate()
        async with Batches(
            self._settings,
            "analytics",
            CATALOGUE,
            positions=self.positions,
            max_records=MAX_RECORDS,
            linger_ms=LINGER_MS,
        ) as batches:
            ready()
            async for chunks in batches:
                await self.take(chunks)

    # ---- positions ----

    async def positions(self, assigned: set[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Finish what somebody has begun of these partitions, and return where to go on."""
        async with self._busy:
            standing = await self._patiently(self._sink.standing)
            for begun in standing.begun:
                if any(span.of in assigned for span in begun.spans):
                    await self._finish(begun)
            standing = await self._patiently(self._sink.standing)
            self._next = {partition: after for partition, after in standing.next.items() if partition in assigned}
        return {(topic, number): after for (topic, number), after in self._next.items()}

    async def _finish(self, begun: Plan) -> None:
        log.info("finishing a batch that was cut short", spans=[str(span) for span in begun.spans])
        records = await reread(self._settings, begun.spans)
        await self._store(begun, records)

    # ---- records ----

    async def take(self, chunks: Sequence[Chunk]) -> None:
        """Store what of `chunks` is not stored yet."""
        async with self._busy:
            new = {span_of(fresh): fresh for chunk in chunks if (fresh := list(self._fresh(chunk)))}
            if not new:
                return
            batch = plan(list(new))
            await self._patiently(lambda: self._sink.begin(batch))
            await self._store(batch, [record for span in batch.spans for record in new[span]])
            self._next |= {span.of: span.after for span in batch.spans}

    def _fresh(self, chunk: Chunk) -> Iterator[Record]:
        after = self._next.get(Partition(chunk.topic.name, chunk.partition), 0)
        for record in chunk.records:
            if record.offset >= after:
                after = record.offset + 1
                yield record

    async def _store(self, batch: Plan, records: Sequence[Record]) -> None:
        since = clock.now()
        lines = [rows.line(record) for record in records]
        encoded = rows.encode(lines)
        await self._patiently(lambda: self._sink.store(batch, encoded))
        await self._patiently(lambda: self._sink.end(batch))
        metrics.CLICKHOUSE_DURATION.observe((clock.now() - since).total_seconds())
        metrics.CLICKHOUSE_ROWS.inc(len(records))
        _account(lines)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        return await CLICKHOUSE.attempt(work, self._stopping)


def span_of(records: Sequence[Record]) -> Span:
    """Return the span of a partition's records."""
    first, last = records[0], records[-1]
    return Span(first.topic.name, first.partition, first.offset, last.offset + 1)


def _account(lines: Sequence[Line]) -> None:
    """Say how late the newest of each topic is, and which records nobody can read."""
    for topic, newest in {line.topic: line for line in lines}.items():
        age = clock.now() - datetime.fromisoformat(newest.recorded_time)
        metrics.EVENT_AGE.labels(topic).observe(max(0.0, age.total_seconds()))
    for line in lines:
        if line.unread:
            metrics.UNREADABLE.labels(line.topic).inc()
            log.error("stored, but nobody can read it", place=line.id, why=line.unread)


async def reread(settings: Settings, spans: Sequence[Span]) -> list[Record]:
    """Return the records of `spans` in the order of a batch. Raises `LogTruncated` if some are not there any more."""
    begins = {TopicPartition(full(settings, span.topic), span.partition): span for span in spans}
    consumer = kafka.plain_consumer(settings)
    await kafka.started(consumer, "unfinished batch")
    try:
        consumer.assign(list(begins))
        await check_not_truncated(consumer, {place: span.first for place, span in begins.items()})
        _check_still_there(begins, await consumer.end_offsets(list(begins)))
        return [record for place, span in begins.items() for record in await _span(consumer, place, span)]
    finally:
        await consumer.stop()


def _check_still_there(begins: Mapping[TopicPartition, Span], ends: Mapping[TopicPartition, int]) -> None:
    for place, span in begins.items():
        if ends[place] < span.after:
            raise LogTruncated(
                f"{place.topic}, partition {place.partition}: offset {span.after - 1} has been read from it, but the log ends "
                f"at {ends[place]}. It is another log than ClickHouse was filled from, or has lost its end"
            )


async def _span(consumer: AIOKafkaConsumer, place: TopicPartition, span: Span) -> list[Record]:
    """Return what is left of a span; compaction may have taken some of it, even its end."""
    topic, found = TOPICS[span.topic], list[Record]()
    consumer.seek(place, span.first)
    while await consumer.position(place) < span.after:
        for raw in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
            if raw.offset < span.after:
                found.append(record_of(topic, raw))
    return found
