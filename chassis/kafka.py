"""Kafka: the only module that knows aiokafka."""

import asyncio
import os
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAlreadyExistsError,
)

from chassis import clock, metrics
from chassis.copies import Copies, Copy, Whole
from chassis.errors import SaysWhatToDo
from chassis.logs import log
from chassis.settings import Settings
from contracts.cloudevents import Attributes, Unreadable, from_headers, to_headers
from contracts.event import Event, Message
from contracts.topics import CATALOGUE, DECIDERS, Topic

__all__ = [
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "ConsumerRebalanceListener",
    "InvalidProducerEpoch",
    "KafkaError",
    "MessageSizeTooLargeError",
    "OutOfOrderSequenceNumber",
    "ProducerFenced",
    "TopicPartition",
]

MIB = 1 << 20
DAY_MS = 86_400_000
PARKED_DAYS = 90

E = TypeVar("E", bound=Event)


class Unavailable(Exception):
    """Kafka has not acknowledged in time, or cannot be reached."""


class WrongTopics(SaysWhatToDo):
    """Topics are missing or have another number of partitions. The message says which, and what to do."""


class LogTruncated(SaysWhatToDo):
    """What was to be read next has expired from the log: going on would skip it silently."""


@dataclass(frozen=True)
class Place:
    """Where a record lies."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies in Kafka."""

    topic: Topic[Any]
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int

    def attributes(self) -> Attributes:
        """Return its CloudEvents attributes, or raise `Unreadable`."""
        return from_headers(self.headers)

    def message(self) -> Message[Any]:
        """Return what it says, or raise `Unreadable`. A deletion says nothing: check `value` first."""
        if self.value is None:
            raise Unreadable(f"{self.topic.name}: a null where an event should be")
        attributes = self.attributes()
        return Message(self.topic.decode(self.value), attributes.id, attributes.recorded_time, self.offset)


# ---- settings in aiokafka's words ----------------------------------------------------------------------------------


def connection(settings: Settings) -> dict[str, Any]:
    """Return how any client of ours connects."""
    how: dict[str, Any] = {"bootstrap_servers": settings.kafka, "security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        how["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca or None)
    if settings.kafka_security.startswith("SASL"):
        how["sasl_mechanism"] = settings.kafka_mechanism
        how["sasl_plain_username"] = settings.kafka_username
        how["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return how


def full(settings: Settings, name: str) -> str:
    """Return the name of a topic or group in the cluster."""
    return f"{settings.topic_prefix}{name}"


def transactional_producer(settings: Settings, transactional_id: str) -> AIOKafkaProducer:
    """Return a producer that fences its namesake when it starts."""
    return AIOKafkaProducer(
        **connection(settings),
        transactional_id=full(settings, transactional_id),
        transaction_timeout_ms=settings.transaction_timeout_ms,
        retry_backoff_ms=4,  # Kafka 4 refuses for a moment, while the last transaction's marker is written
        max_batch_size=MIB,
        compression_type="lz4",
    )


def group_consumer(settings: Settings, group: str, *, reset: str = "none") -> AIOKafkaConsumer:
    """Return a member of a group whose offsets are kept elsewhere."""
    return AIOKafkaConsumer(
        **connection(settings),
        group_id=full(settings, group),
        group_instance_id=f"{group}-{settings.member}" if settings.member else None,
        enable_auto_commit=False,
        auto_offset_reset=reset,
        isolation_level="read_committed",
        partition_assignment_strategy=(RangePartitionAssignor,),  # the only one that keeps joined inputs together
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(3000, settings.session_timeout_ms // 3),
        max_poll_interval_ms=600_000,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=MIB,
    )


def plain_consumer(settings: Settings, *, committed: bool = True) -> AIOKafkaConsumer:
    """Return a consumer without a group: whoever takes it assigns and seeks."""
    return AIOKafkaConsumer(
        **connection(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # with the default, `assign` races to the end and nothing is restored
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * MIB,
    )


async def started(client: Any, what: str) -> None:
    """Start an aiokafka client, waiting for Kafka as long as it takes and saying so."""
    waits = 0
    while True:
        try:
            await client.start()
        except KafkaConnectionError:
            if waits % 10 == 0:
                log.warning("waiting for Kafka", what=what, hint="is VOLTSTREAM_KAFKA right, and is the broker up?")
            waits += 1
            await asyncio.sleep(0.5)
        else:
            return


async def abandoned(producer: AIOKafkaProducer) -> None:
    """Close a producer, whatever state it is in: what it has not committed is not true, so nothing is waited for long."""
    try:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(producer.stop(), 5)
    finally:
        await producer.client.close()  # a fenced producer's own stop raises before it comes to this


# ---- topics --------------------------------------------------------------------------------------------------------


def _topic_settings(topic: Topic[Any]) -> dict[str, str]:
    if topic.compacted:
        return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.3"}
    return {"retention.ms": str(topic.kept_days * DAY_MS if topic.kept_days else -1)}


def all_topics() -> dict[str, dict[str, str]]:
    """Return every topic of the deployment, without prefix, and its settings in Kafka."""
    parked = {"retention.ms": str(PARKED_DAYS * DAY_MS)}
    return (
        {topic.name: _topic_settings(topic) for topic in CATALOGUE}
        | {f"{topic.name}.unread": parked for topic in CATALOGUE}
        | {f"{name}.state": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2"} for name in DECIDERS}
        | {f"{name}.parked": parked for name in DECIDERS}
    )


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing, check those that are there, and return the names of the new ones."""
    admin = AIOKafkaAdminClient(**connection(settings))
    await started(admin, "topics")
    try:
        wanted = {full(settings, name): how for name, how in all_topics().items()}
        missing = set(wanted) - set(await admin.list_topics())
        new = [
            NewTopic(name, settings.partitions, settings.replication, topic_configs=wanted[name])
            for name in sorted(missing)
        ]
        if new:
            with suppress(TopicAlreadyExistsError):
                await admin.create_topics(new)
        await _until_there(admin, settings, set(wanted))
    finally:
        await admin.close()
    return sorted(missing)


async def _until_there(admin: AIOKafkaAdminClient, settings: Settings, names: set[str]) -> None:
    for _ in range(100):
        if names <= set(await admin.list_topics()):
            with suppress(WrongTopics):
                return await _check(admin, settings, names)
        await asyncio.sleep(0.1)
    return await _check(admin, settings, names)


async def _check(admin: AIOKafkaAdminClient, settings: Settings, names: set[str]) -> None:
    found = {
        t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(sorted(names)) if not t["error_code"]
    }
    if gone := sorted(names - set(found)):
        raise WrongTopics(f"missing in Kafka: {', '.join(gone)}. `python -m chassis.topics create` creates them")
    if wrong := sorted(name for name, count in found.items() if count != settings.partitions):
        raise WrongTopics(
            f"{', '.join(wrong)}: {found[wrong[0]]} partitions where VOLTSTREAM_PARTITIONS says {settings.partitions}. "
            "Partitions are never changed in place: set VOLTSTREAM_PARTITIONS to what the topics have"
        )


async def check_topics(settings: Settings, names: Iterable[str]) -> None:
    """Raise `WrongTopics` unless these topics are there with as many partitions as the settings say."""
    admin = AIOKafkaAdminClient(**connection(settings))
    await started(admin, "topics")
    try:
        await _check(admin, settings, {full(settings, name) for name in names})
    finally:
        await admin.close()


# ---- writing -------------------------------------------------------------------------------------------------------


def new_traceparent() -> str:
    """Return the start of a trace (W3C Trace Context)."""
    random = os.urandom(24).hex()
    return f"00-{random[:32]}-{random[32:]}-01"


class Log:
    """Appends events, each acknowledged by all replicas and once, outside any transaction."""

    def __init__(self, settings: Settings, *, linger_ms: int = 5) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **connection(settings),
            enable_idempotence=True,
            acks="all",
            max_batch_size=MIB,  # with the default, the waiters of a full batch all wake at once
            linger_ms=linger_ms,
            compression_type="lz4",
            retry_backoff_ms=20,
        )

    async def start(self) -> None:
        """Connect, however long it takes."""
        await started(self._producer, "producer")

    async def stop(self) -> None:
        """Send what is waiting, and disconnect."""
        await self._producer.stop()

    async def send(
        self,
        topic: Topic[E],
        event: E,
        *,
        id: str,
        source: str,
        traceparent: str | None = None,
        recorded_at: datetime | None = None,
    ) -> asyncio.Future[Any]:
        """Put an event into the next batch; the future is done when it is acknowledged."""
        key = topic.key_of(event)
        attributes = Attributes(
            id=id,
            type=f"voltstream.{type(event).__name__}",
            source=source,
            subject=key.decode(),
            time=event.at,
            recorded_time=recorded_at or clock.now(),
            traceparent=traceparent,
        )
        future: asyncio.Future[Any] = await self._producer.send(
            full(self._settings, topic.name),
            topic.encode(event),
            key=key,
            partition=topic.partition(event) if topic.partition else None,
            headers=to_headers(attributes),
        )
        metrics.EVENTS_PRODUCED.labels(topic.name).inc()
        return future

    async def append(
        self,
        topic: Topic[E],
        event: E,
        *,
        id: str,
        source: str,
        traceparent: str | None = None,
        recorded_at: datetime | None = None,
        timeout: float = 5,
    ) -> Place:
        """Return where `event` lies once Kafka has it for good. Raises `Unavailable`: it may be there all the same."""
        try:
            async with asyncio.timeout(timeout):
                future = await self.send(
                    topic, event, id=id, source=source, traceparent=traceparent, recorded_at=recorded_at
                )
                # Shielded: giving up waiting must not cancel a batch's future under the producer.
                done = await asyncio.shield(future)
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka did not acknowledge within {timeout:g} s") from error
        return Place(done.partition, done.offset)


# ---- reading -------------------------------------------------------------------------------------------------------


class CopyKeeper:
    """Keeps whole copies of compacted topics current while it is entered."""

    def __init__(self, settings: Settings, *wholes: Whole[Any]) -> None:
        self._settings = settings
        self._by_name = {full(settings, whole.topic.name): whole.topic for whole in wholes}
        self._consumer = plain_consumer(settings) if wholes else None
        self.copies = Copies(*wholes)
        self.task: asyncio.Task[None] | None = None
        self.changed: Callable[[Topic[Any], bytes], None] | None = None
        """Called after each record with the topic and the record's key."""

    async def __aenter__(self) -> Copies:
        if self._consumer:
            await started(self._consumer, "copies")
            await self._read_whole(self._consumer)
            self.task = asyncio.create_task(self._follow(self._consumer), name="copies")
        return self.copies

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if self._consumer:
            await self._consumer.stop()

    async def _read_whole(self, consumer: AIOKafkaConsumer) -> None:
        places = [TopicPartition(name, p) for name in self._by_name for p in range(self._settings.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        behind = {place for place, end in ends.items() if end > 0}
        read = 0
        while behind:
            read += self._take(await consumer.getmany(timeout_ms=200, max_records=5000))
            behind = {place for place in behind if await consumer.position(place) < ends[place]}
            if behind and read and read % 50_000 < 5000:
                log.info("reading reference data", records=read, of=sum(ends.values()))

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            self._take(await consumer.getmany(timeout_ms=1000))

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> int:
        for place, records in polled.items():
            topic = self._by_name[place.topic]
            copy: Copy[Any] = self.copies.of(topic)
            for record in records:
                try:
                    copy.apply(record.key, record.value)
                except Unreadable as error:
                    metrics.UNREADABLE.labels(topic.name).inc()
                    log.error("unreadable reference data is passed over", topic=topic.name, why=str(error))
                if self.changed:
                    self.changed(topic, record.key)
        return sum(len(records) for records in polled.values())


class Tail(Generic[E]):
    """What is written to one partition from now on, without waiting for transactions."""

    def __init__(self, settings: Settings, topic: Topic[E], partition: int) -> None:
        self._topic = topic
        self._place = TopicPartition(full(settings, topic.name), partition)
        self._consumer = plain_consumer(settings, committed=False)

    async def __aenter__(self) -> Self:
        """Return when the position is known: what is written after this will be heard."""
        await started(self._consumer, f"tail of {self._topic.name}")
        self._consumer.assign([self._place])
        await self._consumer.seek_to_end(self._place)
        await self._consumer.position(self._place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def __aiter__(self) -> AsyncIterator[Message[E]]:
        while True:
            for raw in (await self._consumer.getmany(self._place, timeout_ms=1000)).get(self._place, []):
                record = _record(self._topic, raw)
                try:
                    message = record.message()
                except Unreadable as error:
                    metrics.UNREADABLE.labels(self._topic.name).inc()
                    log.error("unreadable", topic=self._topic.name, offset=raw.offset, why=str(error))
                    continue
                yield message


def _record(topic: Topic[Any], raw: Any) -> Record:
    return Record(topic, raw.partition, raw.offset, raw.key or b"", raw.value, raw.headers, raw.timestamp)


def partition_of_gateway(gateway: str, partitions: int) -> int:
    """Return the partition of `gateways` that this gateway reads."""
    return zlib.crc32(gateway.encode()) % partitions


async def check_not_truncated(consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> None:
    """Raise `LogTruncated` if a place that was reached has expired from the log."""
    if not reached:
        return
    for place, first in (await consumer.beginning_offsets(list(reached))).items():
        if reached[place] < first:
            raise LogTruncated(
                f"{place.topic}, partition {place.partition}: offset {reached[place]} comes next, but the log begins at "
                f"{first}. Records have expired unread; rebuild from a backup, or accept the loss by a rebuild"
            )


Positions = Callable[[set[tuple[str, int]]], Awaitable[dict[tuple[str, int], int]]]


@dataclass(frozen=True)
class Chunk:
    """Records of one partition, in order. `after` is the offset that comes next."""

    topic: Topic[Any]
    partition: int
    records: list[Record]
    after: int


class Batches(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """For services that keep their offsets beside what they write: SQL, ClickHouse.

    `positions` says where to begin; what it does not name is read from the log's start. Nothing is skipped: an offset that
    has expired raises `LogTruncated`.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[Topic[Any]],
        *,
        positions: Positions,
        max_records: int = 2000,
        linger_ms: int = 0,
    ) -> None:
        self._settings = settings
        self._topics = {full(settings, topic.name): topic for topic in topics}
        self._positions = positions
        self._max_records = max_records
        self._linger_s = linger_ms / 1000
        self._consumer = group_consumer(settings, group)
        self._busy = asyncio.Lock()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reached: dict[TopicPartition, int] = {}
        self._committed_at = 0.0

    async def __aenter__(self) -> Self:
        await check_topics(self._settings, [topic.name for topic in self._topics.values()])
        self._consumer.subscribe(list(self._topics), listener=self)
        await started(self._consumer, "batches")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._failed.done():
            self._failed.exception()
        await self._consumer.stop()

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        async with self._busy:  # the batch in hand is finished first
            self._reached.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._begin(set(assigned))
        except BaseException as error:
            if not self._failed.done():
                self._failed.set_exception(error)
            raise

    async def _begin(self, assigned: set[TopicPartition]) -> None:
        if not assigned:
            return
        known = await self._positions({(self._topics[place.topic].name, place.partition) for place in assigned})
        first = await self._consumer.beginning_offsets(list(assigned))
        reached = {
            place: known[name]
            for place in assigned
            if (name := (self._topics[place.topic].name, place.partition)) in known
        }
        await check_not_truncated(self._consumer, reached)
        for place in assigned:
            self._consumer.seek(place, reached.get(place, first[place]))
        self._reached = reached

    async def __aiter__(self) -> AsyncIterator[list[Chunk]]:
        while True:
            if self._failed.done():
                await self._failed
            polled = await self._consumer.getmany(timeout_ms=500, max_records=self._max_records)
            if 0 < sum(map(len, polled.values())) < self._max_records and self._linger_s:
                await asyncio.sleep(self._linger_s)
                for place, more in (await self._consumer.getmany(max_records=self._max_records)).items():
                    polled.setdefault(place, []).extend(more)
            async with self._busy:
                held = self._consumer.assignment()
                chunks = [self._chunk(place, records) for place, records in polled.items() if place in held and records]
                if chunks:
                    yield chunks
                    self._reached |= {
                        TopicPartition(full(self._settings, c.topic.name), c.partition): c.after for c in chunks
                    }
            await self._commit()

    def _chunk(self, place: TopicPartition, raws: list[Any]) -> Chunk:
        topic = self._topics[place.topic]
        metrics.EVENTS_CONSUMED.labels(topic.name).inc(len(raws))
        return Chunk(topic, place.partition, [_record(topic, raw) for raw in raws], raws[-1].offset + 1)

    async def _commit(self) -> None:
        """Tell the group how far we are, for lag only."""
        loop = asyncio.get_running_loop()
        if self._reached and loop.time() - self._committed_at >= 5:
            self._committed_at = loop.time()
            await commit_for_lag(self._consumer, self._reached)


async def commit_for_lag(consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> None:
    """Commit plainly what is kept elsewhere anyway; whatever prevents it is no loss."""
    with suppress(KafkaError):
        await consumer.commit({place: offset for place, offset in reached.items() if place in consumer.assignment()})


def utc(timestamp_ms: int) -> datetime:
    """Return Kafka's timestamp as a moment."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
