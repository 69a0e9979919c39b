"""How many records the exactly-once loop takes through rules per CPU-second, beside a bare aiokafka copy in transactions."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import process_time
from typing import cast
from uuid import uuid4

from msgspec import Struct

from benchmarks.harness import Figure, Ground, Mark, compared
from chassis import kafka
from chassis.broker import Broker
from chassis.kafka import Log, TopicPartition, full
from chassis.loop import Loop
from chassis.settings import Settings
from chassis.stream import Rules, Stream
from contracts.event import GatewayId, Message, SessionId, StationId, TenantId
from contracts.sessions import EnergyDelivered
from contracts.stations import Frame, MetersRead, Reading, Sample
from contracts.topics import SESSIONS, STATIONS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATIONS_AT_ONCE, BATCH, RECORDS = 500, 500, 30_000


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


async def measured(broker: Broker, records: int, work: Callable[[Settings, int], Awaitable[None]]) -> float:
    """Return records per CPU-second of this process."""
    settings = Settings(kafka=broker.bootstrap, topic_prefix=f"b{uuid4().hex[:8]}.", partitions=4)
    await kafka.create_topics(settings)
    await fill(settings, records)
    gc.collect()
    before = process_time()
    await work(settings, records)
    return records / (process_time() - before)


async def measure(ground: Ground) -> list[Figure]:
    """Return records per CPU-second through the loop, beside a bare transactional copy of the same records."""
    async with ground.kafka() as broker:
        floors, ours = await ground.alternate(
            lambda: measured(broker, RECORDS, bare_copy),
            lambda: measured(broker, RECORDS, through_the_loop),
            "records per CPU-second",
        )
    return [compared("loop", "records per CPU-second", ours, floors, Mark(at_least=0.40))]
