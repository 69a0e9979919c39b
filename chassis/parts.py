"""How a state lies in the log: whole in one record, or with large fields apart, of which only what has changed is written.

| the record's key | its value |
| --- | --- |
| `KEY` | the state, or what is left of it without the fields apart |
| `~part/FIELD/KEY` | a field; of a divided one the names of its blocks, in their order |
| `~part/FIELD.BLOCK/KEY` | a block of a divided field; null once there is no such block |

All of a state's records change in one transaction, so together they are always one state. An older release, which knows no
parts, cannot read such a state and folds it anew.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import fields, replace

from chassis.stream import Blocks, Stream

PART = b"~part/"

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_NOTHING = msgspec.Raw(b"")


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record under a state's own key."""

    version: int
    state: msgspec.Raw = _NOTHING
    """The whole state, if no field of it is kept apart."""
    rest: msgspec.Raw = _NOTHING
    whole: tuple[str, ...] = ()
    """The fields apart that are not their default, each in one record,"""
    divided: tuple[str, ...] = ()
    """and those in blocks."""


def part_key(name: str, key: bytes) -> bytes:
    return b"%b%b/%b" % (PART, name.encode(), key)


def named(record_key: bytes) -> tuple[str, bytes]:
    """Return the name of a part and the key of the state that it belongs to."""
    name, _, key = record_key.removeprefix(PART).partition(b"/")
    return name.decode(errors="replace"), key


@dataclass
class Found:
    """What a state topic holds, as it is read from its beginning to its end."""

    states: dict[bytes, bytes] = field(default_factory=dict)
    parts: dict[bytes, dict[str, bytes]] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """Hear a record of a state or of a part of it."""
        if key.startswith(PART):
            name, of = named(key)
            self.parts.setdefault(of, {}).pop(name, None)
            if value is not None:
                self.parts[of][name] = value
        elif value is None:
            self.states.pop(key, None)
        else:
            self.states[key] = value


class Form:
    """How the states of one stream are written and read."""

    def __init__(self, stream: Stream) -> None:
        self._version, self._upcasts, self._apart = stream.version, stream.upcasts, stream.apart
        self._decoder = msgspec.json.Decoder(stream.state)
        self._defaults: dict[type, dict[str, Any]] = {}

    # ---- writing ---------------------------------------------------------------------------------------------------

    def size(self, state: Any) -> int:
        """Return how many bytes a state takes, all parts together."""
        return len(_encode(state))

    def write(self, key: bytes, state: Any, before: Any = None, there: Iterable[str] = ()) -> dict[bytes, bytes | None]:
        """Return the records that make `state` true where `before` is what the log holds.

        Without `before`, everything is written; of the parts that are `there`, those that are no more are deleted.
        """
        if not self._apart:
            return {key: _encode(Kept(self._version, state=msgspec.Raw(_encode(state))))}
        apart = self._differing(state)
        rest = replace(state, **{name: self._defaults_of(state)[name] for name in apart})
        kept = Kept(
            self._version,
            rest=msgspec.Raw(_encode(rest)),
            whole=tuple(name for name in apart if self._apart[name] is None),
            divided=tuple(name for name in apart if self._apart[name] is not None),
        )
        records: dict[bytes, bytes | None] = {key: _encode(kept)}
        if before is None:
            old = dict.fromkeys(there)
        else:
            apart, gone = self._changed(state, before)
            old = {name: value for field, was in gone.items() for name, value in self._parts(field, was)}
        new = {name: value for field, now in apart.items() for name, value in self._parts(field, now)}
        for name, value in new.items():
            if before is None or name not in old or old[name] != value:
                records[part_key(name, key)] = _encode(value)
        records |= {part_key(name, key): None for name in old if name not in new}
        return records

    def _differing(self, state: Any) -> dict[str, Any]:
        """Return the fields apart that are not their default."""
        defaults = self._defaults_of(state)
        values = {name: getattr(state, name) for name in defaults}
        return {name: value for name, value in values.items() if value != defaults[name]}

    def _changed(self, state: Any, before: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields apart that are not as they were: as they are, and as they were."""
        now, was = self._differing(state), self._differing(before)
        same = {name for name in now.keys() & was.keys() if now[name] is was[name] or now[name] == was[name]}
        return tuple({name: of[name] for name in of if name not in same} for of in (now, was))  # type: ignore[return-value]

    def _parts(self, field: str, value: Any) -> Iterable[tuple[str, Any]]:
        blocks: Blocks | None = self._apart[field]
        if blocks is None:
            return [(field, value)]
        pieces = dict(blocks(value))
        return [(field, tuple(pieces)), *((f"{field}.{name}", piece) for name, piece in pieces.items())]

    def _defaults_of(self, state: Any) -> dict[str, Any]:
        """Return the defaults of the fields apart that this kind of state has."""
        kind = type(state)
        if kind not in self._defaults:
            self._defaults[kind] = {each.name: each.default for each in fields(kind) if each.name in self._apart}
        return self._defaults[kind]

    # ---- reading ---------------------------------------------------------------------------------------------------

    def read(self, value: bytes, parts: Mapping[str, bytes]) -> tuple[Any, bool]:
        """Return a state of any known version, and whether it is written as we would write it.

        Raises ValueError or KeyError for what is no state of ours or our neighbours'.
        """
        kept = _decode(value, type=Kept)
        whole = bytes(kept.state) or _joined(kept, parts)
        if kept.version in self._upcasts:
            shape = _decode(whole)
            for version in range(kept.version, self._version):
                shape = self._upcasts[version](shape)
            return self._decoder.decode(_encode(shape)), False
        return self._decoder.decode(whole), kept.version == self._version and bool(self._apart) != bool(kept.state)


def _joined(kept: Kept, parts: Mapping[str, bytes]) -> bytes:
    shape = _decode(kept.rest, type=dict[str, msgspec.Raw])
    for name in kept.whole:
        shape[name] = msgspec.Raw(parts[name])
    for name in kept.divided:
        blocks = [_decode(parts[f"{name}.{block}"]) for block in _decode(parts[name], type=list[str])]
        shape[name] = msgspec.Raw(_encode(_concatenated(blocks)))
    return _encode(shape)


def _concatenated(blocks: list[Any]) -> Any:
    """Return the blocks of a tuple, or of bytes in base64, as one."""
    if blocks and isinstance(blocks[0], str):
        return b64encode(b"".join(b64decode(block) for block in blocks)).decode()
    return [item for block in blocks for item in block]
