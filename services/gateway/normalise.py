"""What stations get wrong, and how it is understood all the same.

What conforms to the schema is decoded strictly and costs nothing here. Everything else is read leniently, field by field,
by what the field should be; each repair is a `Violation` with the rule or quirk of our catalogue (X-…, Q-…, T-…).
Details never repeat texts of the station's: they may be id tags.
"""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, inspect

from contracts.stations import Frame, Violation
from services.gateway.errors import ErrorCode

S = TypeVar("S", bound=Struct)

# ---- frames --------------------------------------------------------------------------------------------------------

_PARTS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_STRING: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
_CONTROLS = dict.fromkeys(range(0x20))


class Envelope(Struct, frozen=True):
    """The elements of a frame, each as JSON; none if it is no JSON array."""

    frame: Frame
    parts: list[Raw]
    violations: tuple[Violation, ...] = ()


def envelope(data: bytes) -> Envelope:
    """Return the elements of a frame, repaired where there is one way to read it."""
    try:
        frame, text = Frame(text=data.decode()), None
    except UnicodeDecodeError:
        frame, text = Frame(base64=data), data.decode(errors="replace")
    if text is None:
        try:
            return Envelope(frame, _PARTS.decode(data))
        except (ValueError, RecursionError):
            text = frame.text
    return _repaired(frame, text)


def _repaired(frame: Frame, text: str) -> Envelope:
    violations: list[Violation] = []
    if frame.base64 is not None:
        violations.append(Violation("Q-22", "not UTF-8"))
    bare = text.lstrip("\ufeff").rstrip("\0 \t\r\n")
    if bare != text.rstrip(" \t\r\n"):
        violations.append(Violation("Q-20", "byte order mark or trailing NUL"))
    plain = bare.translate(_CONTROLS)
    for candidate, rule in ((bare, ()), (plain, (Violation("Q-21", "control characters inside a text"),))):
        try:
            return Envelope(frame, _PARTS.decode(candidate), (*violations, *rule))
        except (ValueError, RecursionError):
            continue
    return Envelope(frame, [], tuple(violations))


def string(raw: bytes) -> str | None:
    """Return the text that `raw` is the JSON of, if it is one."""
    try:
        return _STRING.decode(raw)
    except ValueError:
        return None


# ---- payloads ------------------------------------------------------------------------------------------------------


class Unfit(Exception):
    """A payload lacks what it needs. `code` is OCPP's word for it."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(description)
        self.code, self.description = code, description


class Reader(Generic[S]):
    """Reads payloads as one kind of struct.

    A field that may be None but has no default is one that the schema requires and that we can do without. Its
    metadata may name the rule that a repair counts under: `Meta(extra={"rule": "Q-40"})`.
    """

    def __init__(self, kind: type[S]) -> None:
        self._strict: msgspec.json.Decoder[S] = msgspec.json.Decoder(kind)
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        self._type = info

    def read(self, payload: bytes, *, lenient: bool = False) -> tuple[S, list[Violation]]:
        """Return what `payload` says and what had to be repaired.

        Raises `Unfit` if it lacks what it needs; with `lenient`, what is no JSON object is taken for an empty one.
        """
        if b"null" not in payload:
            try:
                return self._strict.decode(payload), []
            except ValueError:
                pass
        reading, value = _Lenient(), _object(payload)
        if value is None:
            if not lenient:
                raise Unfit("FormationViolation", "The payload is a JSON object.")
            value = {}
            reading.note("T-51", "the payload is no JSON object")
        return reading.struct(self._type, value), reading.violations


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        try:  # knows numbers of any size
            value = json.loads(payload, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


class _Lenient:
    """Reads what does not conform, and notes each repair."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def note(self, rule: str, detail: str) -> None:
        self.violations.append(Violation(rule, detail))

    def struct(self, kind: inspect.StructType, said: dict[str, Any]) -> Any:
        known = {field.encode_name for field in kind.fields}
        if strangers := sum(name not in known for name in said):
            self.note("Q-26", f"unknown fields: {strangers}")
        return kind.cls(**{field.name: self.field(field, said) for field in kind.fields})

    def field(self, field: inspect.Field, said: dict[str, Any]) -> Any:
        name, value = field.encode_name, said.get(field.encode_name)
        kind, rule = _bare(field.type)
        found = None if value is None else self.value(kind, value, name, rule)
        if found is not None:
            return found
        if not field.required:
            if name in said:
                self.note(rule or "T-51", f"{name} says nothing")
            return field.default
        if not _optional(field.type):
            raise _unfit(name, value)
        self.note(rule or "T-51", f"{name} is missing" if value is None else f"{name} cannot be used")
        return None

    def value(self, kind: inspect.Type, value: Any, name: str, rule: str) -> Any:
        """Return `value` as what it should be, or None if that cannot be said."""
        match kind, value:
            case inspect.IntType(), _:
                return self.integer(kind, value, name, rule)
            case inspect.StrType(), _:
                return self.text(kind, value, name, rule)
            case inspect.DateTimeType(), _:
                return self.moment(value, name)
            case inspect.LiteralType(values=words), str():
                return self.word(words, value, name, rule)
            case inspect.VarTupleType(item_type=item), list():
                return self.each(item, value, name)
            case inspect.StructType(), dict():
                return self.struct(kind, value)
            case _:
                return None

    def integer(self, kind: inspect.IntType, value: Any, name: str, rule: str) -> int | None:
        number = Decimal(value) if type(value) is int else decimal(value)
        least, most = kind.ge if kind.ge is not None else -INT64, kind.le if kind.le is not None else INT64 - 1
        if number is None or not least <= number <= most:
            return None
        if type(value) is not int:
            self.note(rule or "X-45", f"{name} is no integer")
        return int(number.to_integral_value(ROUND_HALF_EVEN))

    def text(self, kind: inspect.StrType, value: Any, name: str, rule: str) -> str | None:
        if isinstance(value, bool) or (kind.max_length is not None and isinstance(value, dict | list)):
            return None  # only a text of any length may have been meant to hold JSON
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if not isinstance(value, str):
            self.note(rule or "T-51", f"{name} is no text")
        if kind.max_length is not None and len(text) > kind.max_length:
            self.note(rule or "Q-40", f"{name} has {len(text)} of at most {kind.max_length} characters")
        return text

    def moment(self, value: Any, name: str) -> datetime | None:
        if not isinstance(value, str):
            return None
        try:
            return _RFC_3339.decode(msgspec.json.encode(value))
        except ValueError:
            pass
        found = moment(value)
        if found is not None:
            self.note("X-42", f"{name} is not as RFC 3339 has it")
        return found

    def word(self, words: tuple[Any, ...], value: str, name: str, rule: str) -> str | None:
        bare = value.strip("\"' \t\r\n\0")
        if bare in words and bare == value:
            return value
        if not bare:
            return None
        folded = bare.casefold()
        found = next((word for word in words if word.casefold() == folded), ALIASES.get(folded, bare))
        self.note(rule or "T-51", f"{name} is no word of OCPP" if found not in words else f"{name} is spelt otherwise")
        return str(found)

    def each(self, item: inspect.Type, values: list[Any], name: str) -> tuple[Any, ...]:
        found: list[Any] = []
        if not values:
            self.note("Q-86", f"{name} is empty")
        for value in values:
            try:
                one = self.value(item, value, name, "")
            except Unfit:
                one = None
            if one is None:
                self.note("Q-85", f"one {name} cannot be used")
            else:
                found.append(one)
        return tuple(found)


def _unfit(name: str, value: Any) -> Unfit:
    if value is None:
        return Unfit("ProtocolError", f"{name} is required.")
    return Unfit("TypeConstraintViolation", f"{name} has another type.")


def _optional(kind: inspect.Type) -> bool:
    bare = kind.type if isinstance(kind, inspect.Metadata) else kind
    return isinstance(bare, inspect.UnionType) and bare.includes_none


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """Return what a field holds besides None, and the rule that its repairs count under."""
    rule = ""
    if isinstance(kind, inspect.Metadata):
        rule = str((kind.extra or {}).get("rule", ""))
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        inner, deeper = _bare(next(t for t in kind.types if not isinstance(t, inspect.NoneType)))
        return inner, rule or deeper
    return kind, rule


# ---- values --------------------------------------------------------------------------------------------------------

INT64 = 1 << 63
ALIASES = {"hz": "Hertz", "celcius": "Celsius", "%": "Percent", "c": "Celsius", "°c": "Celsius", "occupied": "Occupied"}
"""Words that stations say for others (Q-87)."""

_PLAIN = re.compile(r"-?\d+(\.\d+)?")


def decimal(value: Any) -> Decimal | None:
    """Return the number that `value` says, whether as JSON or text, with blanks or a decimal comma (Q-85)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = value.strip("\0 \t\r\n").replace(",", ".") if isinstance(value, str) else repr(value)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def number(text: str) -> tuple[str, bool] | None:
    """Return a meter's value as a plain decimal number, and whether it was one; None if it says no number (X-47)."""
    if _PLAIN.fullmatch(text):
        return text, True
    found = decimal(text)
    return None if found is None or abs(found.adjusted()) > 30 else (format(found, "f"), False)


_RFC_3339: msgspec.json.Decoder[datetime] = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])
_MOMENT = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[Tt ]+(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d*))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?"
)


def moment(text: str) -> datetime | None:
    """Return the moment that `text` names, UTC where it names no zone; None if it names none (X-42)."""
    found = _MOMENT.fullmatch(text.strip("\0 \t\r\n"))
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset) if offset else UTC
        second, micro = min(int(second or 0), 59), int((fraction or "0")[:6].ljust(6, "0"))
        return datetime(int(year), int(month), int(day), int(hour), int(minute), second, micro, zone)
    except ValueError:
        return None
