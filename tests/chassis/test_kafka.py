"""Appending, copying, tailing and reading in batches, over a real Kafka that is also killed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis import kafka as module
from chassis.broker import Broker, free_port
from chassis.copies import Whole
from chassis.kafka import (
    AIOKafkaProducer,
    Batches,
    Chunk,
    CopyKeeper,
    KafkaError,
    Log,
    LogTruncated,
    MessageSizeTooLargeError,
    Place,
    Tail,
    TopicPartition,
    Unavailable,
    WrongTopics,
    all_topics,
    check_topics,
    connection,
    create_topics,
    full,
    partition_of_gateway,
)
from chassis.progress import PROGRESS
from chassis.settings import Settings
from contracts.event import GatewayId, SessionId, SiteId, StationId, TenantId, TokenId
from contracts.gateways import GatewayAlive
from contracts.reference import Site, SiteForgotten
from contracts.sessions import ChargingBegan, ChargingOver
from contracts.stations import Frame, HeartbeatReceived
from contracts.topics import ALIVE, CHARGING, COMMANDS, SITES, STATIONS, Topic

pytestmark = pytest.mark.timeout(300)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def harmed(broker: Broker, topic_prefix: str) -> Settings:
    """Settings for a broker of the test's own."""
    settings = Settings(kafka=broker.bootstrap, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000)
    await create_topics(settings)
    return settings


@asynccontextmanager
async def appending(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    try:
        yield log
    finally:
        await log.stop(patience=2)


@asynccontextmanager
async def writing_raw(settings: Settings) -> AsyncIterator[Any]:
    """A producer for what our own would never write."""
    producer = AIOKafkaProducer(**connection(settings), enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def heard(station: str, text: str = "[]") -> HeartbeatReceived:
    return HeartbeatReceived(
        at=NOON,
        tenant=ACME,
        station=StationId(station),
        gateway=GatewayId("g"),
        reply_to=0,
        epoch=1,
        frame=Frame(text),
        message_id="1",
    )


async def say(log: Log, station: str, id: str, *, timeout: float = 30) -> Place:
    return await log.append(STATIONS, heard(station), id=id, source="/test", timeout=timeout)


async def until(fact: Callable[[], bool], *, within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not fact():
            await asyncio.sleep(0.02)


async def ids(settings: Settings, topic: Topic[Any] = STATIONS) -> list[str]:
    """Return the ids of all records of a topic, in order within each partition."""
    places = [TopicPartition(full(settings, topic.name), partition) for partition in range(settings.partitions)]
    consumer = module.plain_consumer(settings)
    await consumer.start()
    found: list[str] = []
    try:
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                raws = (await consumer.getmany(place, timeout_ms=100)).get(place, [])
                found += [dict(raw.headers)["ce_id"].decode() for raw in raws]
    finally:
        await consumer.stop()
    return found


# ---- topics ------------------------------------------------------------------------------------------------------


async def test_topics_are_created_once_and_then_only_checked(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    assert await create_topics(settings) == sorted(full(settings, name) for name in all_topics())
    assert await create_topics(settings) == []


async def test_topics_can_be_created_by_several_at_once(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    created = await asyncio.gather(*(create_topics(settings) for _ in range(3)))
    assert sorted(name for names in created for name in names) == sorted(full(settings, name) for name in all_topics())


async def test_another_number_of_partitions_is_refused_with_what_to_do(settings: Settings) -> None:
    wrong = settings.model_copy(update={"partitions": 3})
    with pytest.raises(WrongTopics, match="4 partitions where VOLTSTREAM_PARTITIONS says 3"):
        await check_topics(wrong, ["stations"])
    with pytest.raises(WrongTopics, match="VOLTSTREAM_PARTITIONS"):
        await create_topics(wrong)


async def test_topics_that_kafka_refuses_to_create_are_named_with_its_reason(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, replication=3)
    with pytest.raises(WrongTopics, match=r"does not create .*VOLTSTREAM_REPLICATION"):
        await create_topics(settings)


async def test_missing_topics_are_named_with_the_command_that_creates_them(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix)
    with pytest.raises(WrongTopics, match=r"stations.*chassis.topics create"):
        await check_topics(settings, ["stations"])


# ---- keys and partitions -----------------------------------------------------------------------------------------


MURMUR2 = {  # from the tests of Kafka's own Java client
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", MURMUR2)
async def test_a_key_lies_in_the_partition_that_java_would_choose(settings: Settings, key: bytes) -> None:
    async with writing_raw(settings) as producer:
        place = await producer.send_and_wait(full(settings, "stations"), b"{}", key=key)
    assert place.partition == (MURMUR2[key] & 0x7FFFFFFF) % 4


def test_every_gateway_has_one_partition_for_ever() -> None:
    assert [partition_of_gateway(f"gateway-{number}", 12) for number in range(5)] == [6, 8, 2, 0, 7]


# ---- appending ---------------------------------------------------------------------------------------------------


async def test_an_append_returns_where_the_event_lies(settings: Settings) -> None:
    async with appending(settings) as log:
        first, second = await say(log, "A", "a1"), await say(log, "A", "a2")
    assert (second.partition, second.offset) == (first.partition, first.offset + 1)
    assert await ids(settings) == ["a1", "a2"]


async def test_an_event_that_fits_no_record_says_so_and_the_next_one_is_appended(settings: Settings) -> None:
    async with appending(settings) as log:
        with pytest.raises(MessageSizeTooLargeError):
            await log.append(STATIONS, heard("A", "x" * (5 << 20)), id="a1", source="/test")
        await say(log, "A", "a2")
    assert await ids(settings) == ["a2"]


async def test_without_kafka_an_append_is_unavailable_and_may_land_when_kafka_is_back(
    broker: Broker, harmed: Settings
) -> None:
    async with appending(harmed) as log:
        await say(log, "A", "a1")
        broker.kill()
        await broker.ended()
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await say(log, "A", "a2", timeout=0.2)
        await broker.start()
        await say(log, "A", "a3")
    assert await ids(harmed) == ["a1", "a2", "a3"]


async def test_a_log_outlives_a_kafka_that_is_away_for_longer_than_requests_and_batches_live(
    broker: Broker, harmed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_MS", 1000)
    async with appending(harmed) as log:
        await say(log, "A", "a1")
        broker.kill()
        await broker.ended()
        for number in range(15):
            with pytest.raises(Unavailable):
                await say(log, f"S{number}", f"s{number}", timeout=0.2)
        await broker.start()
        await eventually_appended(log, "A", "a2")
        await eventually_appended(log, "B", "b1")
    found = await ids(harmed)
    assert len(found) == len(set(found))
    assert {"a1", "a2", "b1"} <= set(found)


async def eventually_appended(log: Log, station: str, id: str) -> Place:
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable):
                return await say(log, station, id, timeout=5)


async def test_a_producer_that_has_lost_its_place_is_replaced(settings: Settings) -> None:
    """A record that fails for good leaves a gap, behind which Kafka refuses all others of that producer and partition."""
    async with appending(settings) as log:
        first = await say(log, "A", "a1")
        broken = log._producer
        place = TopicPartition(full(settings, "stations"), first.partition)
        broken._txn_manager.increment_sequence_number(place, 7)
        with pytest.raises(Unavailable, match="OutOfOrderSequenceNumber"):
            await say(log, "A", "a2")
        await say(log, "A", "a3")
        assert log._producer is not broken
    assert await ids(settings) == ["a1", "a3"]


async def test_a_replacement_delays_what_is_said_meanwhile_and_loses_none_of_it(settings: Settings) -> None:
    async with appending(settings) as log:
        first = await say(log, "A", "a0")
        place = TopicPartition(full(settings, "stations"), first.partition)
        log._producer._txn_manager.increment_sequence_number(place, 7)
        with pytest.raises(Unavailable):
            await say(log, "A", "lost")
        await asyncio.gather(*(say(log, "A", f"a{number}") for number in range(1, 20)))
    assert sorted(await ids(settings)) == sorted(f"a{number}" for number in range(20))


async def test_what_fills_several_batches_keeps_its_order(settings: Settings) -> None:
    said: list[tuple[str, int]] = []
    async with appending(settings) as log:
        address = log.address(STATIONS, b"acme/A", "/test")
        for number in range(12):

            def settled(offset: int, error: BaseException | None, name: str = f"a{number}") -> None:
                assert error is None
                said.append((name, offset))

            event = heard("A", "x" * 400_000)
            log.post(address, event, id=f"a{number}", traceparent=None, recorded_at=NOON, settled=settled)
        await until(lambda: len(said) == 12)
    assert [name for name, _ in said] == [f"a{number}" for number in range(12)] == await ids(settings)
    assert [offset for _, offset in said] == list(range(said[0][1], said[0][1] + 12))


async def test_a_log_takes_only_so_much_while_kafka_is_away(
    broker: Broker, harmed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BATCHES", 2)
    async with appending(harmed) as log:
        await say(log, "A", "a1")
        broker.kill()
        await broker.ended()
        sent = [log.send(STATIONS, heard("A", "x" * 900_000), id=f"b{number}", source="/test") for number in range(12)]
        with pytest.raises(KafkaError, match="2 batches wait"):
            await asyncio.gather(*sent)


async def test_who_says_more_than_kafka_takes_at_once_waits_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENOUGH_BATCHES", 1)
    monkeypatch.setattr(module, "MOST_BATCHES", 3)
    async with appending(settings) as log:
        for number in range(20):
            await log.send(STATIONS, heard("A", "x" * 900_000), id=f"a{number}", source="/test")
        await say(log, "A", "last")
    assert await ids(settings) == [*(f"a{number}" for number in range(20)), "last"]


async def test_a_log_that_has_stopped_takes_nothing(settings: Settings) -> None:
    async with appending(settings) as log:
        pass
    with pytest.raises(Unavailable, match="ProducerClosed"):
        await say(log, "A", "a1")


async def test_a_log_stops_without_kafka_too(broker: Broker, harmed: Settings) -> None:
    log = Log(harmed, linger_ms=0)
    await log.start()
    broker.kill()
    await broker.ended()
    waiting = asyncio.create_task(say(log, "A", "a1"))
    await until(lambda: bool(log._producer._message_accumulator._batches))
    await log.stop(patience=0.2)
    with pytest.raises(Unavailable):
        await waiting
    assert log._producer._sender.sender_task.done()


async def test_waiting_for_kafka_can_be_given_up() -> None:
    log = Log(Settings(kafka=f"127.0.0.1:{free_port()}"))
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await log.start()
    await log.stop()


# ---- whole copies ------------------------------------------------------------------------------------------------


def site(id: str, name: str) -> Site:
    return Site(at=NOON, tenant=ACME, id=SiteId(id), version=1, name=name, time_zone="UTC", currency="EUR")


async def put(log: Log, topic: Topic[Any], event: Any) -> Place:
    return await log.append(topic, event, id="1", source="/test", timeout=30)


async def test_a_copy_is_whole_when_it_is_entered_and_is_kept_current(settings: Settings) -> None:
    async with appending(settings) as log:
        await put(log, SITES, site("north", "North"))
        await put(log, SITES, site("south", "South"))
        await put(log, SITES, SiteForgotten(at=NOON, tenant=ACME, id=SiteId("south")))
        async with CopyKeeper(settings, Whole(SITES)) as copies:
            sites = copies.of(SITES)
            assert [it.name for it in sites if isinstance(it, Site)] == ["North"]
            assert sites.get("acme/south") is None
            await put(log, SITES, site("east", "East"))
            await until(lambda: sites.get("acme/east") is not None)
            await put(log, SITES, SiteForgotten(at=NOON, tenant=ACME, id=SiteId("north")))
            await until(lambda: len(sites) == 1)


def began(session: str, token: str) -> ChargingBegan:
    return ChargingBegan(
        at=NOON,
        tenant=ACME,
        session=SessionId(session),
        station=StationId("A"),
        evse=1,
        connector=1,
        token=TokenId(token),
        started_at=NOON,
    )


def by_token(event: Any) -> str | None:
    return f"{event.tenant}/{event.token}" if isinstance(event, ChargingBegan) else None


async def test_an_index_finds_what_is_and_not_what_was(settings: Settings) -> None:
    async with appending(settings) as log, CopyKeeper(settings, Whole(CHARGING, index=by_token)) as copies:
        charging = copies.of(CHARGING)
        await put(log, CHARGING, began("s1", "t1"))
        await put(log, CHARGING, began("s2", "t1"))
        await until(lambda: len(charging.by("acme/t1")) == 2)
        await put(log, CHARGING, began("s2", "t2"))
        await until(lambda: len(charging.by("acme/t2")) == 1)
        assert [it.session for it in charging.by("acme/t1") if isinstance(it, ChargingBegan)] == ["s1"]
        await put(log, CHARGING, ChargingOver(at=NOON, tenant=ACME, station=StationId("A"), session=SessionId("s1")))
        await until(lambda: not charging.by("acme/t1"))


async def test_what_nobody_can_read_leaves_a_copy_as_it_was_and_what_follows_is_taken_in(settings: Settings) -> None:
    told: list[bytes] = []
    keeper = CopyKeeper(settings, Whole(SITES))
    keeper.changed = lambda _, key: told.append(key)
    async with appending(settings) as log, writing_raw(settings) as raw:
        place = await put(log, SITES, site("north", "North"))
        name = full(settings, "sites")
        for value in (b"\xff{", b'{"type":"FromTheFuture","at":"2026-01-01T12:00:00Z"}', b"{}"):
            await raw.send_and_wait(name, value, key=b"acme/north", partition=place.partition)
        await put(log, SITES, site("south", "South"))
        async with keeper as copies:
            sites = copies.of(SITES)
            assert {it.name for it in sites if isinstance(it, Site)} == {"North", "South"}
    assert sorted(told) == [b"acme/north", b"acme/south"]


async def test_a_copy_goes_on_after_its_kafka_was_away(broker: Broker, harmed: Settings) -> None:
    async with appending(harmed) as log, CopyKeeper(harmed, Whole(SITES)) as copies:
        broker.kill()
        await broker.ended()
        await broker.start()
        await put(log, SITES, site("north", "North"))
        await until(lambda: copies.of(SITES).get("acme/north") is not None)


# ---- tails -------------------------------------------------------------------------------------------------------


async def test_a_tail_hears_what_is_said_after_it_was_entered_and_nothing_older(settings: Settings) -> None:
    async with appending(settings) as log:
        place = await say(log, "A", "old")
        async with Tail(settings, STATIONS, place.partition) as tail:
            new = await say(log, "A", "new")
            async for message in tail:
                assert (message.id, message.offset) == ("new", new.offset)
                break


async def test_a_tail_passes_over_what_nobody_can_read(settings: Settings) -> None:
    async with appending(settings) as log, Tail(settings, ALIVE, 0) as tail:
        async with writing_raw(settings) as raw:
            for headers in ([], [("ce_id", None)], [("ce_id", b"\xff")]):
                await raw.send_and_wait(full(settings, ALIVE.name), b"{}", key=b"k", partition=0, headers=headers)
        gateway = await one_in_partition(log, 0)
        async for message in tail:
            assert message.event.gateway == gateway
            break


async def one_in_partition(log: Log, partition: int) -> str:
    """Return a gateway whose sign of life, just appended, lies in this partition."""
    for number in range(100):
        alive = GatewayAlive(at=NOON, gateway=GatewayId(f"g{number}"), reply_to=0, started_at=NOON)
        if (await put(log, ALIVE, alive)).partition == partition:
            return alive.gateway
    raise AssertionError("no key falls into this partition")


# ---- batches -----------------------------------------------------------------------------------------------------

Spot = tuple[str, int]


class Sink:
    """What a service would keep in its database: the positions, and what it was given."""

    def __init__(self) -> None:
        self.reached: dict[Spot, int] = {}
        self.taken: list[tuple[str, int, int]] = []

    async def positions(self, assigned: set[Spot]) -> dict[Spot, int]:
        return {spot: offset for spot, offset in self.reached.items() if spot in assigned}

    def take(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            spot = (chunk.topic.name, chunk.partition)
            assert chunk.records[0].offset == self.reached.get(spot, 0), "records were skipped or came twice"
            self.taken += [(*spot, record.offset) for record in chunk.records]
            self.reached[spot] = chunk.after


@asynccontextmanager
async def reading(settings: Settings, sink: Sink, **how: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A member of the group that takes everything into the sink."""

    async def work() -> None:
        async with Batches(settings, "views", (STATIONS, COMMANDS), positions=sink.positions, **how) as batches:
            async for chunks in batches:
                sink.take(chunks)

    task = asyncio.create_task(work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def member(settings: Settings, sink: Sink, **how: Any) -> AsyncIterator[None]:
    """One that must not fail."""
    async with reading(settings, sink, **how) as task:
        body = asyncio.current_task()
        assert body is not None

        def ended(_: asyncio.Task[None]) -> None:
            body.cancel("the member has ended")

        task.add_done_callback(ended)
        try:
            yield
        finally:
            if task.done():
                task.result()
            task.remove_done_callback(ended)


async def fill(log: Log, first: int, last: int) -> None:
    futures = [
        await log.send(STATIONS, heard(f"S{number % 16}"), id=f"i{number}", source="/test")
        for number in range(first, last)
    ]
    await asyncio.gather(*futures)


@pytest.mark.parametrize("linger_ms", [0, 20])
async def test_batches_begin_at_the_logs_start_and_go_on_at_the_positions_kept(
    settings: Settings, linger_ms: int
) -> None:
    sink = Sink()
    async with appending(settings) as log:
        await fill(log, 0, 200)
        async with member(settings, sink, max_records=7, linger_ms=linger_ms):
            await until(lambda: len(sink.taken) == 200)
        await fill(log, 200, 300)
        async with member(settings, sink, linger_ms=linger_ms):
            await until(lambda: len(sink.taken) == 300)


async def test_the_positions_kept_are_the_truth_and_not_the_groups_offsets(settings: Settings) -> None:
    """A database that was emptied or restored: the group has gone further than it."""
    sink = Sink()
    async with appending(settings) as log:
        await fill(log, 0, 100)
        await commit_everything(settings, "views")
        async with member(settings, sink):
            await until(lambda: len(sink.taken) == 100)


async def commit_everything(settings: Settings, group: str) -> None:
    consumer = module.group_consumer(settings, group, reset="earliest")
    consumer.subscribe([full(settings, STATIONS.name), full(settings, COMMANDS.name)])
    await consumer.start()
    await until(lambda: bool(consumer.assignment()))
    await consumer.commit(await consumer.end_offsets(consumer.assignment()))
    await consumer.stop()


async def test_nothing_is_read_before_slow_positions_are_known(settings: Settings) -> None:
    """Until they are, aiokafka would read from the group's offsets."""
    sink, known = Sink(), asyncio.Event()

    class Slow(Sink):
        async def positions(self, assigned: set[Spot]) -> dict[Spot, int]:
            await known.wait()
            return await super().positions(assigned)

    sink = Slow()
    async with appending(settings) as log:
        await fill(log, 0, 50)
        await commit_everything(settings, "views")
        await fill(log, 50, 100)
        async with reading(settings, sink) as task:
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await asyncio.shield(task)
            assert sink.taken == []
            known.set()
            await until(lambda: len(sink.taken) == 100)


async def test_two_members_share_and_hand_over_without_a_gap_and_nothing_twice(settings: Settings) -> None:
    sink = Sink()
    stop = asyncio.Event()

    async def talk(log: Log) -> int:
        number = 0
        while not stop.is_set():
            await fill(log, number, number + 20)
            number += 20
        return number

    async with appending(settings) as log, member(settings, sink, max_records=50, linger_ms=5):
        talking = asyncio.create_task(talk(log))
        await until(lambda: len(sink.taken) > 100)
        for _ in range(2):
            async with member(settings, sink, max_records=50, linger_ms=5):
                before = len(sink.taken)
                await until(lambda before=before: len(sink.taken) > before + 500)  # type: ignore[misc]
        stop.set()
        said = await talking
        await until(lambda: len(sink.taken) == said)


async def test_a_batch_is_finished_before_its_partitions_go_to_another_member(settings: Settings) -> None:
    sink, in_hand, go_on = Sink(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with Batches(settings, "views", (STATIONS,), positions=sink.positions) as batches:
            async for chunks in batches:
                in_hand.set()
                await go_on.wait()
                sink.take(chunks)

    async with appending(settings) as log:
        await fill(log, 0, 50)
        first = asyncio.create_task(slow())
        await in_hand.wait()
        asked: set[Spot] = set()

        class Second(Sink):
            async def positions(self, assigned: set[Spot]) -> dict[Spot, int]:
                asked.update(assigned)
                assert go_on.is_set(), "the first member has not finished"
                return await sink.positions(assigned)

        async with reading(settings, Second()) as second:
            waiting = asyncio.get_running_loop().call_later(2, go_on.set)
            await until(lambda: bool(asked) or second.done())
            waiting.cancel()
            assert asked
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first


async def test_who_fails_in_the_middle_of_a_batch_while_the_group_moves_ends_all_the_same(settings: Settings) -> None:
    in_hand = asyncio.Event()

    async def failing() -> None:
        sink = Sink()
        async with Batches(settings, "views", (STATIONS,), positions=sink.positions) as batches:
            async for _ in batches:
                in_hand.set()
                await until(lambda: not batches._placed.is_set())
                raise ZeroDivisionError("the rows do not fit")

    async with appending(settings) as log:
        await fill(log, 0, 10)
        first = asyncio.create_task(failing())
        await in_hand.wait()
        async with reading(settings, Sink()):
            await asyncio.wait([first], timeout=30)
            with pytest.raises(ZeroDivisionError):
                first.result()


async def test_what_has_expired_unread_is_an_error_and_never_skipped(settings: Settings) -> None:
    sink = Sink()
    async with appending(settings) as log:
        place = await say(log, "A", "a0")
        for number in range(1, 9):
            await say(log, "A", f"a{number}")
    sink.reached = {("stations", place.partition): 2}
    await expire(settings, place.partition, before=5)
    async with reading(settings, sink) as task:
        await asyncio.wait([task], timeout=30)
        with pytest.raises(LogTruncated, match="offset 2 comes next, but the log begins at 5"):
            task.result()


async def test_a_position_beyond_the_logs_end_is_an_error_too(settings: Settings) -> None:
    """The database is newer than Kafka: it was restored from a backup, or its topics were made anew."""
    sink = Sink()
    async with appending(settings) as log:
        place = await say(log, "A", "a0")
    sink.reached = {("stations", place.partition): 100}
    async with reading(settings, sink) as task:
        await asyncio.wait([task], timeout=30)
        with pytest.raises(LogTruncated, match="not in the log"):
            task.result()


async def expire(settings: Settings, partition: int, *, before: int) -> None:
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    where = TopicPartition(full(settings, "stations"), partition)
    await admin.delete_records({where: RecordsToDelete(before_offset=before)})
    await admin.close()


async def test_positions_that_cannot_be_known_end_the_reading(settings: Settings) -> None:
    class Lost(Sink):
        async def positions(self, assigned: set[Spot]) -> dict[Spot, int]:
            raise ZeroDivisionError(f"the database is broken: {assigned}")

    async with reading(settings, Lost()) as task:
        await asyncio.wait([task], timeout=30)
        with pytest.raises(ZeroDivisionError):
            task.result()


async def test_batches_survive_a_kafka_that_is_killed_and_comes_back(broker: Broker, harmed: Settings) -> None:
    """Away for longer than a session: the member is thrown out and comes again. Meanwhile it goes on turning."""
    sink = Sink()
    async with appending(harmed) as log, member(harmed, sink):
        await fill(log, 0, 100)
        await until(lambda: len(sink.taken) == 100)
        broker.kill()
        await broker.ended()
        for _ in range(2):
            before = PROGRESS._beats["views"]
            await until(lambda before=before: PROGRESS._beats["views"] > before)  # type: ignore[misc]
        await broker.start()
        await fill(log, 100, 200)
        await until(lambda: len(sink.taken) == 200)
    assert "views" not in PROGRESS._beats


async def test_what_could_just_be_said_can_be_put_aside_with_a_word_on_why(settings: Settings) -> None:
    """A frame of almost 1 MiB, in the transaction that parks it."""
    producer = module.transactional_producer(settings, "sessions-0")
    await producer.start()
    try:
        async with producer.transaction():
            why = [("dlq_error", b"x" * 500), ("dlq_topic", b"stations")]
            value = os.urandom(module.MIB - 200)
            await producer.send_and_wait(full(settings, "sessions.parked"), value, key=b"acme/A", headers=why)
    finally:
        await producer.stop()


async def test_a_consumer_leaves_while_kafka_is_away(broker: Broker, harmed: Settings) -> None:
    """aiokafka's own stop may end in a CancelledError of its own making then."""
    async with appending(harmed) as log:
        await fill(log, 0, 10)
        sink = Sink()
        async with (
            Tail(harmed, STATIONS, 0),
            CopyKeeper(harmed, Whole(SITES)),
            Batches(harmed, "views", (STATIONS,), positions=sink.positions) as batches,
        ):
            async for _ in batches:
                broker.kill()
                await broker.ended()
                break


async def test_a_consumer_that_fetches_no_more_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = module.plain_consumer(settings)
    await consumer.start()

    def fails(*_: object) -> None:
        raise ValueError("a fault of aiokafka's")

    async def read() -> None:
        while True:
            await consumer.getmany(timeout_ms=100)

    monkeypatch.setattr(consumer._fetcher, "_get_actions_per_node", fails)
    consumer.assign([module.TopicPartition(module.full(settings, STATIONS.name), 0)])
    with pytest.raises(RuntimeError, match="nothing is fetched"):
        await read()
    await module.departed(consumer)
