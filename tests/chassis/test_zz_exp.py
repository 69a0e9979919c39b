"""Each test states what architecture §3 promises and fails with chassis/loop.py as it stands."""
import asyncio
import msgspec
import pytest, pytest_asyncio
from typing import Any
from chassis import dead_letters, kafka
from chassis import loop as module
from chassis.kafka import Log, full, create_topics
from chassis.loop import Loop
from chassis.settings import Settings
from chassis.stream import Stream
from tests.chassis.test_loop import say, running, until, counts, counted, everything, _true, _parked, _mended, settings, log, _fields
from contracts.topics import STATIONS, SESSIONS
from tests.chassis import toy

pytestmark = pytest.mark.timeout(90)

async def raw_send(settings, topic, value, **how):
    raw = kafka.AIOKafkaProducer(**kafka.connection(settings)); await raw.start()
    try: return await raw.send_and_wait(full(settings, topic), value, **how)
    finally: await raw.stop()

async def test_1_null_ce_type(settings, log):
    place = await say(log, toy.read("A"), "a1")
    await raw_send(settings, "stations", b"{}", key=b"acme/A", partition=place.partition, headers=[("ce_type", None)])
    await say(log, toy.read("A"), "a2")
    async with running(toy.stream(), settings):
        await until(counted(settings, {"A": [1, 2]}), within=15)

async def test_2_rebalance_in_linger_keeps_states_and_is_quick(settings, log):
    stop = asyncio.Event()
    async def talk():
        n = 0
        while not stop.is_set():
            for s in "ABCDEFGH":
                await log.send(STATIONS, toy.read(s), id=f"{s}{n}", source="/t")
            n += 1
            await asyncio.sleep(0.01)
    async with running(toy.stream(), settings) as first:
        talking = asyncio.create_task(talk())
        await until(counted(settings, {s: [1] for s in "ABCDEFGH"}))
        took = []
        original = first._stop_partitions
        async def timed():
            t = asyncio.get_running_loop().time()
            await original()
            took.append(asyncio.get_running_loop().time() - t)
        first._stop_partitions = timed
        for _ in range(3):
            async with running(toy.stream(), settings) as second:
                await until(lambda: _true(len(second.partitions) == 2))
            await until(lambda: _true(len(first.partitions) == 4))
        stop.set(); await talking
        assert max(took) < 2, took

async def test_3_fold_anew_begins_from_initial(settings, log, monkeypatch):
    plain = toy.evolve
    def adding(state, event):
        count = state.count if isinstance(state, toy.Counted) else 0
        return toy.Counted(event.tenant, event.station, count + 1)
    monkeypatch.setattr(toy, "evolve", adding)
    async with running(toy.stream(), settings):
        for number in range(3):
            await say(log, toy.read("A"), f"a{number}")
        await until(counted(settings, {"A": [1, 2, 3]}))
    state = next(r for r in await everything(settings, "sessions.state") if r.key == b"acme/A")
    await raw_send(settings, "sessions.state", b'{"version":7,"state":{"type":"Counted","from":"the future"}}', key=b"acme/A", partition=state.partition)
    async with running(toy.stream(), settings):
        await say(log, toy.read("A"), "a4")
        await until(counted(settings, {"A": [1, 2, 3, 4]}))
    assert (await counts(settings))["A"] == [1, 2, 3, 4]

async def test_4_an_old_request_to_replay_is_not_heard_again_after_a_restart(settings, log, monkeypatch):
    broken = toy.decide
    mended = lambda state, message: broken(state, _mended(message))
    await say(log, toy.read("A", "bad"), "a1")
    async with running(toy.stream(), settings):
        await until(lambda: _parked(settings, 1))
    monkeypatch.setattr(toy, "decide", mended)
    async with running(toy.stream(), settings):
        ((key, (partition, _)),) = (await dead_letters.parked_keys(settings, "sessions")).items()
        await dead_letters.replay(settings, "sessions", key, partition)
        await until(counted(settings, {"A": [1]}))
    monkeypatch.setattr(toy, "decide", broken)
    async with running(toy.stream(), settings):
        await say(log, toy.read("A", "bad"), "a2")
        await until(lambda: _parked(settings, 2))
        assert await dead_letters.parked_keys(settings, "sessions")
    monkeypatch.setattr(toy, "decide", mended)
    async with running(toy.stream(), settings):
        await say(log, toy.read("B"), "b1")
        await until(counted(settings, {"B": [1]}))
        await asyncio.sleep(3)
        assert await dead_letters.parked_keys(settings, "sessions"), "nobody asked for this replay"

async def test_5_offsets_are_kept_also_while_only_noise_comes(settings, log, monkeypatch):
    monkeypatch.setattr(module, "OFFSETS_AT_LEAST_EVERY_S", 1)
    async with running(toy.stream(), settings):
        for number in range(60):
            await say(log, toy.heartbeat("A"), f"h{number}")
            await asyncio.sleep(0.05)
        kept = [r for r in await everything(settings, "sessions.state") if r.key == b"~offsets"
                and msgspec.json.decode(r.value)["offsets"].get("stations")]
    assert kept

async def test_6_a_loop_stops_without_kafka(broker, topic_prefix):
    settings = Settings(kafka=broker.bootstrap, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await create_topics(settings)
    log = Log(settings, linger_ms=0)
    await log.start()
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(Loop(toy.stream(), settings).run(ready.set, stop))
    await ready.wait()
    async def talk():
        n = 0
        while True:
            for s in "ABCDEFGH":
                await log.send(STATIONS, toy.read(s), id=f"{s}{n}", source="/t")
            n += 1
            await asyncio.sleep(0.002)
    talking = asyncio.create_task(talk())
    await until(counted(settings, {"A": [1, 2, 3]}))
    broker.kill(); await broker.ended()
    talking.cancel()
    await asyncio.sleep(1)
    t = asyncio.get_running_loop().time()
    stop.set()
    done, _ = await asyncio.wait([task], timeout=40)
    print("STOP TOOK", asyncio.get_running_loop().time() - t, done)
    await log.stop(patience=0.1)
    if not done:
        task.cancel(); await asyncio.wait([task], timeout=20)
    assert done
    task.result()
