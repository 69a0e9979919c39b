"""`make contracts`: keep one sample of every event and state shape ever written.

A sample is made once, with every field filled, and never changed: when a shape gains a field, a further sample is made beside
the older ones, and all of them are decoded for ever.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from contracts.generate import events
from tests.states import STATES

SAMPLES = Path(__file__).parent.parent / "contracts" / "samples"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def example(kind: inspect.Type, name: str = "") -> Any:
    """Return a value of this type, in plain JSON terms, with everything in it that there can be."""
    match kind:
        case inspect.StructType(array_like=True):
            return [example(f.type, f.encode_name) for f in kind.fields]
        case inspect.StructType():
            values = {f.encode_name: example(f.type, f.encode_name) for f in kind.fields}
            return ({kind.tag_field: kind.tag} if kind.tag_field else {}) | values
        case inspect.UnionType(types=types):
            return example(next(t for t in types if not isinstance(t, inspect.NoneType)), name)
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.DateTimeType():
            return NOON.isoformat().replace("+00:00", "Z")
        case inspect.BoolType():
            return True
        case inspect.IntType(ge=least):
            return max(least or 0, 7)
        case inspect.FloatType():
            return 59.5
        case inspect.DecimalType():
            return "1.5"
        case inspect.BytesType():
            return "aGk="
        case inspect.StrType():
            return name or "text"
        case (
            inspect.VarTupleType(item_type=item)
            | inspect.ListType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
        ):
            return [example(item, name)]
        case inspect.TupleType(item_types=items):
            return [example(item, name) for item in items]
        case inspect.DictType(key_type=key, value_type=value):
            return {_key(key): example(value)}
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.AnyType():
            return None
        case _:
            raise TypeError(f"no example of {kind}")


def _key(kind: inspect.Type) -> str:
    return "7" if isinstance(kind, inspect.IntType) else "key"


def shapes() -> dict[str, Any]:
    """Return every type that is written: the events, and each service's states."""
    named: dict[str, Any] = {event.__name__: event for event in events()}
    for service, union in STATES.items():
        for kind in getattr(union, "__args__", (union,)):
            named[f"state.{service}.{kind.__name__}"] = kind
    return named


def newest(name: str) -> Path | None:
    found = sorted(SAMPLES.glob(f"{name}.[0-9]*.json"), key=lambda path: int(path.name.split(".")[-2]))
    return found[-1] if found else None


def main() -> int:
    SAMPLES.mkdir(exist_ok=True)
    made = 0
    for name, kind in shapes().items():
        text = msgspec.json.format(msgspec.json.encode(example(inspect.type_info(kind))), indent=1) + b"\n"
        last = newest(name)
        if last is None or last.read_bytes() != text:
            number = 1 if last is None else int(last.name.split(".")[-2]) + 1
            (SAMPLES / f"{name}.{number}.json").write_bytes(text)
            made += 1
    print(f"{made} new samples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
