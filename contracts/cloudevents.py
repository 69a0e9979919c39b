"""The headers of a record: CloudEvents 1.0 in Kafka's binary mode."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

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


_SPECVERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")


class Common:
    """What the headers of all events of one source about one subject have in common."""

    __slots__ = ("_source", "_subject")

    def __init__(self, source: str, subject: str) -> None:
        self._source, self._subject = ("ce_source", source.encode()), ("ce_subject", subject.encode())

    def headers(
        self, kind: bytes, id: str, time: datetime, recorded_time: datetime, traceparent: str | None = None
    ) -> list[tuple[str, bytes]]:
        """Return the headers of one of them (CloudEvents Kafka binding §3.2); `kind` is its type."""
        headers = [
            _SPECVERSION,
            ("ce_id", id.encode()),
            ("ce_type", kind),
            self._source,
            self._subject,
            ("ce_time", _written(time)),
            ("ce_recordedtime", _written(recorded_time)),
            _CONTENT_TYPE,
        ]
        if traceparent:
            headers.append(("traceparent", traceparent.encode()))
        return headers


_common = lru_cache(maxsize=10_000)(Common)


def to_headers(attributes: Attributes) -> list[tuple[str, bytes]]:
    """Return the headers that carry `attributes` (CloudEvents Kafka binding §3.2)."""
    it = attributes
    headers = _common(it.source, it.subject).headers(it.type.encode(), it.id, it.time, it.recorded_time, it.traceparent)
    if it.sequence is not None:
        headers.append(("ce_sequence", b"%020d" % it.sequence))
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
