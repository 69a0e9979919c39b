"""How much memory a gateway holds for a station that is connected and says nothing, beside a bare echo server.

And what a registry of a million stations costs it in memory and until it is ready.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from time import perf_counter

from benchmarks.crowd import Crowd
from benchmarks.gateway import UNLIMITED, echo, gateway, registered, settings_on, station
from benchmarks.harness import Figure, Ground, Mark, Process, compared
from chassis.broker import Broker
from chassis.kafka import TopicPartition, full, plain_consumer
from chassis.settings import Settings
from contracts.topics import REGISTRY

CONNECTIONS = 5_000
REGISTERED = 1_000_000
RUNS = 3
MARK = Mark(at_most=1.5)
Serving = AbstractAsyncContextManager[tuple[Process, int]]


async def per_station(serving: Serving) -> float:
    """Return the kilobytes that a process grows by for each idle connection."""
    async with serving as (process, port):
        await asyncio.sleep(1)
        before = process.memory()
        crowd = Crowd()
        await crowd.join(port, CONNECTIONS)
        await asyncio.sleep(2)
        grown = process.memory() - before
        crowd.leave()
    return grown / CONNECTIONS / 1000


async def bare_read(settings: Settings) -> tuple[float, int]:
    """Return how many seconds a bare consumer needs for the whole registry, and how many bytes there are."""
    places = [TopicPartition(full(settings, REGISTRY.name), partition) for partition in range(settings.partitions)]
    consumer = plain_consumer(settings)
    await consumer.start()
    began, size = perf_counter(), 0
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                size += sum(len(record.key) + len(record.value) for record in records)
    finally:
        await consumer.stop()
    return perf_counter() - began, size


async def measure(ground: Ground) -> list[Figure]:
    """Return the memory of an idle station, and what a large registry costs."""
    ground.runs = min(ground.runs, RUNS)
    async with ground.kafka() as broker:
        settings = settings_on(broker)
        await registered(settings, (station(number) for number in range(CONNECTIONS)))
        ground.say(f"{CONNECTIONS:,} stations will connect")
        floors, found = await ground.alternate(
            lambda: per_station(echo(ground)), lambda: per_station(gateway(ground, settings, **UNLIMITED)), "kB"
        )
        figures = [compared("memory", f"kB per idle station, {CONNECTIONS:,} of them", found, floors, MARK)]
        return figures + await large_registry(ground, broker)


async def large_registry(ground: Ground, broker: Broker) -> list[Figure]:
    """Return the memory of a gateway that knows very many stations, and how long it takes to be ready."""
    settings = settings_on(broker, "large.")
    await registered(settings, (station(number) for number in range(REGISTERED)))
    ground.say(f"{REGISTERED:,} stations are registered")
    read_s, size = await bare_read(settings)
    ground.say(f"read by a bare consumer in {read_s:.1f} s, {size / 1e6:,.0f} MB")
    began = perf_counter()
    async with gateway(ground, settings) as (process, _):
        ready_s, held = perf_counter() - began, process.memory()
    return [
        Figure("memory.registry", held / 1e6, f"MB of a gateway that knows {REGISTERED:,} stations", floor=size / 1e6),
        Figure("memory.registry.start", ready_s, "s until it is ready, beside a bare read", floor=read_s),
    ]
