"""The headers of a record: CloudEvents 1.0 in Kafka's binary mode."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

Headers = Iterable[tuple[str, bytes]]


class Unreadable(Exception):
    """These bytes or headers are no record of ours. The message says why."""


class Attributes(Struct, frozen=True):
    """The context of one event."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    recorded_time: datetime
    traceparent: str | None = None
    sequence: int | None = None
    """The place of a decider's output among all its outputs of this partition number, over its topics."""


def to_headers(attributes: Attributes) -> list[tuple[str, bytes]]:
    """Return the headers that carry `attributes` (CloudEvents Kafka binding §3.2)."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", attributes.id.encode()),
        ("ce_type", attributes.type.encode()),
        ("ce_source", attributes.source.encode()),
        ("ce_subject", attributes.subject.encode()),
        ("ce_time", _written(attributes.time)),
        ("ce_recordedtime", _written(attributes.recorded_time)),
        ("content-type", b"application/json"),
    ]
    if attributes.traceparent:
        headers.append(("traceparent", attributes.traceparent.encode()))
    if attributes.sequence is not None:
        headers.append(("ce_sequence", b"%020d" % attributes.sequence))
    return headers


def from_headers(headers: Headers) -> Attributes:
    """Return the attributes that `headers` carry, or raise `Unreadable`."""
    found = dict(headers)
    try:
        return Attributes(
            id=found["ce_id"].decode(),
            type=found["ce_type"].decode(),
            source=found["ce_source"].decode(),
            subject=found["ce_subject"].decode(),
            time=_read(found["ce_time"]),
            recorded_time=_read(found["ce_recordedtime"]),
            traceparent=found["traceparent"].decode() if "traceparent" in found else None,
            sequence=int(found["ce_sequence"]) if "ce_sequence" in found else None,
        )
    except KeyError as missing:
        raise Unreadable(f"the header {missing} is missing") from missing
    except (ValueError, TypeError, AttributeError) as wrong:  # the latter two: Kafka allows a null as a header's value
        raise Unreadable(f"a header is malformed: {wrong}") from wrong


def timestamp(moment: datetime) -> str:
    """Return `moment` as RFC 3339 in UTC."""
    return _written(moment).decode()


_encode = msgspec.json.Encoder().encode


def _written(moment: datetime) -> bytes:
    return _encode(moment if moment.tzinfo is UTC else moment.astimezone(UTC))[1:-1]


def _read(text: bytes) -> datetime:
    moment = datetime.fromisoformat(text.decode())
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment
