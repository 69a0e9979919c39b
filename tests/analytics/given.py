"""Records as they lie in Kafka, without Kafka, and the ClickHouse that they go to."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import inspect

from chassis.clickhouse import ClickHouse
from chassis.kafka import Chunk, Record
from contracts.cloudevents import Attributes, to_headers
from contracts.event import Event, GatewayId, SessionId, StationId, TenantId
from contracts.sessions import ReadingsTaken
from contracts.stations import Frame, HeartbeatReceived, Reading, Sample
from contracts.topics import CATALOGUE, READINGS, STATIONS, Topic
from tests.samples import example

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
CLASSES = [(topic, cls) for topic in CATALOGUE for cls in topic.classes]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def filled(cls: type[Event]) -> Event:
    """Return an event with everything in it that there can be."""
    return msgspec.convert(example(inspect.type_info(cls)), cls)


def record(
    topic: Topic[Any],
    event: Event,
    *,
    partition: int = 0,
    offset: int = 0,
    id: str = "",
    recorded: datetime | None = None,
    **changed: Any,
) -> Record:
    """Return `event` as a record; `changed` are fields of the record to set otherwise."""
    when = recorded or at(offset)
    kind = f"voltstream.{type(event).__name__}"
    key = topic.key_of(event)
    id = id or f"{topic.name}-{partition}-{offset}"
    said = Attributes(id, kind, "/voltstream/x", key.decode(), event.at, when, "00-a-b-01", offset)
    values: dict[str, Any] = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "key": key,
        "value": topic.encode(event),
        "headers": to_headers(said),
        "timestamp_ms": int(when.timestamp() * 1000),
    }
    return Record(**values | changed)


def chunk(records: Sequence[Record]) -> Chunk:
    return Chunk(records[0].topic, records[0].partition, list(records), records[-1].offset + 1)


def heartbeat(frame: str | Frame, station: str = "ST1", seconds: float = 0, **more: Any) -> HeartbeatReceived:
    return HeartbeatReceived(
        at=at(seconds),
        tenant=ACME,
        station=StationId(station),
        gateway=GatewayId("g1"),
        reply_to=1,
        epoch=3,
        message_id='"1"',
        frame=Frame(text=frame) if isinstance(frame, str) else frame,
        **more,
    )


def heartbeats(count: int, *, partition: int = 0, first: int = 0) -> list[Record]:
    return [
        record(STATIONS, heartbeat(f'[2,"{n}","Heartbeat",{{}}]'), partition=partition, offset=n)
        for n in range(first, first + count)
    ]


def taken(*values: str, session: str | None = "S1", seconds: float = 0) -> ReadingsTaken:
    """Return a reading with a sample for each value."""
    return ReadingsTaken(
        at=at(seconds),
        tenant=ACME,
        station=StationId("ST1"),
        report="r",
        evse=1,
        connector=2,
        session=None if session is None else SessionId(session),
        readings=(Reading(at=at(seconds), samples=tuple(Sample(value=value) for value in values)),),
    )


def readings(count: int, *, partition: int = 0, first: int = 0) -> list[Record]:
    """Return `count` records of two samples each."""
    return [
        record(READINGS, taken(str(n), str(n + 1), seconds=n), partition=partition, offset=n)
        for n in range(first, first + count)
    ]


async def number(db: ClickHouse, sql: str) -> int:
    """Return the one number that a query finds."""
    (row,) = await db.query(f"SELECT {sql}")
    return int(next(iter(row.values())))


async def counts(db: ClickHouse) -> tuple[int, int, int, int]:
    """Return the rows of `events` and `readings`, each raw and as FINAL shows them."""
    raw = await number(db, "count() FROM events"), await number(db, "count() FROM readings")
    return (
        raw[0],
        await number(db, "count() FROM events FINAL"),
        raw[1],
        await number(db, "count() FROM readings FINAL"),
    )


def bodies(records: Iterable[Record]) -> dict[tuple[str, int, int], str]:
    """Return what each record's value is, by place and in hex."""
    return {(r.topic.name, r.partition, r.offset): (r.value or b"").hex().upper() for r in records}


async def stored(db: ClickHouse) -> dict[tuple[str, int, int], str]:
    found = await db.query("SELECT topic, partition, offset, hex(body) AS body FROM events FINAL")
    return {(row["topic"], row["partition"], row["offset"]): row["body"] for row in found}
