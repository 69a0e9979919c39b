"""How many records the exactly-once loop takes through rules per CPU-second, beside a bare aiokafka copy in transactions.

`python benchmarks/loop.py`: starts a Kafka of its own.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any, cast

import uvloop
from msgspec import Struct

from chassis import kafka, logs
from chassis.broker import build
from chassis.kafka import Log, TopicPartition, full
from chassis.loop import Loop
from chassis.settings import Settings
from chassis.stream import Rules, Stream
from contracts.event import GatewayId, Message, SessionId, StationId, TenantId
from contracts.sessions import EnergyDelivered
from contracts.stations import Frame, MetersRead, Reading, Sample
from contracts.topics import SESSIONS, STATIONS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATIONS_AT_ONCE, BATCH = 500, 500


class Counted(Struct, frozen=True, tag=True):
    count: int = 0


initial = Counted()


def decide(state: Counted, message: Message[MetersRead]) -> list[EnergyDelivered]:
    read = message.event
    wh = state.count + 1
    session = SessionId("s")
    return [
        EnergyDelivered(
            at=read.at, tenant=read.tenant, station=read.station, session=session, energy_wh=wh, meter_wh=wh
        )
    ]


def evolve(_: Counted, event: EnergyDelivered) -> Counted:
    return Counted(event.energy_wh)


def stream() -> Stream:
    rules = cast("Rules", sys.modules[__name__])
    return Stream(name="sessions", rules=rules, state=Counted, inputs=(STATIONS,), outputs=(SESSIONS,))


def meters_read(number: int) -> MetersRead:
    samples = tuple(
        Sample(str(number), measurand) for measurand in ("Energy.Active.Import.Register", "Power.Active.Import")
    )
    return MetersRead(
        at=NOON,
        tenant=TenantId("acme"),
        station=StationId(f"ST{number % STATIONS_AT_ONCE}"),
        gateway=GatewayId("g"),
        reply_to=0,
        epoch=1,
        frame=Frame('[2,"x","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-01-01T12:00:00Z"}]}]'),
        message_id='"x"',
        evse=1,
        connector=1,
        readings=(Reading(NOON, samples),),
    )


async def fill(settings: Settings, records: int) -> None:
    log = Log(settings)
    await log.start()
    for number in range(records):
        await log.send(STATIONS, meters_read(number), id=f"b{number}", source="/benchmark")
    await log.stop()


async def written(settings: Settings, records: int) -> None:
    """Return once the output topic holds so many events."""
    places = [TopicPartition(full(settings, "sessions"), p) for p in range(settings.partitions)]
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    consumer.assign(places)
    while sum((await consumer.end_offsets(places)).values()) < records:
        await asyncio.sleep(0.2)
    await consumer.stop()


async def bare_copy(settings: Settings, _: int) -> None:
    """Copy keys and values as they are, a transaction a batch, one task a partition."""
    consumer = kafka.plain_consumer(settings)
    await consumer.start()
    places = [TopicPartition(full(settings, "stations"), p) for p in range(settings.partitions)]
    consumer.assign(places)
    ends = await consumer.end_offsets(places)

    async def copy(place: TopicPartition) -> None:
        producer = kafka.transactional_producer(settings, f"bare-{place.partition}")
        await producer.start()
        name = full(settings, "sessions")
        while await consumer.position(place) < ends[place]:
            polled = await consumer.getmany(place, timeout_ms=200, max_records=BATCH)
            async with producer.transaction():
                for raw in polled.get(place, []):
                    await producer.send(
                        name, raw.value, key=raw.key, partition=place.partition, headers=list(raw.headers)
                    )
        await producer.stop()

    await asyncio.gather(*(copy(place) for place in places))
    await consumer.stop()


async def through_the_loop(settings: Settings, records: int) -> None:
    stop = asyncio.Event()
    loop = Loop(stream(), settings)
    running = asyncio.create_task(loop.run(lambda: None, stop))
    await written(settings, records)
    stop.set()
    await running


async def measured(
    bootstrap: str, prefix: str, records: int, work: Callable[[Settings, int], Awaitable[None]]
) -> float:
    """Return records per CPU-second of this process."""
    settings = Settings(kafka=bootstrap, topic_prefix=prefix, partitions=4)
    await kafka.create_topics(settings)
    await fill(settings, records)
    before = process_time()
    await work(settings, records)
    return records / (process_time() - before)


async def measure(records: int, runs: int) -> None:
    logs.setup("benchmark", level="error")
    with tempfile.TemporaryDirectory() as folder:
        async with build(Path(folder)) as broker:
            found: dict[str, list[float]] = {"bare copy": [], "loop": []}
            works: dict[str, Any] = {"bare copy": bare_copy, "loop": through_the_loop}
            for run in range(runs):
                for name, work in works.items():
                    found[name].append(await measured(broker.bootstrap, f"{name[:4]}{run}.", records, work))
    floor = sorted(found["bare copy"])[runs // 2]
    print(f"{'records per CPU-second':<24}{'median':>10}{'ratio':>8}{'spread':>18}")
    for name, rates in found.items():
        median = sorted(rates)[runs // 2]
        print(f"{name:<24}{median:>10,.0f}{median / floor:>8.2f}{min(rates):>9,.0f}-{max(rates):,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    uvloop.run(measure(options.records, options.runs))


if __name__ == "__main__":
    main()
