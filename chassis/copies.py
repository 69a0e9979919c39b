"""Whole copies of compacted topics, kept as bytes and decoded on use: a million stations fit in half a gigabyte."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from contracts.event import Event
from contracts.topics import Topic

E = TypeVar("E", bound=Event)


def as_it_is(key: bytes) -> bytes:
    return key


@dataclass(frozen=True)
class Whole(Generic[E]):
    """Which topic to copy, under which keys, and by what else to find its events."""

    topic: Topic[E]
    index: Callable[[Any], str | None] | None = None
    """From an event to another key it can be found by, such as a session's token."""
    rekey: Callable[[bytes], bytes] = as_it_is
    """From a record's key to the copy's, such as `tenant/station` to `station`."""


class Copy(Generic[E]):
    """What a compacted topic says now."""

    def __init__(self, whole: Whole[E]) -> None:
        self._whole = whole
        self._values: dict[bytes, bytes] = {}
        self._indexed: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str | bytes) -> E | None:
        """Return what the topic says of `key`, if it says anything."""
        value = self._values.get(key.encode() if isinstance(key, str) else key)
        return None if value is None else self._whole.topic.decode(value)

    def by(self, indexed: str) -> tuple[E, ...]:
        """Return all events that the index finds under `indexed`."""
        keys = self._indexed.get(indexed, ())
        return tuple(self._whole.topic.decode(self._values[key]) for key in sorted(keys))

    def __iter__(self) -> Iterator[E]:
        return (self._whole.topic.decode(value) for value in list(self._values.values()))

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in a record; null is deletion. Raises `Unreadable` and stays as it was."""
        event = self._whole.topic.under(key, value) if value is not None else None
        key = self._whole.rekey(key)
        if self._whole.index and (old := self._values.get(key)) is not None:
            self._unindex(self._whole.index(self._whole.topic.decode(old)), key)
        if value is None:
            self._values.pop(key, None)
            return
        self._values[key] = value
        if self._whole.index and (name := self._whole.index(event)) is not None:
            self._indexed.setdefault(name, set()).add(key)

    def _unindex(self, name: str | None, key: bytes) -> None:
        if name is None:
            return
        self._indexed[name].discard(key)
        if not self._indexed[name]:
            del self._indexed[name]


class Copies:
    """All copies that a service keeps."""

    def __init__(self, *wholes: Whole[Any]) -> None:
        self._copies = {whole.topic.name: Copy(whole) for whole in wholes}

    def of(self, topic: Topic[E]) -> Copy[E]:
        """Return the copy of `topic`, which the service must have asked for."""
        return cast("Copy[E]", self._copies[topic.name])
