"""What nobody can read, for each topic: bytes, shapes, headers, keys and sizes that no service of ours writes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec

from chassis import clock
from chassis.kafka import MIB, RECORD_LIMIT
from contracts.authorizations import TokenDecided
from contracts.cloudevents import Attributes, to_headers
from contracts.commands import CommandIssued
from contracts.operations import ConnectorStatusChanged
from contracts.sessions import SessionStarted
from contracts.stations import TransactionStarted
from contracts.topics import AUTHORIZATIONS, COMMANDS, OPERATIONS, REGISTRY, SESSIONS, STATIONS, Topic
from tests.samples import newest

HEARD = {
    STATIONS: TransactionStarted,
    COMMANDS: CommandIssued,
    AUTHORIZATIONS: TokenDecided,
    SESSIONS: SessionStarted,
    OPERATIONS: ConnectorStatusChanged,
}
"""What the garbage in a topic says it is: something that deciders hear, where there are any."""

Headers = list[tuple[str, Any]]


@dataclass(frozen=True)
class Rubbish:
    """A record that is none of ours."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def type(self) -> str:
        """What its headers say it is."""
        return next((value.decode() for name, value in self.headers if name == "ce_type"), "")


def kind_of(topic: Topic[Any]) -> str:
    return HEARD.get(topic, topic.classes[0]).__name__


def sample(topic: Topic[Any]) -> bytes:
    """Return a good value of this topic."""
    path = newest(kind_of(topic))
    assert path is not None
    return msgspec.json.encode(msgspec.json.decode(path.read_bytes()))


def headers(topic: Topic[Any], kind: str | None = None, **instead: Any) -> Headers:
    """Return good headers, some of them replaced; None: left out."""
    now, name = clock.now(), f"voltstream.{kind or kind_of(topic)}"
    good = dict(to_headers(Attributes(str(uuid4()), name, "/garbage", "default/garbage", now, now)))
    return [(name, value) for name, value in (good | instead).items() if value is not ...]


def _said(value: bytes) -> Callable[[Topic[Any], bytes], Rubbish]:
    """Return what makes a record of this value; KIND in it is what it says it is."""
    return lambda topic, key: Rubbish(key, value.replace(b"KIND", kind_of(topic).encode()), headers(topic))


def _instead(**instead: Any) -> Callable[[Topic[Any], bytes], Rubbish]:
    """Return what makes a good record with other headers."""
    return lambda topic, _: Rubbish(topic.key_of(topic.decode(sample(topic))), sample(topic), headers(topic, **instead))


def _keyed(key: bytes | None) -> Callable[[Topic[Any], bytes], Rubbish]:
    """Return what makes a good record under another key."""
    return lambda topic, _: Rubbish(key, sample(topic), headers(topic))


def _nameless(topic: Topic[Any], _: bytes) -> Rubbish:
    """Kafka itself refuses a record without a key in a compacted topic, and takes an empty one."""
    return Rubbish(b"" if topic.compacted else None, sample(topic), headers(topic))


def _noise(topic: Topic[Any], key: bytes) -> Rubbish:
    """As large as Kafka takes it in some topics; a quarter of that in the others, for the test's sake."""
    size = RECORD_LIMIT if topic in (STATIONS, SESSIONS, REGISTRY) else MIB
    return Rubbish(key, random.Random(7).randbytes(size - 2048), headers(topic))


def _swollen(topic: Topic[Any], key: bytes) -> Rubbish:
    """Compressed it fits Kafka's limit; nothing of ours could write it again as it is."""
    return Rubbish(key, sample(topic)[:-1] + b" " * (RECORD_LIMIT * 3 // 2) + b"}", headers(topic))


DEEP = b"[" * 10_000 + b"]" * 10_000

GARBAGE: dict[str, Callable[[Topic[Any], bytes], Rubbish]] = {
    "no JSON": _said(b"\x00\x01\x02{"),
    "nothing": _said(b""),
    "no UTF-8": _said(b'{"type":"KIND","at":"\xff\xfe"}'),
    "a list": _said(b"[1,2,3]"),
    "another shape": _said(b'{"type":"KIND","at":17}'),
    "nested 10,000 deep": _said(b'{"type":"KIND","x":' + DEEP + b"}"),
    "an unknown event": lambda topic, key: Rubbish(key, b'{"type":"Nobody"}', headers(topic, "Nobody")),
    "no headers": lambda topic, key: Rubbish(key, sample(topic), []),
    "no time": _instead(ce_time=b"yesterday", ce_recordedtime=b"2026-01-01T00:00:00"),
    "nulls in headers": _instead(ce_id=None, ce_time=None, ce_recordedtime=None),
    "headers that are no UTF-8": _instead(ce_id=b"\xff", ce_source=b"\xfe\xff"),
    "another type than its headers say": lambda topic, key: Rubbish(key, b'{"type":"Nobody"}', headers(topic)),
    "no key": _nameless,
    "somebody else's key": _keyed(b"tenant/somebody-else"),
    "a key of the loop's": _keyed(b"~offsets"),
    "a key that is no UTF-8": _keyed(b"\xff\xfe/\xff"),
    "no value": lambda topic, _: Rubbish(b"tenant/nothing", None, headers(topic)),
    "as much noise as fits": _noise,
    "more than it seems": _swollen,
}


def in_state(station: bytes) -> list[tuple[bytes, bytes | None]]:
    """What is garbage in the state topic of a service."""
    return [
        (b"~offsets", b"{"),
        (b"~offsets", None),
        (b"~parked/" + station, b"[]"),
        (b"~part/past/" + station, b"\xff"),
        (b"~part/", b""),
        (station, b"\x00"),
        (b"\xff", DEEP),
        (b"", b"{}"),
    ]
