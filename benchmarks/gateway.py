"""How many MeterValues a gateway acknowledges per CPU-second of its process, beside what a bare echo server sends back.

And how long an answer takes at half the highest rate.
"""

import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.crowd import Crowd, name_of
from benchmarks.harness import Figure, Ground, Mark, Process, compared, percentile
from chassis.broker import Broker
from chassis.kafka import Log, create_topics
from chassis.settings import Settings
from contracts.event import StationId, TenantId
from contracts.reference import Station
from contracts.topics import REGISTRY

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "benchmark" * 4
SECONDS, WARM_UP = 4.0, 1.5
SIZES = {"gateway": 1000, "gateway.200": 200}
MARK = Mark(at_least=0.45)


def station(number: int, **fields: Any) -> Station:
    """Return the registry's record of a station that needs no password, unless `fields` say so."""
    known: dict[str, Any] = {"at": NOON, "tenant": TenantId("bench"), "version": 1, "security_profile": 0}
    return Station(**known | fields, id=StationId(name_of(number)))


async def registered(settings: Settings, stations: Iterable[Station]) -> None:
    """Create the topics and write the registry."""
    await create_topics(settings)
    log = Log(settings)
    await log.start()
    for record in stations:
        await log.send(REGISTRY, record, id=f"b-{record.id}", source="/benchmark")
    await log.stop(patience=60)


def settings_on(broker: Broker, prefix: str = "bench.") -> Settings:
    return Settings(kafka=broker.bootstrap, topic_prefix=prefix, partitions=4, secret=SECRET)


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as a gateway's process reads them."""
    return {
        "VOLTSTREAM_KAFKA": settings.kafka,
        "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "VOLTSTREAM_PARTITIONS": str(settings.partitions),
        "VOLTSTREAM_SECRET": SECRET,
        "VOLTSTREAM_OCPP_PORT": "0",
        "VOLTSTREAM_LOG": "json",
    }


UNLIMITED = {
    "VOLTSTREAM_OCPP_FRAMES_PER_S": "0",
    "VOLTSTREAM_OCPP_HANDSHAKES_PER_S": "10000",
    "VOLTSTREAM_OCPP_HANDSHAKES_AT_ONCE": "100000",
}
"""No station is made to wait: what a few of them say here, many would."""


@asynccontextmanager
async def gateway(ground: Ground, settings: Settings, **more: str) -> AsyncIterator[tuple[Process, int]]:
    """Run a gateway's process while it is entered; yields it and its port. `more` are settings of its own."""
    command = [sys.executable, "-m", "services.gateway"]
    async with ground.process(command, '"ready"', environment=environment(settings) | more) as process:
        line = await process.said("stations are welcome", 5)
        yield process, int(re.findall(r'"port": ?(\d+)', line)[0])


@asynccontextmanager
async def echo(ground: Ground) -> AsyncIterator[tuple[Process, int]]:
    """Run the bare echo server while it is entered; yields it and its port."""
    async with ground.process([sys.executable, "-m", "benchmarks.floors", "echo"], "port=") as process:
        yield process, int((await process.said("port=", 5)).partition("=")[2])


async def per_cpu_second(process: Process, crowd: Crowd) -> float:
    """Return how many answers a CPU-second of the process gives."""
    began = 0.0

    def begin() -> None:
        nonlocal began
        began = process.cpu_seconds()

    answered = await crowd.closed_loop(SECONDS, warm_up=WARM_UP, begin=begin)
    computed = process.cpu_seconds() - began
    await crowd.quiet()
    return answered / computed


async def measure(ground: Ground) -> list[Figure]:
    """Return the ratio, and the latency at half the highest rate, for each size of the crowd."""
    figures = []
    async with ground.kafka() as broker:
        settings = settings_on(broker)
        await registered(settings, (station(number) for number in range(max(SIZES.values()))))
        async with gateway(ground, settings, **UNLIMITED) as ours, echo(ground) as floor:
            for name, size in SIZES.items():
                figures += await _of_size(ground, name, size, ours, floor)
    return figures


async def _of_size(
    ground: Ground, name: str, size: int, ours: tuple[Process, int], floor: tuple[Process, int]
) -> list[Figure]:
    crowd, echoed = Crowd(), Crowd()
    await crowd.join(ours[1], size)
    await echoed.join(floor[1], size)
    ground.say(f"{size} stations are connected to either")
    fastest = 0.0

    async def acknowledged() -> float:
        nonlocal fastest
        before = crowd.answered
        found = await per_cpu_second(ours[0], crowd)
        fastest = max(fastest, (crowd.answered - before) / (SECONDS + WARM_UP))
        return found

    async def sent_back() -> float:
        return await per_cpu_second(floor[0], echoed)

    floors, found = await ground.alternate(sent_back, acknowledged, "per CPU-second")
    half = fastest / 2
    ground.say(f"{fastest:,.0f} acknowledged/s at most; latencies at {half:,.0f}/s")

    async def p99() -> float:
        return 1000 * percentile(await crowd.paced(half, SECONDS), 0.99)

    async def p99_floor() -> float:
        return 1000 * percentile(await echoed.paced(half, SECONDS), 0.99)

    slow_floors, slow = await ground.alternate(p99_floor, p99, "ms")
    crowd.leave()
    echoed.leave()
    return [
        compared(name, f"MeterValues acknowledged per CPU-second, {size} stations", found, floors, MARK),
        Figure(f"{name}.rate", fastest, f"acknowledged per second, {size} stations, the machine shared with the load"),
        compared(f"{name}.p99", f"ms from call to answer at {half:,.0f}/s", slow, slow_floors),
    ]
