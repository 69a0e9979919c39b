"""Kafka: the only module that knows aiokafka."""

import asyncio
import random
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from chassis import clock, metrics
from chassis.copies import Copies, Copy, Whole
from chassis.errors import SaysWhatToDo
from chassis.logs import log
from chassis.progress import NEEDS, PROGRESS
from chassis.settings import Settings
from contracts.cloudevents import Attributes, Common, Unreadable, from_headers
from contracts.event import Event, Message
from contracts.topics import CATALOGUE, DECIDERS, Topic

__all__ = [
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "ConsumerRebalanceListener",
    "InvalidProducerEpoch",
    "KafkaError",
    "MessageSizeTooLargeError",
    "NoOffsetForPartitionError",
    "OffsetOutOfRangeError",
    "OutOfOrderSequenceNumber",
    "ProducerFenced",
    "TopicPartition",
]

MIB = 1 << 20
RECORD_LIMIT = 4 * MIB
"""Of a record's bytes: a frame of 1 MiB stands in its report twice, as it came and as what it says."""
COMPRESSION = "zstd"
"""A third of lz4's cost, which aiokafka runs at its highest level, and a third of its bytes."""
MOST_BESIDES = 4096
"""What a record's key and headers need at most besides its value."""
ENOUGH_BATCHES = 4
"""While more wait for a partition, `Log.send` waits as well."""
MOST_BATCHES = 64
"""So many wait for a partition, should Kafka be away, before no more is taken."""
FETCH_WAIT_MS = 500
"""So long a fetch waits at the broker where nothing has come: each costs both sides as much as one that brings something."""
COPY_PACE_S = 0.01
"""So long after records of a copied topic were taken nothing more is."""
DAY_MS = 86_400_000
PARKED_DAYS = 90
REQUEST_TIMEOUT_MS = 15_000
"""A connection that brings no answer for so long is given up: a broker whose machine is gone closes none itself."""

LOOK_EVERY_S = 2.0
"""How often it is asked whether Kafka is there, by those who are not ready without it."""
ANSWERS_WITHIN_S = 5.0

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
        attributes, event = self.attributes(), self.topic.under(self.key, self.value)
        if attributes.type != f"voltstream.{type(event).__name__}":
            raise Unreadable(f"{self.topic.name}: the header 'ce_type' says {attributes.type}, which it is not")
        return Message(event, attributes.id, attributes.recorded_time, self.offset)

    def is_swollen(self) -> bool:
        """Whether it is larger than any record of ours may be: Kafka's limit is of compressed bytes."""
        besides = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key) + besides > RECORD_LIMIT


def record_of(topic: Topic[Any], raw: Any) -> Record:
    """Return what aiokafka has fetched as a record of ours."""
    return Record(topic, raw.partition, raw.offset, raw.key or b"", raw.value, raw.headers, raw.timestamp)


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
        max_request_size=RECORD_LIMIT + MIB,  # what is put aside carries more headers than when it came
        compression_type=COMPRESSION,
    )


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """One that says so when it fetches no more: aiokafka's would give out nothing for ever, and look healthy."""

    async def getmany(self, *places: TopicPartition, **how: Any) -> dict[TopicPartition, list[Any]]:
        found: dict[TopicPartition, list[Any]] = await super().getmany(*places, **how)
        fetching = self._fetcher.error_future
        if not found and fetching.done() and not fetching.cancelled() and (error := fetching.exception()) is not None:
            raise RuntimeError("nothing is fetched from Kafka any more") from error
        return found


def group_consumer(settings: Settings, group: str, *, reset: str = "none") -> AIOKafkaConsumer:
    """Return a member of a group whose offsets are kept elsewhere."""
    return Consumer(
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
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=MIB,
    )


def plain_consumer(
    settings: Settings, *, committed: bool = True, reset: str = "earliest", fetch_bytes: int = 50 * MIB
) -> AIOKafkaConsumer:
    """Return a consumer without a group: whoever takes it assigns and seeks."""
    return Consumer(
        **connection(settings),
        enable_auto_commit=False,
        auto_offset_reset=reset,  # with aiokafka's default, `assign` races to the end and nothing is restored
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=min(4 * MIB, fetch_bytes),
        fetch_max_bytes=fetch_bytes,
    )


async def started(client: Any, what: str) -> None:
    """Start an aiokafka client, waiting for Kafka as long as it takes and saying so. A client that does not start is closed."""
    waits = 0
    try:
        while True:
            try:
                return await client.start()  # type: ignore[no-any-return]
            except KafkaConnectionError as error:
                if waits % 10 == 0:
                    hint = "is VOLTSTREAM_KAFKA right, and is the broker up?"
                    log.warning("waiting for Kafka", what=what, why=str(error), hint=hint)
                waits += 1
                await asyncio.sleep(0.5)
    except BaseException:
        await _closed(client)
        raise


async def _closed(client: Any) -> None:
    if isinstance(client, AIOKafkaProducer):
        await abandoned(client)
    elif isinstance(client, AIOKafkaAdminClient):
        await client.close()
    else:
        await departed(client)


async def watched(consumer: AIOKafkaConsumer) -> None:
    """Look for ever whether Kafka answers: as long as it does not, the process is not ready."""
    try:
        while True:
            (NEEDS.back if await _answers(consumer) else NEEDS.away)("Kafka")
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        NEEDS.back("Kafka")


async def _answers(consumer: AIOKafkaConsumer) -> bool:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            await consumer._client.fetch_all_metadata()  # noqa: SLF001
    except (KafkaError, TimeoutError, OSError):
        return False
    return True


async def departed(consumer: AIOKafkaConsumer, *, patience: float = 5) -> None:
    """Stop a consumer, also while Kafka is away: then aiokafka's own stop may wait for it, or be cancelled by itself."""
    stopping = asyncio.create_task(consumer.stop(), name="leave")
    try:
        await asyncio.wait([stopping], timeout=patience)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait([stopping], timeout=1)
    finally:
        await consumer._client.close()  # noqa: SLF001
    if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
        log.warning("left Kafka in disorder", why=repr(error))


async def abandoned(producer: AIOKafkaProducer, *, patience: float = 5) -> None:
    """Close a producer, whatever state it is in: what it has not sent within `patience` seconds fails."""
    try:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(patience):
                await producer.stop()
    finally:
        await producer.client.close()  # a fenced producer's own stop raises before it comes to this
        await _put_down(producer)


async def _put_down(producer: AIOKafkaProducer) -> None:
    """End what aiokafka leaves running when `stop` is cut short: an idempotent producer would try for ever."""
    sender, accumulator = producer._sender.sender_task, producer._message_accumulator  # noqa: SLF001
    while sender is not None and not sender.done():
        sender.cancel()  # it takes the first for a wish to end in order
        await asyncio.wait([sender], timeout=0.1)
    waiting = [batch for batches in accumulator._batches.values() for batch in batches]  # noqa: SLF001
    waiting += accumulator._pending_batches  # noqa: SLF001
    accumulator.fail_all(ProducerClosed())
    for batch in waiting:  # whoever waits is told; that nobody does is no error
        for future in (batch._drain_waiter, *(future for future, _ in batch._msg_futures)):  # noqa: SLF001
            if future.done() and not future.cancelled():
                future.exception()


# ---- topics --------------------------------------------------------------------------------------------------------


def _topic_settings(topic: Topic[Any]) -> dict[str, str]:
    size = {"max.message.bytes": str(RECORD_LIMIT)}
    if topic.compacted:
        return size | {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.3"}
    return size | {"retention.ms": str(topic.kept_days * DAY_MS if topic.kept_days else -1)}


def all_topics() -> dict[str, dict[str, str]]:
    """Return every topic of the deployment, without prefix, and its settings in Kafka."""
    parked = {"retention.ms": str(PARKED_DAYS * DAY_MS), "max.message.bytes": str(RECORD_LIMIT + MIB)}
    return (
        {topic.name: _topic_settings(topic) for topic in CATALOGUE}
        | {f"{topic.name}.unread": parked for topic in CATALOGUE}
        | {f"{name}.state": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2"} for name in DECIDERS}
        | {f"{name}.parked": parked for name in DECIDERS}
    )


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing, check those that are there, and return the names of those it created.

    Raises `WrongTopics` when Kafka refuses one, or has one with another number of partitions.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    await started(admin, "topics")
    try:
        wanted = {full(settings, name): how for name, how in all_topics().items()}
        missing = set(wanted) - set(await _asked(admin.list_topics))
        new = [
            NewTopic(name, settings.partitions, settings.replication, topic_configs=wanted[name])
            for name in sorted(missing)
        ]
        created = await _create(admin, new) if new else []
        await _until_there(admin, settings, set(wanted))
    finally:
        await admin.close()
    return created


async def _create(admin: AIOKafkaAdminClient, new: list[NewTopic]) -> list[str]:
    answer = await _asked(lambda: admin.create_topics(new))
    refused = [
        f"Kafka does not create {name}: {said[0] if said and said[0] else for_code(code).__name__}"
        for name, code, *said in answer.topic_errors
        if code not in (0, TopicAlreadyExistsError.errno) and not for_code(code).retriable
    ]
    if refused:
        hint = "VOLTSTREAM_REPLICATION must not exceed the brokers, and the user must be allowed to create topics"
        raise WrongTopics(f"{refused[0]} ({hint})")
    return [name for name, code, *_ in answer.topic_errors if not code]


async def _asked(question: Callable[[], Awaitable[Any]]) -> Any:
    """Return Kafka's answer, asking again as long as Kafka is away."""
    waits = 0
    while True:
        try:
            return await question()
        except (KafkaError, TimeoutError) as error:
            if isinstance(error, KafkaError) and not error.retriable:
                raise
            if waits % 10 == 0:
                log.warning("waiting for Kafka", what="topics", why=repr(error))
            waits += 1
            await asyncio.sleep(0.5)


async def _until_there(admin: AIOKafkaAdminClient, settings: Settings, names: set[str]) -> None:
    for _ in range(100):
        if names <= set(await _asked(admin.list_topics)):
            break
        await asyncio.sleep(0.1)
    await _check(admin, settings, names)


async def _check(admin: AIOKafkaAdminClient, settings: Settings, names: set[str]) -> None:
    described = await _asked(lambda: admin.describe_topics(sorted(names)))
    found = {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
    if gone := sorted(names - set(found)):
        raise WrongTopics(f"missing in Kafka: {_some(gone)}. `python -m chassis.topics create` creates them")
    if wrong := sorted(name for name, count in found.items() if count != settings.partitions):
        raise WrongTopics(
            f"{_some(wrong)}: {found[wrong[0]]} partitions where VOLTSTREAM_PARTITIONS says {settings.partitions}. "
            "Partitions are never changed in place: set VOLTSTREAM_PARTITIONS to what the topics have"
        )


def _some(names: list[str]) -> str:
    """Return the first few of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


@cache
def _kind(event: type[Event]) -> bytes:
    return f"voltstream.{event.__name__}".encode()


Settled = Callable[[int, BaseException | None], None]
"""Told of a record once: its offset, or why it failed. Must not raise: others in the batch wait for theirs."""


class _Batch:
    """Records of one partition that go to Kafka together."""

    __slots__ = ("builder", "due", "settled")

    def __init__(self, builder: BatchBuilder, due: float) -> None:
        self.builder, self.due = builder, due
        self.settled: list[Settled] = []

    def settle(self, first: int) -> None:
        """It is in Kafka for good, its first record at this offset."""
        for offset, settled in enumerate(self.settled, first):
            settled(offset, None)

    def fail(self, error: BaseException) -> None:
        for settled in self.settled:
            settled(-1, error)


class Lane:
    """What goes to one partition, in order: one batch is on its way, and what is said meanwhile makes up the next."""

    __slots__ = ("counter", "name", "partition", "task", "waiting")

    def __init__(self, topic: Topic[Any], name: str, partition: int) -> None:
        self.name, self.partition = name, partition
        self.counter = metrics.EVENTS_PRODUCED.labels(topic.name)
        self.waiting: deque[_Batch] = deque()
        self.task: asyncio.Task[None] | None = None


class Address:
    """Where the events of one key go, and what all their records have in common."""

    __slots__ = ("common", "key", "lane", "topic")

    def __init__(self, topic: Topic[Any], key: bytes, source: str, lane: Lane) -> None:
        self.topic, self.key, self.lane = topic, key, lane
        self.common = Common(source, key.decode())


class Log:
    """Appends events, each acknowledged by all replicas and once, outside any transaction.

    It outlives any absence of Kafka. A record whose append was given up may still land when Kafka is back. Where a record
    fails for good, the numbers by which Kafka tells repetitions no longer fit and all later ones would fail as well: then the
    producer is replaced by a new one.

    Records are put into batches here, a batch of each partition at a time, because aiokafka's own way costs a future and
    two calls of the event loop for each record.
    """

    def __init__(self, settings: Settings, *, linger_ms: int = 5) -> None:
        self._settings, self._linger_s = settings, linger_ms / 1000
        self._producer = self._build()
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._departure: asyncio.TimerHandle | None = None
        self._mending: asyncio.Task[None] | None = None
        self._stopped = False

    def _build(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **connection(self._settings),
            enable_idempotence=True,
            acks="all",
            max_batch_size=MIB,
            max_request_size=RECORD_LIMIT,
            compression_type=COMPRESSION,
            retry_backoff_ms=20,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def start(self) -> None:
        """Connect, however long it takes."""
        await started(self._producer, "producer")

    async def stop(self, *, patience: float = 10) -> None:
        """Send what is waiting, for at most `patience` seconds, and disconnect."""
        self._stopped = True
        if self._mending:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        self._depart()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._emptied()
        await abandoned(self._producer, patience=min(patience, 1))
        await self._emptied()  # what is left fails, as the producer is closed

    async def _emptied(self) -> None:
        while tasks := [lane.task for lane in self._lanes.values() if lane.task]:
            await asyncio.wait(tasks)

    # ---- putting records into batches ----

    def address(self, topic: Topic[Any], key: bytes, source: str, partition: int | None = None) -> Address:
        """Return where events of `key` go; the partition is the one that Java would choose."""
        if partition is None:
            partition = partition_of_key(key, self._settings.partitions)
        lane = self._lanes.get((topic.name, partition))
        if lane is None:
            lane = self._lanes[topic.name, partition] = Lane(topic, full(self._settings, topic.name), partition)
        return Address(topic, key, source, lane)

    def post(
        self,
        address: Address,
        event: Event,
        *,
        id: str,
        traceparent: str | None,
        recorded_at: datetime,
        settled: Settled,
    ) -> None:
        """Put an event into the next batch; `settled` is told when it is acknowledged, or why it will not be.

        Raises `KafkaError`; among them `MessageSizeTooLargeError` for an event that fits no record (4 MiB).
        """
        value = address.topic.encode(event)
        if value is not None and len(value) > RECORD_LIMIT - MOST_BESIDES:
            raise MessageSizeTooLargeError(f"an event of {len(value)} bytes fits no record")
        if self._stopped:
            raise ProducerClosed
        lane = address.lane
        key, headers = address.key, address.common.headers(_kind(type(event)), id, event.at, recorded_at, traceparent)
        batch = lane.waiting[-1] if lane.waiting else self._begin_batch(lane)
        if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:  # it is full
            batch = self._begin_batch(lane)
            batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        batch.settled.append(settled)

    def _begin_batch(self, lane: Lane) -> _Batch:
        if len(lane.waiting) >= MOST_BATCHES:
            raise KafkaTimeoutError(f"{MOST_BATCHES} batches wait for {lane.name}, partition {lane.partition}")
        batch = _Batch(self._producer.create_batch(), self._loop.time() + self._linger_s)
        lane.waiting.append(batch)
        if lane.task is None:
            self._schedule(batch.due)
        return batch

    # ---- bringing them to Kafka ----

    def _depart(self) -> None:
        """Send off a batch of each partition where none is on its way: together, so that they share a request."""
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None
        for lane in self._lanes.values():
            if lane.waiting and lane.task is None:
                lane.task = self._loop.create_task(self._carry(lane))

    async def _carry(self, lane: Lane) -> None:
        batch = lane.waiting.popleft()
        try:
            offset = await self._delivered(lane, batch)
        except KafkaError as error:
            batch.fail(error)
        else:
            lane.counter.inc(len(batch.settled))
            batch.settle(offset)
        finally:
            lane.task = None
            if lane.waiting:
                self._schedule(lane.waiting[0].due)

    def _schedule(self, when: float) -> None:
        if self._stopped:
            self._depart()
        elif self._departure is None:
            self._departure = self._loop.call_at(when, self._depart)

    async def _delivered(self, lane: Lane, batch: _Batch) -> int:
        """Return the offset of a batch's first record once Kafka has it for good."""
        while self._mending:
            await asyncio.wait([self._mending])
        producer = self._producer
        batch.builder.close()
        try:
            future = await producer.send_batch(batch.builder, lane.name, partition=lane.partition)
        except KafkaError as error:
            if producer._closed or producer._sender.sender_task.done():  # noqa: SLF001
                self._mend(producer, error)
            raise
        try:
            return int((await future).offset)
        except KafkaError as error:
            self._mend(producer, error)
            raise

    def _mend(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        if not self._stopped and not self._mending and producer is self._producer:
            log.warning("a record failed: replacing the producer", why=repr(error))
            self._mending = asyncio.create_task(self._replace(producer), name="replace the producer")

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        try:
            await abandoned(broken)  # first, so that nothing of it lands behind what its successor writes
            fresh = self._build()
            await started(fresh, "producer")
            self._producer = fresh
        finally:
            self._mending = None

    # ---- one at a time ----

    async def send(
        self,
        topic: Topic[E],
        event: E,
        *,
        id: str,
        source: str,
        traceparent: str | None = None,
        recorded_at: datetime | None = None,
    ) -> asyncio.Future[Place]:
        """Put an event into the next batch; the future is done when it is acknowledged, and nobody need wait for it.

        Raises `KafkaError`; among them `MessageSizeTooLargeError` for an event that fits no record (4 MiB).
        """
        partition = topic.partition(event) if topic.partition else None
        address = self.address(topic, topic.key_of(event), source, partition)
        while len(address.lane.waiting) > ENOUGH_BATCHES:  # whoever is faster than Kafka waits for it
            self._depart()
            if address.lane.task is not None:
                await asyncio.wait([address.lane.task])
        future: asyncio.Future[Place] = self._loop.create_future()

        def settled(offset: int, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(Place(address.lane.partition, offset))
            else:
                future.set_exception(error)
                future.exception()  # looked at, so that nobody need

        self.post(
            address, event, id=id, traceparent=traceparent, recorded_at=recorded_at or clock.now(), settled=settled
        )
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
        """Return where `event` lies once Kafka has it for good.

        Raises `Unavailable` after `timeout` seconds: it may be there all the same, or land later; and
        `MessageSizeTooLargeError` for an event that fits no record.
        """
        try:
            async with asyncio.timeout(timeout):
                future = await self.send(
                    topic, event, id=id, source=source, traceparent=traceparent, recorded_at=recorded_at
                )
                return await future
        except MessageSizeTooLargeError:
            raise
        except TimeoutError as error:
            raise Unavailable(f"Kafka did not acknowledge within {timeout:g} s") from error
        except KafkaError as error:
            raise Unavailable(f"Kafka did not take it: {error!r}") from error


# ---- reading -------------------------------------------------------------------------------------------------------


async def _ends(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return where partitions end, however long Kafka takes to say so."""
    while True:
        try:
            return dict(await consumer.end_offsets(places))
        except KafkaTimeoutError as why:
            log.warning("waiting for Kafka", what="the ends of topics", why=repr(why))


class CopyKeeper:
    """Keeps whole copies of compacted topics current while it is entered."""

    def __init__(self, settings: Settings, *wholes: Whole[Any]) -> None:
        self._settings = settings
        self._by_name = {full(settings, whole.topic.name): whole.topic for whole in wholes}
        self._consumer = plain_consumer(settings) if wholes else None
        self._work = f"copies of {', '.join(whole.topic.name for whole in wholes)}"
        self.copies = Copies(*wholes)
        self.task: asyncio.Task[None] | None = None
        self.changed: Callable[[Topic[Any], bytes], None] | None = None
        """Called after each record that was taken in, with the topic and the record's key."""

    async def __aenter__(self) -> Copies:
        if self._consumer:
            await started(self._consumer, "copies")
            try:
                await self._read_whole(self._consumer)
            except BaseException:
                await departed(self._consumer)
                raise
            self.task = asyncio.create_task(self._follow(self._consumer), name="copies")
        return self.copies

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        PROGRESS.over(self._work)
        if self._consumer:
            await departed(self._consumer)

    async def until(self, stopping: asyncio.Event) -> None:
        """Return when asked to stop; raise what ends the copies before."""
        assert self.task is not None, "it is entered, and keeps something"
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait([self.task, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if self.task.done():
            self.task.result()

    async def _read_whole(self, consumer: AIOKafkaConsumer) -> None:
        places = [TopicPartition(name, p) for name in self._by_name for p in range(self._settings.partitions)]
        consumer.assign(places)
        ends = await _ends(consumer, places)
        behind = {place for place, end in ends.items() if end > 0}
        read = 0
        while behind:
            read += self._take(await consumer.getmany(timeout_ms=200, max_records=5000))
            behind = {place for place in behind if await consumer.position(place) < ends[place]}
            if behind and read and read % 50_000 < 5000:
                log.info("reading reference data", records=read, of=sum(ends.values()))

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            PROGRESS.beat(self._work)
            if self._take(await consumer.getmany(timeout_ms=1000)):
                await asyncio.sleep(COPY_PACE_S)

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> int:
        for place, records in polled.items():
            for record in records:
                self._take_in(self._by_name[place.topic], record)
        return sum(len(records) for records in polled.values())

    def _take_in(self, topic: Topic[Any], record: Any) -> None:
        copy: Copy[Any] = self.copies.of(topic)
        try:
            copy.apply(record.key or b"", record.value)
        except Unreadable as error:
            metrics.UNREADABLE.labels(topic.name).inc()
            log.error("unreadable reference data is passed over", topic=topic.name, why=str(error))
        else:
            if self.changed:
                self.changed(topic, record.key or b"")


class Tail(Generic[E]):
    """What is written to one partition from now on, without waiting for transactions."""

    def __init__(self, settings: Settings, topic: Topic[E], partition: int) -> None:
        self._topic = topic
        self._place = TopicPartition(full(settings, topic.name), partition)
        self._work = f"tail of {topic.name}"
        self._consumer = plain_consumer(settings, committed=False)

    async def __aenter__(self) -> Self:
        """Return when the position is known: what is written after this will be heard."""
        await started(self._consumer, f"tail of {self._topic.name}")
        try:
            self._consumer.assign([self._place])
            await self._consumer.seek_to_end(self._place)
            await self._consumer.position(self._place)
        except BaseException:
            await departed(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        PROGRESS.over(self._work)
        await departed(self._consumer)

    async def __aiter__(self) -> AsyncIterator[Message[E]]:
        while True:
            PROGRESS.beat(self._work)
            for raw in (await self._consumer.getmany(self._place, timeout_ms=1000)).get(self._place, []):
                record = record_of(self._topic, raw)
                try:
                    message = record.message()
                except Unreadable as error:
                    metrics.UNREADABLE.labels(self._topic.name).inc()
                    log.error("unreadable", topic=self._topic.name, offset=raw.offset, why=str(error))
                    continue
                yield message


def partition_of_key(key: bytes, partitions: int) -> int:
    """Return the partition in which a key's records lie, as Java and our producers choose it."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def partition_of_gateway(gateway: str, partitions: int) -> int:
    """Return the partition of `gateways` that this gateway reads."""
    return zlib.crc32(gateway.encode()) % partitions


async def check_not_truncated(consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> None:
    """Raise `LogTruncated` if a place that was reached has expired from the log."""
    if reached:
        _check_not_truncated(reached, await consumer.beginning_offsets(list(reached)))


def _check_not_truncated(reached: dict[TopicPartition, int], first: dict[TopicPartition, int]) -> None:
    for place, offset in reached.items():
        if offset < first[place]:
            raise LogTruncated(
                f"{place.topic}, partition {place.partition}: offset {offset} comes next, but the log begins at "
                f"{first[place]}. Records have expired unread; rebuild from a backup, or accept the loss by a rebuild"
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
    has expired raises `LogTruncated`. A batch is finished before its partitions go to another member, and `put_down` then has
    returned. Between the beginnings of two batches lie at least `pace_ms` milliseconds.
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
        pace_ms: int = 50,
        put_down: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._settings, self._group = settings, group
        self._put_down = put_down
        self._topics = {full(settings, topic.name): topic for topic in topics}
        self._positions = positions
        self._max_records = max_records
        self._linger_s, self._pace_s = linger_ms / 1000, pace_ms / 1000
        self._fetched_at = 0.0
        self._consumer = group_consumer(settings, group)
        self._idle = asyncio.Event()
        self._idle.set()
        self._placed = asyncio.Event()
        """Whether what we hold has been sought: until then, aiokafka reads from the group's offsets, which are no truth."""
        self._turn = 0
        """Another one whenever the group moves: what was polled across that may be from a wrong position."""
        self._next: dict[TopicPartition, int] = {}
        self._beginning: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committed_at = 0.0

    async def __aenter__(self) -> Self:
        await check_topics(self._settings, [topic.name for topic in self._topics.values()])
        self._consumer.subscribe(list(self._topics), listener=self)
        await started(self._consumer, "batches")
        self._watching = asyncio.create_task(watched(self._consumer), name="watch Kafka")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        PROGRESS.over(self._group)
        self._idle.set()  # aiokafka's stop waits for a rebalance to end, and so for us
        for task in (self._beginning, self._watching):
            if task:
                task.cancel()
        await departed(self._consumer)
        if self._failed.done():
            self._failed.exception()

    # ---- the group moves: aiokafka swallows whatever is raised here ------------------------------------------------

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        self._moved()
        await self._idle.wait()
        if self._put_down is not None:
            await self._put_down()
        self._next.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._moved()
        self._beginning = asyncio.create_task(self._begin(set(assigned)), name=f"positions of {self._group}")
        await asyncio.wait([self._beginning])
        if not self._beginning.cancelled() and (error := self._beginning.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    def _moved(self) -> None:
        self._turn += 1
        self._placed.clear()

    async def _begin(self, assigned: set[TopicPartition]) -> None:
        known = await self._positions({(self._topics[place.topic].name, place.partition) for place in assigned})
        first = await self._first(assigned)
        reached = {
            place: known[name]
            for place in assigned
            if (name := (self._topics[place.topic].name, place.partition)) in known
        }
        _check_not_truncated(reached, first)
        self._next = first | reached
        for place, offset in self._next.items():
            self._consumer.seek(place, offset)
        self._placed.set()

    async def _first(self, places: set[TopicPartition]) -> dict[TopicPartition, int]:
        while places:
            with suppress(KafkaTimeoutError):  # Kafka is away
                return dict(await self._consumer.beginning_offsets(list(places)))
        return {}

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[list[Chunk]]:
        while True:
            PROGRESS.beat(self._group)
            if self._failed.done():
                await self._failed
            if chunks := await self._read():
                self._idle.clear()
                try:
                    yield chunks
                finally:
                    self._idle.set()
                for chunk in chunks:
                    self._next[TopicPartition(full(self._settings, chunk.topic.name), chunk.partition)] = chunk.after
            await self._commit()

    async def _read(self) -> list[Chunk]:
        """Return what comes next, unless the group moves meanwhile: then it is read again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._placed.wait()
        if not self._placed.is_set():
            return []
        turn = self._turn
        try:
            polled = await self._poll()
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            if turn == self._turn:
                raise LogTruncated(f"what comes next is not in the log: {error}; rebuild from a backup") from error
            return []
        if turn != self._turn:
            for place in polled.keys() & self._next.keys() & self._consumer.assignment():
                self._consumer.seek(place, self._next[place])
            return []
        if sum(map(len, polled.values())) < self._max_records:
            self._fetched_at = asyncio.get_running_loop().time()
        return [self._chunk(place, records) for place, records in polled.items() if records]

    async def _poll(self) -> dict[TopicPartition, list[Any]]:
        polled: dict[TopicPartition, list[Any]] = {}
        with suppress(TimeoutError):
            await self._keep_pace()
            async with asyncio.timeout(5):  # while the group moves, aiokafka waits as long as Kafka is away
                polled = dict(await self._consumer.getmany(timeout_ms=500, max_records=self._max_records))
                if polled and self._linger_s:
                    await asyncio.sleep(self._linger_s)
                    for place, more in (await self._consumer.getmany(max_records=self._max_records)).items():
                        polled.setdefault(place, []).extend(more)
        return polled

    async def _keep_pace(self) -> None:
        """Wait until some time has passed since the last batch: what comes meanwhile makes up one batch."""
        time = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._fetched_at + self._pace_s - time()))

    def _chunk(self, place: TopicPartition, raws: list[Any]) -> Chunk:
        topic = self._topics[place.topic]
        metrics.EVENTS_CONSUMED.labels(topic.name).inc(len(raws))
        return Chunk(topic, place.partition, [record_of(topic, raw) for raw in raws], raws[-1].offset + 1)

    async def _commit(self) -> None:
        """Tell the group how far we are, for lag only."""
        loop = asyncio.get_running_loop()
        if self._placed.is_set() and self._next and loop.time() - self._committed_at >= 5:
            self._committed_at = loop.time()
            await commit_for_lag(self._consumer, dict(self._next))


async def commit_for_lag(consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> None:
    """Commit plainly what is kept elsewhere anyway; whatever prevents it within 2 s is no loss."""
    held = consumer.assignment()
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(2):
            await consumer.commit({place: offset for place, offset in reached.items() if place in held})


def utc(timestamp_ms: int) -> datetime:
    """Return Kafka's timestamp as a moment."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
