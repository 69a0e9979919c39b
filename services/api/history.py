"""Every question to ClickHouse: what was."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from chassis.clickhouse import ClickHouse
from contracts.sessions import SignedValueTaken
from contracts.stations import CallFailed, CallSent, Said
from contracts.topics import SESSIONS, STATIONS

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

FRAMED = tuple(
    f"voltstream.{each.__name__}" for each in STATIONS.classes if issubclass(each, Said | CallSent | CallFailed)
)
"""The types of the events that hold a frame."""


Microseconds = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
EventId = Annotated[str, msgspec.Meta(max_length=64, pattern="^[!-~]*$")]


class FramePlace(Struct, frozen=True, array_like=True):
    """A place among a station's frames: microseconds since 1970, and the offset."""

    recorded_us: Number
    offset: Number


class ReadingPlace(Struct, frozen=True, array_like=True):
    """A place in a session's readings: microseconds since 1970, the event, and the number in it."""

    at_us: Microseconds
    event: EventId
    number: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class SignedPlace(Struct, frozen=True, array_like=True):
    """A place among what was signed in a session: microseconds since 1970, and the event."""

    at_us: Microseconds
    event: EventId


class Kept(Struct, frozen=True):
    """An event as it lies in the archive."""

    place: FramePlace
    recorded_at: datetime
    event: Any


_FRAMES = """
SELECT toUnixTimestamp64Micro(recorded_time) AS recorded_us, offset, recorded_time, body FROM events
WHERE tenant = {tenant:String} AND station = {station:String} AND topic = {topic:String}
    AND has({types:Array(String)}, type) AND JSONHas(body, 'frame')
    AND recorded_time <= fromUnixTimestamp64Micro({us:Int64}, 'UTC')
    AND (toUnixTimestamp64Micro(recorded_time) < {us:Int64} OR offset < {offset:UInt64})
ORDER BY tenant DESC, station DESC, topic DESC, recorded_time DESC, offset DESC
LIMIT 1 BY id
LIMIT {limit:UInt32}
"""
_READINGS = """
SELECT *, toUnixTimestamp64Micro(at) AS at_us FROM readings
WHERE tenant = {tenant:String} AND station = {station:String} AND session = {session:String}
    AND (toUnixTimestamp64Micro(at), event, number) > ({us:Int64}, {event:String}, {number:UInt32})
ORDER BY at, event, number
LIMIT 1 BY at, event, number
LIMIT {limit:UInt32}
"""
_SIGNED = """
SELECT id, time, recorded_time, toUnixTimestamp64Micro(time) AS at_us, JSONExtractUInt(body, 'evse') AS evse,
    JSONExtractString(body, 'context') AS context, JSONExtractString(body, 'data') AS data
FROM events
WHERE tenant = {tenant:String} AND station = {station:String} AND topic = {topic:String}
    AND type = {type:String} AND session = {session:String}
    AND (toUnixTimestamp64Micro(time), id) > ({us:Int64}, {event:String})
ORDER BY time, id
LIMIT 1 BY id
LIMIT {limit:UInt32}
"""
_ENERGY_LEDGER = """
SELECT site, day, delivered_wh, attributed_wh, quarantined_wh, unattributed_wh FROM energy_ledger
WHERE tenant = {tenant:String} AND day BETWEEN {first:Date} AND {last:Date} AND (NOT {one:Bool} OR site = {site:String})
ORDER BY site, day
LIMIT {limit:UInt32}
SETTINGS additional_table_filters = {'energy_accounts': %s}
"""
"""The view works its days out of moments, so it cannot tell which rows are of none of them: a filter of its table can."""

NEWEST = FramePlace(4_000_000_000_000_000, 2**63 - 1)
"""After every frame."""
FIRST = ReadingPlace(-(2**62), "", 0)
"""Before every reading."""
FIRST_SIGNED = SignedPlace(-(2**62), "")
"""Before everything that is signed."""


async def frames(db: ClickHouse, tenant: str, station: str, before: FramePlace, limit: int) -> list[Kept]:
    """Return the events with the last frames before a place, the newest first."""
    asked = {"tenant": tenant, "station": station, "topic": STATIONS.name, "types": list(FRAMED), "limit": limit}
    rows = await db.query(_FRAMES, asked | {"us": before.recorded_us, "offset": before.offset})
    return [
        Kept(FramePlace(row["recorded_us"], row["offset"]), row["recorded_time"], STATIONS.decode(row["body"].encode()))
        for row in rows
    ]


async def readings(
    db: ClickHouse, tenant: str, station: str, session: str, after: ReadingPlace, limit: int
) -> list[dict[str, Any]]:
    """Return a session's readings after a place, by the station's clock."""
    asked = {"tenant": tenant, "station": station, "session": session, "limit": limit}
    return await db.query(_READINGS, asked | {"us": after.at_us, "event": after.event, "number": after.number})


async def signed_values(
    db: ClickHouse, tenant: str, station: str, session: str, after: SignedPlace, limit: int
) -> list[dict[str, Any]]:
    """Return what was signed in a session after a place, by the station's clock."""
    asked = {"tenant": tenant, "station": station, "session": session, "limit": limit}
    what = {"topic": SESSIONS.name, "type": f"voltstream.{SignedValueTaken.__name__}"}
    return await db.query(_SIGNED, asked | what | {"us": after.at_us, "event": after.event})


async def energy_ledger(
    db: ClickHouse, tenant: str, first: date, last: date, site: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the energy ledger of these days, by site and day (docs/energy-ledger.md)."""
    asked = {
        "tenant": tenant,
        "first": first,
        "last": last,
        "one": site is not None,
        "site": site or "",
        "limit": limit,
    }
    return await db.query(_ENERGY_LEDGER % _moments(first, last), asked)


def _moments(first: date, last: date) -> str:
    """Return a filter, as a text in SQL, of the moments that are on one of these days anywhere on earth."""
    day = timedelta(days=1)
    return f"'at >= ''{first - day}'' AND at < ''{last + 2 * day}'''"
