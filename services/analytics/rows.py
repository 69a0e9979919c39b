"""What a record is as a row of `events`. The value is not decoded: its exact bytes are the column `body`."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from chassis.kafka import Record
from contracts.cloudevents import Attributes, Unreadable, timestamp
from contracts.topics import ACCESS, ALIVE, CHARGING, DIRECTORY, RATED, RATINGS, REQUESTS, SITES, TOKENS, Topic

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, 23, 59, 59, 999999, UTC)
"""What lies beyond is shown as one of these: ClickHouse's DateTime64 ends there. The body has the time as it was said."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = (LATEST - _EPOCH) // timedelta(milliseconds=1)
_OF_TENANT = frozenset[Topic[Any]]({SITES, TOKENS, ACCESS, CHARGING, RATINGS, RATED})
_OF_CHANGE = frozenset[Topic[Any]]({REQUESTS, DIRECTORY})


class Line(Struct, frozen=True, omit_defaults=True):
    """A row of `events`; what is omitted has the table's default."""

    topic: str
    partition: int
    offset: int
    key: str | msgspec.Raw
    id: str
    time: str
    recorded_time: str
    tenant: str = ""
    station: str = ""
    type: str = ""
    source: str = ""
    sequence: int | None = None
    traceparent: str = ""
    deleted: bool = False
    body: str | msgspec.Raw = ""
    unread: str = ""
    """Why the headers cannot be read, if they cannot: they are then in `headers`, and `id` is the record's place."""
    headers: dict[str, str] = {}


class _Subject(Struct):
    tenant: str
    kind: str
    id: str


_encode_lines = msgspec.json.Encoder().encode_lines
_subject = msgspec.json.Decoder(_Subject)


def encode(lines: Iterable[Line]) -> bytes:
    """Return `lines` as JSONEachRow."""
    return _encode_lines(lines)


def line(record: Record) -> Line:
    """Return the row of a record, whatever is wrong with it."""
    tenant, station = _whose(record)
    try:
        attributes = _checked(record.attributes())
    except Unreadable as why:
        return _unread(record, str(why), tenant, station)
    return Line(
        tenant=tenant,
        station=station,
        topic=record.topic.name,
        partition=record.partition,
        offset=record.offset,
        key=_text(record.key),
        id=attributes.id,
        type=attributes.type,
        source=attributes.source,
        time=_moment(attributes.time),
        recorded_time=_moment(attributes.recorded_time),
        sequence=attributes.sequence,
        traceparent=attributes.traceparent or "",
        deleted=record.value is None,
        body=_text(record.value or b""),
    )


def _checked(attributes: Attributes) -> Attributes:
    if not attributes.id:
        raise Unreadable("the header 'ce_id' is empty")
    if attributes.sequence is not None and not 0 <= attributes.sequence < 1 << 64:
        raise Unreadable("a header is malformed: no such ce_sequence")
    return attributes


def _unread(record: Record, why: str, tenant: str, station: str) -> Line:
    """Return what is known of a record that is none of ours; its place makes it one of its kind."""
    headers: Sequence[tuple[str, bytes | None]] = record.headers  # Kafka allows a null
    said = {name: (value or b"").decode(errors="replace") for name, value in headers}
    written = _moment(_EPOCH + timedelta(milliseconds=min(max(0, record.timestamp_ms), _LATEST_MS)))
    return Line(
        tenant=tenant,
        station=station,
        topic=record.topic.name,
        partition=record.partition,
        offset=record.offset,
        key=_text(record.key),
        id=f"{record.topic.name}/{record.partition}/{record.offset}",
        type=said.get("ce_type", ""),
        source=said.get("ce_source", ""),
        time=written,
        recorded_time=written,
        traceparent=said.get("traceparent", ""),
        deleted=record.value is None,
        body=_text(record.value or b""),
        unread=why,
        headers=said,
    )


def _whose(record: Record) -> tuple[str, str]:
    """Return the tenant and the station that a record is about, each empty if it is about none."""
    if record.topic in _OF_CHANGE:
        return _changed(record)
    if record.topic is ALIVE:
        return "", ""
    tenant, _, station = record.key.decode(errors="replace").partition("/")
    return tenant, "" if record.topic in _OF_TENANT else station


def _changed(record: Record) -> tuple[str, str]:
    """A change of a station is keyed without its tenant: only the value knows it."""
    try:
        subject = _subject.decode(record.value or b"")
    except (ValueError, RecursionError):  # msgspec's errors, bad UTF-8, and what is nested too deep
        return "", ""
    return subject.tenant, subject.id if subject.kind == "station" else ""


def _moment(moment: datetime) -> str:
    return timestamp(min(max(moment, EARLIEST), LATEST))


_SPECIAL = re.compile(rb'["\\\x00-\x1f]')


def _text(data: bytes) -> str | msgspec.Raw:
    """Return bytes as JSON can carry them. ClickHouse takes a string that is no UTF-8 as it comes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return msgspec.Raw(b'"%b"' % _SPECIAL.sub(lambda found: b"\\u%04x" % found[0][0], data))
