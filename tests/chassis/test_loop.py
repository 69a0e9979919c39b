"""The exactly-once loop over a real Kafka: batches, owners, kills, ticks, and what becomes of bad records."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from chassis import clock, dead_letters, kafka
from chassis import loop as module
from chassis.kafka import Log, Place, Record, TopicPartition, full
from chassis.loop import Loop, StateUnreadable, TooManyParked
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import derived_id
from contracts.sessions import EnergyDelivered
from contracts.stations import HeartbeatReceived, MetersRead, TransactionEnded
from contracts.topics import COMMANDS, GATEWAYS, SESSIONS, STATIONS, Topic
from tests.chassis import toy

pytestmark = pytest.mark.timeout(90)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    import chassis.kafka

    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await chassis.kafka.create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    yield log
    await log.stop()


async def say(log: Log, event: MetersRead | HeartbeatReceived | TransactionEnded, id: str) -> Place:
    return await log.append(STATIONS, event, id=id, source="/test", timeout=30)


@asynccontextmanager
async def running(stream: Stream, settings: Settings) -> AsyncIterator[Loop]:
    """A member of the service's group, ready."""
    loop, ready, stop = Loop(stream, settings), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(loop.run(ready.set, stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    try:
        yield loop
    finally:
        stop.set()
        await task


async def everything(settings: Settings, name: str) -> list[Record]:
    """Return all committed records of a topic."""
    topic: Topic[Any] = SESSIONS
    places = [TopicPartition(full(settings, name), partition) for partition in range(settings.partitions)]
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    found = []
    try:
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                for raw in (await consumer.getmany(place, timeout_ms=100)).get(place, []):
                    record = Record(topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers, raw.timestamp)
                    found.append(record)
    finally:
        await consumer.stop()
    return found


async def until(fact: Callable[[], Awaitable[bool]], *, within: float = 30) -> None:
    async with asyncio.timeout(within):
        while not await fact():
            await asyncio.sleep(0.05)


async def counts(settings: Settings) -> dict[str, list[int]]:
    """Return what the toy has counted of each station, in order."""
    found: dict[str, list[int]] = {}
    for record in await everything(settings, "sessions"):
        event = SESSIONS.decode(record.value or b"")
        assert isinstance(event, EnergyDelivered)
        found.setdefault(event.station, []).append(event.energy_wh)
    return found


def counted(settings: Settings, wanted: dict[str, list[int]]) -> Callable[[], Awaitable[bool]]:
    async def fact() -> bool:
        found = await counts(settings)
        return all(len(found.get(station, [])) >= len(numbers) for station, numbers in wanted.items())

    return fact


async def test_outputs_states_and_offsets_are_committed_together(settings: Settings, log: Log) -> None:
    for number in range(3):
        await say(log, toy.read("A"), f"a{number}")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1, 2, 3]}))
    assert (await counts(settings))["A"] == [1, 2, 3]
    states = {record.key: record.value for record in await everything(settings, "sessions.state")}
    assert b'"count":3' in (states[b"acme/A"] or b"")
    offsets = [value for key, value in states.items() if key == b"~offsets"]
    assert offsets


async def test_an_outputs_id_derives_from_its_cause(settings: Settings, log: Log) -> None:
    await say(log, toy.read("A"), "the cause")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1]}))
    (record,) = await everything(settings, "sessions")
    attributes = record.attributes()
    assert attributes.id == derived_id("the cause", "sessions", 0)
    assert (attributes.type, attributes.source) == ("voltstream.EnergyDelivered", "/voltstream/sessions")
    assert attributes.sequence == 1


async def test_an_answer_follows_the_commit(settings: Settings, log: Log) -> None:
    async with kafka.Tail(settings, GATEWAYS, 0) as tail, running(toy.stream(), settings):
        await say(log, toy.read("A"), "a1")
        async for message in tail:
            assert message.event.station == "A"
            break
        assert (await counts(settings))["A"] == [1]


async def test_an_output_lies_in_the_partition_of_its_input(settings: Settings, log: Log) -> None:
    place = await say(log, toy.read("A"), "a1")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1]}))
    assert [record.partition for record in await everything(settings, "sessions")] == [place.partition]


async def test_what_is_passed_on_lies_in_the_partition_of_its_own_key_and_is_written_once(
    settings: Settings, log: Log
) -> None:
    places = {await say(log, toy.read(station), f"{station}1") for station in "ABCDEFGH"}
    assert len({place.partition for place in places}) > 1
    stream = dataclasses.replace(toy.stream(), rules=toy.PassesOn(), rekeyed=True, deadline=None)
    async with running(stream, settings):
        await until(counted(settings, {"ALL": [1] * 8}))
    async with running(stream, settings):
        await say(log, toy.read("A"), "A2")
        await until(counted(settings, {"ALL": [1] * 9}))
    found = await everything(settings, "sessions")
    assert {record.partition for record in found} == {kafka.partition_of_key(b"acme/ALL", settings.partitions)}
    assert len({record.attributes().id for record in found}) == len(found) == 9
    assert {record.attributes().sequence for record in found} == {None}
    assert not [record for record in await everything(settings, "sessions.state") if record.key != b"~offsets"]


async def test_a_restart_goes_on_where_the_last_commit_was(settings: Settings, log: Log) -> None:
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a1")
        await until(counted(settings, {"A": [1]}))
    await say(log, toy.read("A"), "a2")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1, 2]}))
    assert (await counts(settings))["A"] == [1, 2]


@pytest.mark.covers("C-086")
async def test_three_members_share_four_partitions_and_lose_nothing_when_they_come_and_go(
    settings: Settings, log: Log
) -> None:
    stations = [f"S{number}" for number in range(24)]

    async def talk() -> None:
        for number in range(20):
            for station in stations:
                await log.send(STATIONS, toy.read(station), id=f"{station}/{number}", source="/test")
            await asyncio.sleep(0.1)

    wanted = {station: list(range(1, 21)) for station in stations}
    async with running(toy.stream(), settings) as first:
        talking = asyncio.create_task(talk())
        async with running(toy.stream(), settings) as second:
            async with running(toy.stream(), settings) as third:
                members = (first, second, third)

                async def all_shared() -> bool:
                    held = [sorted(member.partitions) for member in members]
                    return sorted(itertools.chain(*held)) == [0, 1, 2, 3] and all(held)

                await until(all_shared)
                await talking
            await until(counted(settings, wanted))
    assert await counts(settings) == wanted


async def test_a_partition_that_comes_back_uses_the_states_it_kept(settings: Settings, log: Log) -> None:
    async with running(toy.stream(), settings) as first:
        for station in "ABCDEFGH":
            await say(log, toy.read(station), f"{station}1")
        await until(counted(settings, {station: [1] for station in "ABCDEFGH"}))
        async with running(toy.stream(), settings) as second:
            await until(lambda: _true(len(first.partitions) == 2 and len(second.partitions) == 2))
            kept = {number: first.partitions[number].held.states for number in first.partitions}
        await until(lambda: _true(len(first.partitions) == 4))
        for station in "ABCDEFGH":
            await say(log, toy.read(station), f"{station}2")
        await until(counted(settings, {station: [1, 2] for station in "ABCDEFGH"}))
        for number, states in kept.items():
            assert first.partitions[number].held.states is states
    assert await counts(settings) == {station: [1, 2] for station in "ABCDEFGH"}


async def _true(fact: bool) -> bool:
    return fact


async def test_a_former_owner_is_fenced(settings: Settings, log: Log) -> None:
    """A zombie that still believes in its partition cannot commit, and takes nothing in vain."""
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a1")
        await until(counted(settings, {"A": [1]}))
        for number in range(4):
            usurper = kafka.transactional_producer(settings, f"sessions-{number}")
            await usurper.start()
            await usurper.stop()
        await say(log, toy.read("A"), "a2")
        await until(counted(settings, {"A": [1, 2]}))
    assert (await counts(settings))["A"] == [1, 2]


async def test_a_rebalance_while_a_batch_lingers_is_quick_and_keeps_the_states(settings: Settings, log: Log) -> None:
    stop = asyncio.Event()

    async def talk() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            for station in "ABCDEFGH":
                await log.send(STATIONS, toy.read(station), id=f"{station}{number}", source="/test")
            await asyncio.sleep(0.01)

    async with running(toy.stream(), settings) as first:
        talking = asyncio.create_task(talk())
        await until(counted(settings, {station: [1] for station in "ABCDEFGH"}))
        for _ in range(2):
            before = {number: partition.held for number, partition in first.partitions.items()}
            async with running(toy.stream(), settings) as second:
                await until(lambda member=second: _true(len(member.partitions) == 2))  # type: ignore[misc]
                kept = set(first.partitions)
                assert all(first.partitions[number].held is before[number] for number in kept)
            await until(lambda: _true(len(first.partitions) == 4))
        stop.set()
        await talking
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in (await counts(settings)).values())


async def test_whoever_waits_ends_the_lingering_of_a_batch(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 3600)
    stream = dataclasses.replace(toy.stream(), hears=(MetersRead, TransactionEnded))
    async with running(stream, settings):
        await say(log, toy.read("A"), "r1")
        await say(log, toy.read("A"), "r2")
        assert await counts(settings) == {}
        await say(log, toy.ended("A"), "e1")
        await until(counted(settings, {"A": [1, 2]}))


async def test_who_hears_nothing_of_what_is_awaited_lets_nobody_wait(settings: Settings) -> None:
    assert "voltstream.TransactionEnded" not in Loop(toy.stream(), settings).awaited
    hears_all = dataclasses.replace(toy.stream(), hears=())
    assert "voltstream.TransactionEnded" in Loop(hears_all, settings).awaited


async def test_what_another_input_follows_up_waits_for_it_in_the_batch(settings: Settings) -> None:
    patient = dataclasses.replace(toy.stream(), hears=(), unhurried=(TransactionEnded,))
    assert "voltstream.TransactionEnded" not in Loop(patient, settings).awaited


async def test_offsets_are_kept_also_while_only_what_means_nothing_comes(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OFFSETS_AT_LEAST_EVERY_S", 0)
    async with running(toy.stream(), settings):
        await say(log, toy.heartbeat("A"), "h1")

        async def kept() -> bool:
            rows = [r.value or b"" for r in await everything(settings, "sessions.state") if r.key == module.OFFSETS]
            return any(msgspec.json.decode(row, type=module.Reached).offsets.get("stations") for row in rows)

        await until(kept)


async def test_a_deadline_is_heard_as_a_tick_and_carries_its_own_time(settings: Settings, log: Log) -> None:
    past = clock.now() - timedelta(hours=2)
    soon = clock.now() - timedelta(hours=1) + timedelta(seconds=1)
    async with running(toy.stream(), settings):
        await say(log, toy.read("slow", at=past), "s1")
        await say(log, toy.read("slower", at=toy.NOON + (soon - toy.NOON)), "s2")
        await say(log, toy.read("slow never", at=clock.now()), "s3")
        await until(counted(settings, {"slow": [1, 1001]}))
    ticked = [
        event
        for record in await everything(settings, "sessions")
        if isinstance(event := SESSIONS.decode(record.value or b""), EnergyDelivered) and event.energy_wh > 1000
    ]
    assert [event.at for event in ticked if event.station == "slow"] == [past + timedelta(hours=1)]
    assert not [event for event in ticked if event.station == "slow never"]


async def test_a_deadline_is_heard_also_while_records_keep_arriving(settings: Settings, log: Log) -> None:
    place = await say(log, toy.heartbeat("slow"), "h1")
    others = [f"B{number}" for number in range(40)]
    beside = [name for name in others if (await say(log, toy.heartbeat(name), name)).partition == place.partition]
    stop = asyncio.Event()

    async def talk() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            await log.send(STATIONS, toy.read(beside[number % len(beside)]), id=f"b{number}", source="/test")
            await asyncio.sleep(0.005)

    async with running(toy.stream(), settings):
        talking = asyncio.create_task(talk())
        due = clock.now() + timedelta(seconds=1)
        await say(log, toy.read("slow", at=due - timedelta(hours=1)), "s1")
        await until(counted(settings, {"slow": [1, 1001]}), within=20)
        assert not talking.done()
        stop.set()
        await talking


async def test_events_that_mean_nothing_are_passed_over(settings: Settings, log: Log) -> None:
    await say(log, toy.heartbeat("A"), "h1")
    await say(log, toy.read("A"), "a1")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1]}))
    assert (await counts(settings))["A"] == [1]


async def test_bytes_that_nobody_can_read_are_kept_and_the_rest_goes_on(settings: Settings, log: Log) -> None:
    raw = kafka.AIOKafkaProducer(**kafka.connection(settings))
    await raw.start()
    place = await say(log, toy.read("A"), "a1")
    headers = [("ce_type", b"voltstream.MetersRead")]
    await raw.send_and_wait(
        full(settings, "stations"), b"\xff{", key=b"acme/A", partition=place.partition, headers=headers
    )
    await raw.stop()
    await say(log, toy.read("A"), "a2")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1, 2]}))
    (unread,) = await everything(settings, "stations.unread")
    assert (unread.key, unread.value) == (b"acme/A", b"\xff{")
    assert dict(unread.headers)["dlq_offset"] == b"1"


async def test_a_rule_that_raises_parks_its_key_and_serves_all_others(settings: Settings, log: Log) -> None:
    await say(log, toy.read("A"), "a1")
    await say(log, toy.read("A", "bad"), "a2")
    await say(log, toy.read("A"), "a3")
    for number in range(10):
        await say(log, toy.read(f"B{number}"), f"b{number}")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1], **{f"B{number}": [1] for number in range(10)}}))
        await say(log, toy.read("A"), "a4")
        await until(lambda: _parked(settings, 3))
    assert (await counts(settings))["A"] == [1]
    parked = await everything(settings, "sessions.parked")
    assert [dict(record.headers)["ce_id"] for record in parked] == [b"a2", b"a3", b"a4"]
    assert b"ZeroDivisionError" in dict(parked[0].headers)["dlq_error"]
    ((key, (_, why)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
    assert key == b"acme/A"
    assert "ZeroDivisionError" in why.error


async def test_a_record_of_a_parked_key_that_is_too_large_to_wait_is_kept_as_unread_with_its_beginning(
    settings: Settings, log: Log
) -> None:
    """Compressed it fitted Kafka's limit: written again as it is, it would never be taken."""
    place = await say(log, toy.read("A", "bad"), "a1")
    raw = kafka.AIOKafkaProducer(
        **kafka.connection(settings), compression_type="zstd", max_request_size=3 * kafka.RECORD_LIMIT
    )
    await raw.start()
    value, headers = b" " * (2 * kafka.RECORD_LIMIT), [("ce_type", b"voltstream.MetersRead")]
    await raw.send_and_wait(
        full(settings, "stations"), value, key=b"acme/A", partition=place.partition, headers=headers
    )
    await raw.stop()
    await say(log, toy.read("A"), "a2")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 2))
    (unread,) = await everything(settings, "stations.unread")
    assert unread.value == value[: module.CUT]
    assert dict(unread.headers)["dlq_bytes"] == str(len(value)).encode()
    assert [dict(each.headers)["ce_id"] for each in await everything(settings, "sessions.parked")] == [b"a1", b"a2"]


async def test_a_state_too_large_for_its_record_parks_its_key_and_no_other(settings: Settings, log: Log) -> None:
    for number in range(8):
        await say(log, toy.read(f"B{number}"), f"b{number}")
    await say(log, toy.read("A", "huge"), "a1")
    async with running(toy.stream(), settings):
        await until(counted(settings, {f"B{number}": [1] for number in range(8)}))
        await until(lambda: _parked(settings, 1))
    assert "A" not in await counts(settings)
    ((key, (_, why)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
    assert (key, why.error.split(":")[0]) == (b"acme/A", "StateTooLarge")


async def _parked(settings: Settings, count: int) -> bool:
    return len([r for r in await everything(settings, "sessions.parked") if b"Replay" not in (r.value or b"")]) >= count


async def test_after_the_repair_parked_records_go_through_the_rules_once_and_in_order(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(log, toy.read("A"), "a1")
    await say(log, toy.read("A", "bad"), "a2")
    await say(log, toy.read("A"), "a3")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 2))
    with monkeypatch.context() as repair:
        broken = toy.decide
        repair.setattr(toy, "decide", lambda state, message: broken(state, _mended(message)))
        async with running(toy.stream(), settings):
            await say(log, toy.read("A"), "a4")
            await until(lambda: _parked(settings, 3))
            ((key, (partition, _)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
            await dead_letters.replay(settings, "sessions", key, partition)
            await until(counted(settings, {"A": [1, 2, 3, 4]}))
            await dead_letters.replay(settings, "sessions", key, partition)
            await say(log, toy.read("A"), "a5")
            await until(counted(settings, {"A": [1, 2, 3, 4, 5]}))
    assert (await counts(settings))["A"] == [1, 2, 3, 4, 5]
    ids = [record.attributes().id for record in await everything(settings, "sessions")]
    assert ids == [derived_id(f"a{number}", "sessions", 0) for number in range(1, 6)]
    assert not await dead_letters.parked_keys(settings, "sessions")


def _mended(message: Any) -> Any:
    return msgspec.structs.replace(message, event=msgspec.structs.replace(message.event, message_id="1"))


async def test_a_replay_that_would_make_a_state_too_large_leaves_its_key_parked(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(log, toy.read("A"), "a1")
    await say(log, toy.read("A", "bad"), "a2")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 1))
    broken = toy.decide

    def worse(state: toy.State, message: Any) -> Any:
        event = message.event
        huge = msgspec.structs.replace(event, message_id="huge") if event.message_id == "bad" else event
        return broken(state, msgspec.structs.replace(message, event=huge))

    monkeypatch.setattr(toy, "decide", worse)
    async with running(toy.stream(), settings):
        ((key, (partition, _)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
        await dead_letters.replay(settings, "sessions", key, partition)
        await until(lambda: _is_parked_for(settings, "StateTooLarge"))
        await say(log, toy.read("B"), "b1")
        await until(counted(settings, {"B": [1]}))
    assert (await counts(settings))["A"] == [1]


async def _is_parked_for(settings: Settings, why: str) -> bool:
    return all(why in parked.error for _, parked in (await dead_letters.parked_keys(settings, "sessions")).values())


def in_parts() -> Stream:
    return Stream(**{**_fields(toy.stream()), "apart": {"reminder": None, "ballast": None}})


async def test_a_state_in_parts_is_restored_and_only_what_changes_is_written(settings: Settings, log: Log) -> None:
    async with running(in_parts(), settings):
        await say(log, toy.read("slow"), "s1")
        await until(counted(settings, {"slow": [1, 1001]}))
        await say(log, toy.read("A"), "a1")
        await until(counted(settings, {"A": [1]}))
    async with running(in_parts(), settings):
        await say(log, toy.read("slow"), "s2")
        await say(log, toy.read("A"), "a2")
        await until(counted(settings, {"slow": [1, 1001, 1002], "A": [1, 2]}))
    states = [(r.key, r.value is None) for r in await everything(settings, "sessions.state") if r.key != b"~offsets"]
    assert sorted(states) == [
        *[(b"acme/A", False)] * 2,
        *[(b"acme/slow", False)] * 3,
        (b"~part/reminder/acme/slow", False),
        (b"~part/reminder/acme/slow", True),
    ]


async def test_a_state_with_an_unreadable_part_is_folded_anew_and_written_whole(settings: Settings, log: Log) -> None:
    async with running(in_parts(), settings):
        await say(log, toy.read("slow", at=clock.now() - timedelta(minutes=1)), "s1")
        await until(counted(settings, {"slow": [1]}))
    (part,) = [r for r in await everything(settings, "sessions.state") if r.key == b"~part/reminder/acme/slow"]
    await raw_send(settings, "sessions.state", b"{", key=part.key, partition=part.partition)
    async with running(in_parts(), settings):
        await say(log, toy.read("slow", at=clock.now() - timedelta(hours=2)), "s2")
        await until(counted(settings, {"slow": [1, 2]}))
    assert (await counts(settings))["slow"][:2] == [1, 2]
    again = [r.value for r in await everything(settings, "sessions.state") if r.key == part.key]
    assert again[:2] == [part.value, b"{"]
    assert again[2] not in {b"{", None}


async def test_a_request_to_replay_is_not_heard_again_after_a_restart(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = toy.decide
    await say(log, toy.read("A", "bad"), "a1")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 1))
    with monkeypatch.context() as repair:
        repair.setattr(toy, "decide", lambda state, message: broken(state, _mended(message)))
        async with running(toy.stream(), settings):
            ((key, (partition, _)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
            await dead_letters.replay(settings, "sessions", key, partition)
            await until(counted(settings, {"A": [1]}))
    await say(log, toy.read("A", "bad"), "a2")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 2))
    with monkeypatch.context() as repair:
        repair.setattr(toy, "decide", lambda state, message: broken(state, _mended(message)))
        async with running(toy.stream(), settings):
            await say(log, toy.read("A"), "a3")
            await until(lambda: _parked(settings, 3))
    assert await dead_letters.parked_keys(settings, "sessions"), "nobody asked for this replay"


async def test_a_deadline_that_passed_while_its_key_was_parked_is_heard_after_the_replay(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = toy.decide

    def mended(state: toy.State, message: Any) -> list[Any]:
        return [] if getattr(message.event, "message_id", "") == "bad" else list(broken(state, message))

    due = clock.now() + timedelta(seconds=2)
    async with running(toy.stream(), settings):
        await say(log, toy.read("slow", at=due - timedelta(hours=1)), "s1")
        await say(log, toy.read("slow", "bad"), "s2")
        await until(lambda: _parked(settings, 1))
        await until(lambda: _true(clock.now() > due + timedelta(seconds=1)))
        monkeypatch.setattr(toy, "decide", mended)
        ((key, (partition, _)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
        await dead_letters.replay(settings, "sessions", key, partition)
        await until(counted(settings, {"slow": [1, 1001]}))


async def test_a_replay_without_a_repair_leaves_the_rest_waiting(settings: Settings, log: Log) -> None:
    for number, what in enumerate(["1", "bad", "1"]):
        await say(log, toy.read("A", what), f"a{number}")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 2))
        await dead_letters.replay(
            settings, "sessions", b"acme/A", (await everything(settings, "sessions.parked"))[0].partition
        )
        await say(log, toy.read("B"), "b1")
        await until(counted(settings, {"B": [1]}))
    assert (await counts(settings))["A"] == [1]
    assert await dead_letters.parked_keys(settings, "sessions")


async def test_a_bad_release_stops_the_process_instead_of_parking_everything(settings: Settings, log: Log) -> None:
    for number in range(100):
        await say(log, toy.read(f"A{number}", "bad"), f"a{number}")
    with pytest.raises(TooManyParked):
        async with running(toy.stream(), settings) as loop:
            await asyncio.wait_for(asyncio.shield(loop._failed), 30)


async def test_a_state_that_cannot_be_read_is_folded_anew_from_its_outputs(settings: Settings, log: Log) -> None:
    async with running(toy.stream(), settings):
        for number in range(3):
            await say(log, toy.read("A"), f"a{number}")
        await until(counted(settings, {"A": [1, 2, 3]}))
    state = next(record for record in await everything(settings, "sessions.state") if record.key == b"acme/A")
    await raw_send(settings, "sessions.state", STRANGE, key=b"acme/A", partition=state.partition)
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a4")
        await until(counted(settings, {"A": [1, 2, 3, 4]}))
    assert (await counts(settings))["A"] == [1, 2, 3, 4]


async def test_garbage_in_the_state_topic_is_passed_over_unless_it_took_the_place_of_what_says_how_far_we_are(
    settings: Settings, log: Log
) -> None:
    place = await say(log, toy.read("A"), "a1")
    await raw_send(settings, "sessions.state", b"{", key=b"~parked/acme/A", partition=place.partition)
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1]}))
    await raw_send(settings, "sessions.state", b"{", key=b"~offsets", partition=place.partition)
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a2")
        await until(counted(settings, {"A": [1, 2]}))
    assert (await counts(settings))["A"] == [1, 2]


async def test_without_a_word_on_how_far_it_is_a_service_stops_and_says_so(settings: Settings) -> None:
    await raw_send(settings, "sessions.state", b"{", key=b"~offsets", partition=0)
    with pytest.raises(StateUnreadable, match=r"sessions.state, partition 0: what should say how far"):
        async with running(toy.stream(), settings):
            pytest.fail("it would begin anew")


async def test_folding_anew_begins_from_nothing(settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def adding(state: toy.State, event: EnergyDelivered) -> toy.State:
        return toy.Counted(event.tenant, event.station, (state.count if isinstance(state, toy.Counted) else 0) + 1)

    monkeypatch.setattr(toy, "evolve", adding)
    async with running(toy.stream(), settings):
        for number in range(3):
            await say(log, toy.read("A"), f"a{number}")
        await until(counted(settings, {"A": [1, 2, 3]}))
    state = next(record for record in await everything(settings, "sessions.state") if record.key == b"acme/A")
    await raw_send(settings, "sessions.state", STRANGE, key=b"acme/A", partition=state.partition)
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a4")
        await until(counted(settings, {"A": [1, 2, 3, 4]}))
    assert (await counts(settings))["A"] == [1, 2, 3, 4]


STRANGE = b'{"version":7,"state":{"type":"Counted","from":"the future"}}'


async def raw_send(settings: Settings, topic: str, value: bytes, **how: Any) -> None:
    raw = kafka.AIOKafkaProducer(**kafka.connection(settings))
    await raw.start()
    try:
        await raw.send_and_wait(full(settings, topic), value, **how)
    finally:
        await raw.stop()


async def test_an_older_shape_of_state_is_lifted_to_ours(settings: Settings, log: Log) -> None:
    place = await say(log, toy.read("A"), "a1")
    old = b'{"version":1,"state":{"type":"Counted","tenant":"acme","station":"A","number":41}}'
    await raw_send(settings, "sessions.state", old, key=b"acme/A", partition=place.partition)

    def renamed(shape: dict[str, Any]) -> dict[str, Any]:
        return {**shape, "count": shape["number"]}

    stream = Stream(**{**_fields(toy.stream()), "version": 2, "upcasts": {1: renamed}})
    async with running(stream, settings):
        await until(counted(settings, {"A": [42]}))
    assert (await counts(settings))["A"] == [42]


def _fields(stream: Stream) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in stream.__dataclass_fields__}


async def test_what_has_expired_unread_stops_the_service(settings: Settings, log: Log) -> None:
    async with running(toy.stream(), settings):
        place = await say(log, toy.read("A"), "a1")
        await until(counted(settings, {"A": [1]}))
    for number in range(5):
        await say(log, toy.read("A"), f"later {number}")
    from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    await admin.start()
    where = TopicPartition(full(settings, "stations"), place.partition)
    await admin.delete_records({where: RecordsToDelete(before_offset=4)})
    await admin.close()
    with pytest.raises(kafka.LogTruncated, match="expired unread"):
        async with running(toy.stream(), settings) as loop:
            await asyncio.wait_for(asyncio.shield(loop._failed), 30)


async def test_topics_with_another_number_of_partitions_are_refused_with_what_to_do(settings: Settings) -> None:
    wrong = settings.model_copy(update={"partitions": 8})
    with pytest.raises(kafka.WrongTopics, match="VOLTSTREAM_PARTITIONS"):
        async with running(toy.stream(), wrong):
            pass


async def test_missing_topics_are_named(kafka: str) -> None:
    import chassis.kafka

    settings = Settings(kafka=kafka, topic_prefix="nothing.here.", partitions=4)
    with pytest.raises(chassis.kafka.WrongTopics, match="create"):
        async with running(toy.stream(), settings):
            pass


async def test_inputs_that_come_together_are_heard_in_the_catalogues_order() -> None:
    assert STATIONS.name == "stations"
    from contracts.topics import CATALOGUE

    assert CATALOGUE.index(STATIONS) < CATALOGUE.index(COMMANDS) < CATALOGUE.index(SESSIONS)


async def test_a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing(broker: Any, topic_prefix: str) -> None:
    settings = Settings(kafka=broker.bootstrap, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka.create_topics(settings)
    log = Log(settings, linger_ms=0)
    await log.start()
    wanted = {f"S{number}": list(range(1, 41)) for number in range(8)}

    async def talk() -> None:
        for number in range(40):
            for station in wanted:
                with contextlib.suppress(kafka.Unavailable):
                    await log.append(STATIONS, toy.read(station), id=f"{station}/{number}", source="/test", timeout=60)

    async with running(toy.stream(), settings):
        talking = asyncio.create_task(talk())
        await until(counted(settings, {"S0": [1, 2, 3, 4, 5]}))
        broker.kill()
        await broker.start()
        await talking
        await until(counted(settings, wanted), within=60)
    await log.stop()
    assert await counts(settings) == wanted
