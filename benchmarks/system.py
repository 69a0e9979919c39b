"""The whole system on one machine under a closed loop, and how long a card and a start wait at a modest rate.

The floors of CPU are what an echo server needs for as many messages, and bare aiokafka for as many records of the same size:
produced once, or copied in transactions where a decider wrote them, the broker's share of it included.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median
from time import perf_counter

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr

from benchmarks.crowd import Crowd
from benchmarks.gateway import echo
from benchmarks.harness import Figure, Ground, Mark, cpu_seconds, percentile, spread
from benchmarks.load import roster
from benchmarks.load.run import Load, Plan
from benchmarks.load.station import Member
from chassis import kafka
from chassis.broker import free_port
from chassis.kafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, connection, full
from chassis.settings import Settings
from contracts.topics import CATALOGUE
from deploy.local.rest import Rest
from deploy.local.system import SERVICES, System, build

STATIONS, SECONDS, WARM_UP = 200, 60.0, 4.0
PER_S = 50
COMMITS_EVERY_S = 5.0
"""Consumers say how far they are only so often: so much of a lag is none."""
OURS = {"authorizations", "sessions", "readings", "charging", "operations", "bills"}
"""The topics that deciders write."""


def settings() -> Settings:
    return Settings(
        kafka="127.0.0.1:0",
        clickhouse=SecretStr(f"http://127.0.0.1:{free_port()}/voltstream"),
        partitions=4,
        ocpp_port=0,
        api_port=0,
        log_level="warning",
    )


@asynccontextmanager
async def running(ground: Ground) -> AsyncIterator[tuple[System, list[Member]]]:
    """Run a whole system while it is entered; yields it, and its registered stations."""
    system = build(ground.folder / "system", settings(), names=SERVICES)
    await system.start()
    rest = Rest(system.api_url, system.admin_key)
    try:
        members = await roster.register(rest, STATIONS, say=ground.say)
        yield system, members
    finally:
        await rest.close()
        await system.stop()


def load(system: System, members: Sequence[Member], ground: Ground, **how: object) -> Load:
    plan = Plan(urls=[f"ws://127.0.0.1:{system.port_of('gateway')}/ocpp"], **how)  # type: ignore[arg-type]
    return Load(plan, members, say=ground.say)


async def measure(ground: Ground) -> list[Figure]:
    """Return CPU per message and the rate; then the waits for a card and a start."""
    async with running(ground) as (system, members):
        figures = await _closed(ground, system, members)
        figures += await _waits(ground, system, members)
    return figures


# ---- CPU ----


def pids(system: System) -> dict[str, int]:
    """Return every process of the system."""
    found = {name: part.child.pid for name, part in system.parts.items() if part.child is not None}
    return found | ({"kafka": system.kafka.pid} if system.kafka.pid is not None else {})


class Spent:
    """What the processes have computed since this was made."""

    def __init__(self, system: System) -> None:
        self._pids = pids(system)
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}


async def _closed(ground: Ground, system: System, members: Sequence[Member]) -> list[Figure]:
    crowd = load(system, members, ground, profile="closed", seconds=SECONDS, warm_up=WARM_UP)
    mine = system.settings.model_copy(update={"kafka": system.kafka.bootstrap})
    charging = asyncio.create_task(crowd.run())
    await crowd.began.wait()
    await asyncio.sleep(WARM_UP)
    spent, before, lag, began = Spent(system), crowd.figures.messages, await lags(mine), perf_counter()
    ends = await sizes(mine)
    await asyncio.sleep(SECONDS - 2)
    computed, said, took = spent.now(), crowd.figures.messages - before, perf_counter() - began
    grown = {group: records - lag.get(group, 0) for group, records in (await lags(mine)).items()}
    written = {topic: end - ends.get(topic, 0) for topic, end in (await sizes(mine)).items()}
    await charging
    per_1000 = {name: 1000 * seconds / said for name, seconds in computed.items()}
    ground.say("CPU-seconds per 1,000 messages: " + ", ".join(f"{n} {s:.3f}" for n, s in _largest(per_1000)))
    ground.say("records written: " + ", ".join(f"{topic} {n:,}" for topic, n in _largest(written) if n))
    floor = await _floor(ground, said, written)
    behind, group = max((records, group) for group, records in grown.items())
    ground.say(f"the slowest consumer is {group}: {behind:,} records further behind after {took:.0f} s")
    rate = sum(written.values()) / took
    total = sum(per_1000.values())
    whole = "CPU-seconds per 1,000 messages, all processes and Kafka"
    return [
        Figure("system", total, whole, mark=Mark(at_most=0.5)),
        Figure("system.floors", total, f"{whole}; the floor: echo, produce, copy", floor=floor),
        Figure(
            "system.rate", said / took, f"messages per second, {STATIONS} stations, the machine shared with the load"
        ),
        Figure(
            "system.lag",
            max(0.0, behind / rate),
            "seconds by which the slowest consumer fell behind meanwhile",
            mark=Mark(at_most=COMMITS_EVERY_S),
        ),
    ]


def _largest(found: dict[str, float] | dict[str, int]) -> list[tuple[str, float]]:
    return sorted(found.items(), key=lambda pair: -pair[1])


async def sizes(settings: Settings) -> dict[str, int]:
    """Return how many records every topic of the catalogue has held, by its name without prefix."""
    consumer = kafka.plain_consumer(settings, committed=False)
    await consumer.start()
    try:
        places = [TopicPartition(full(settings, t.name), n) for t in CATALOGUE for n in range(settings.partitions)]
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    found: dict[str, int] = {}
    for place, end in ends.items():
        name = place.topic.removeprefix(settings.topic_prefix)
        found[name] = found.get(name, 0) + end
    return found


async def lags(settings: Settings) -> dict[str, int]:
    """Return how many records each consumer group has yet to read, by what it has committed."""
    admin = AIOKafkaAdminClient(**connection(settings))
    consumer = kafka.plain_consumer(settings, committed=False)
    await admin.start()
    await consumer.start()
    try:
        found: dict[str, int] = {}
        for group, *_ in await admin.list_consumer_groups():
            reached = await admin.list_consumer_group_offsets(group)
            ends = await consumer.end_offsets(list(reached)) if reached else {}
            found[group] = sum(max(0, ends[place] - at.offset) for place, at in reached.items() if at.offset >= 0)
    finally:
        await consumer.stop()
        await admin.close()
    return found


async def _floor(ground: Ground, messages: int, written: dict[str, int]) -> float:
    """Return the CPU-seconds per 1,000 messages that the same traffic needs without us."""
    ours = sum(n for topic, n in written.items() if topic in OURS)
    produced = sum(written.values()) - ours
    async with ground.kafka() as broker:
        assert broker.pid is not None, "it runs"
        mine = Settings(kafka=broker.bootstrap, topic_prefix="floor.", partitions=4)
        await _topics(mine, ["in", "out"])
        before = cpu_seconds(os.getpid()) + cpu_seconds(broker.pid)
        await _produce(mine, produced)
        await _copy(mine, ours)
        records = cpu_seconds(os.getpid()) + cpu_seconds(broker.pid) - before
    async with echo(ground) as (process, port):
        crowd, began = Crowd(), 0.0

        def begin() -> None:
            nonlocal began
            began = process.cpu_seconds()

        await crowd.join(port, STATIONS)
        echoed = await crowd.closed_loop(3, warm_up=1, begin=begin)
        per_echo = (process.cpu_seconds() - began) / echoed
        await crowd.quiet()
        crowd.leave()
    return 1000 * (per_echo + records / messages)


async def _topics(settings: Settings, names: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(full(settings, name), settings.partitions, 1) for name in names])
    finally:
        await admin.close()


async def _produce(settings: Settings, records: int) -> None:
    """Produce so many records of a report's size, acknowledged."""
    producer = AIOKafkaProducer(
        **connection(settings),
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        max_batch_size=kafka.MIB,
        compression_type="lz4",
    )
    await producer.start()
    value = os.urandom(300).hex().encode() + b" " * 300
    for first in range(0, records, 500):
        batch = range(first, min(first + 500, records))
        sent = [await producer.send(full(settings, "in"), value, key=b"tenant/%d" % (n % STATIONS)) for n in batch]
        await asyncio.gather(*sent)
    await producer.stop()


async def _copy(settings: Settings, records: int) -> None:
    """Copy so many records, in transactions of one partition each, from the start again where there are not as many."""
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    places = [TopicPartition(full(settings, "in"), n) for n in range(settings.partitions)]
    consumer.assign(places)
    producers = {place: kafka.transactional_producer(settings, f"floor-{place.partition}") for place in places}
    for producer in producers.values():
        await producer.start()
    copied = 0
    while copied < records:
        polled = await consumer.getmany(timeout_ms=200, max_records=50)
        if not polled:  # deciders write more than they read: once more from the start
            await consumer.seek_to_beginning(*places)
        for place, raws in polled.items():
            async with producers[place].transaction():
                for raw in raws:
                    await producers[place].send(
                        full(settings, "out"), raw.value, key=raw.key, partition=place.partition, headers=raw.headers
                    )
            copied += len(raws)
    for producer in producers.values():
        await producer.stop()
    await consumer.stop()


# ---- waits ----


async def _waits(ground: Ground, system: System, members: Sequence[Member]) -> list[Figure]:
    """Return p50 and p99 of a card and of a start at 50/s, beside a round trip through bare Kafka of as many hops."""
    mine = system.settings.model_copy(update={"kafka": system.kafka.bootstrap, "topic_prefix": "hops."})
    figures: list[Figure] = []
    for name, action, rate, hops in (("authorize", "Authorize", PER_S, 2), ("start", "StartTransaction", 2 * PER_S, 3)):

        async def ours(name: str = name, action: str = action, rate: float = rate) -> list[float]:
            crowd = load(system, members[:PER_S], ground, profile=name, rate=rate, seconds=6, warm_up=1)
            await crowd.run()
            return [1000 * wait for wait in crowd.figures.latencies[action]]

        async def floor(hops: int = hops) -> list[float]:
            return await round_trips(mine, hops)

        figures += await _beside(ground, name, ours, floor, f"ms at {PER_S}/s; the floor: {hops} hops through Kafka")
    return figures


Waits = Callable[[], Awaitable[list[float]]]


async def _beside(ground: Ground, name: str, ours: Waits, floor: Waits, unit: str) -> list[Figure]:
    floors, found = [], []
    for _ in range(ground.runs):
        floors.append(await floor())
        found.append(await ours())
    figures = []
    for of, mark in ((0.5, None), (0.99, Mark(at_most=4))):
        beside = median(percentile(waits, of) for waits in floors)
        waited = [percentile(waits, of) for waits in found]
        ground.say(f"{name} p{of * 100:g}: {median(waited):.1f} ms beside {beside:.1f}")
        title = f"{name}.p{of * 100:g}"
        figures.append(Figure(title, median(waited), unit, floor=beside, spread=spread(waited), mark=mark))
    return figures


async def round_trips(settings: Settings, hops: int, *, number: int = 6 * PER_S) -> list[float]:
    """Return how many ms a record takes through so many topics, one produced every 1/50 s."""
    names = [f"hop{n}" for n in range(hops)]
    await _topics(settings, names)
    sent: dict[bytes, float] = {}
    took: list[float] = []
    producer = AIOKafkaProducer(**connection(settings), enable_idempotence=True, acks="all")
    await producer.start()
    consumers = [
        AIOKafkaConsumer(full(settings, name), **connection(settings), fetch_max_wait_ms=100) for name in names
    ]
    for consumer in consumers:
        await consumer.start()
        for place in consumer.assignment():
            await consumer.position(place)  # from here on nothing is missed

    async def forward(consumer: AIOKafkaConsumer, onward: str | None) -> None:
        async for record in consumer:
            if onward is not None:
                await producer.send(full(settings, onward), record.value, key=record.key)
            else:
                took.append(1000 * (perf_counter() - sent[record.value]))

    tasks = [
        asyncio.create_task(forward(consumer, onward))
        for consumer, onward in zip(consumers, [*names[1:], None], strict=True)
    ]
    for count in range(number):
        value = b"%d" % count
        sent[value] = perf_counter()
        await producer.send_and_wait(full(settings, names[0]), value, key=b"tenant/%d" % (count % PER_S))
        await asyncio.sleep(1 / PER_S)
    async with asyncio.timeout(30):
        while len(took) < number:
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for consumer in consumers:
        await consumer.stop()
    await producer.stop()
    return took[PER_S:]
