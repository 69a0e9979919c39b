"""What live streams tell: which events there are for whom, and how each is written."""

from dataclasses import dataclass
from typing import Any

import msgspec

from chassis import metrics
from chassis.feed import Part
from chassis.kafka import Record, partition_of_key
from contracts.cloudevents import Attributes, Unreadable
from contracts.event import TenantId
from contracts.topics import CATALOGUE, Topic
from services.api.cursors import NUMBERS
from services.api.masking import unnamed

TOPICS: tuple[Topic[Any], ...] = tuple(topic for topic in CATALOGUE if topic.name in NUMBERS)
"""What can be streamed: facts about stations. What is asked, reference data and the ways between services cannot."""
TOPIC_OF: dict[str, Topic[Any]] = {cls.__name__: topic for topic in TOPICS for cls in topic.classes}
"""The topic of each type of event."""

_PREFIX = "voltstream."
_OURS = ("tenant", "station", "site")
"""Fields with names that the directory gave: no uids, even if they look like `ID:42`."""


class Told:
    """An event that may be told, decoded only if it is."""

    __slots__ = ("_texts", "record", "station", "tenant", "type")

    def __init__(self, record: Record, type: str, tenant: str, station: str) -> None:
        self.record = record
        self.type = type
        """Its name, as docs/events.md lists it."""
        self.tenant, self.station = tenant, station
        self._texts: dict[bool, bytes | None] = {}

    def text(self, *, uids: bool) -> bytes | None:
        """Return the event as JSON in the words of CloudEvents 1.0 §3.1; None if it cannot be read.

        Without `uids` they are masked, and frames are left out.
        """
        if uids not in self._texts:
            self._texts[uids] = self._written(uids=uids)
        return self._texts[uids]

    def _written(self, *, uids: bool) -> bytes | None:
        try:
            attributes, data = self._said(uids=uids)
        except (Unreadable, RecursionError):
            metrics.UNREADABLE.labels(self.record.topic.name).inc()
            return None
        event = {
            "specversion": "1.0",
            "id": attributes.id,
            "source": attributes.source,
            "type": attributes.type,
            "subject": attributes.subject,
            "time": attributes.time,
            "recordedtime": attributes.recorded_time,
            "datacontenttype": "application/json",
        }
        if attributes.traceparent:
            event["traceparent"] = attributes.traceparent
        return msgspec.json.encode(event | {"data": data})

    def _said(self, *, uids: bool) -> tuple[Attributes, Any]:
        self.record.message()  # one that nobody can read is not told
        data = msgspec.json.decode(self.record.value or b"")
        if not uids:
            data.pop("frame", None)
            data = unnamed(data) | {name: data[name] for name in _OURS if name in data}
        return self.record.attributes(), data


def told(record: Record) -> Told | None:
    """Return what may be told of a record; None where its headers say nothing that anybody could listen for."""
    found = dict(record.headers)
    type, subject = found.get("ce_type"), found.get("ce_subject")
    if record.value is None or type is None or subject is None:
        return None
    try:
        tenant, _, station = subject.decode().partition("/")
        name = type.decode().removeprefix(_PREFIX)
    except UnicodeDecodeError:
        return None
    return Told(record, name, tenant, station) if name.isidentifier() else None


@dataclass(frozen=True)
class Wanted:
    """Which events a client asks for; None: all."""

    tenant: TenantId
    types: frozenset[str] | None = None
    sites: frozenset[str] | None = None
    stations: frozenset[str] | None = None

    def parts(self, partitions: int) -> list[Part]:
        """Return the partitions in which they can lie."""
        topics = [t.name for t in TOPICS if self.types is None or not self.types.isdisjoint(_names(t))]
        numbers: list[int] = list(range(partitions))
        if self.stations is not None:
            keys = (f"{self.tenant}/{station}".encode() for station in self.stations)
            numbers = sorted({partition_of_key(key, partitions) for key in keys})
        return [(topic, number) for topic in topics for number in numbers]

    def fits(self, event: Told) -> bool:
        """Return whether the event is asked for, but for its site."""
        return (
            event.tenant == self.tenant
            and (self.types is None or event.type in self.types)
            and (self.stations is None or event.station in self.stations)
        )


def _names(topic: Topic[Any]) -> set[str]:
    return {cls.__name__ for cls in topic.classes}
