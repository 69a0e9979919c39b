"""What stations get wrong, and how it is understood all the same.

What conforms to the schema is decoded strictly and costs nothing here. Everything else is read leniently, field by field,
by what the field should be; each repair is a `Violation` with the rule or quirk of our catalogue (X-…, Q-…, T-…).
Details never repeat texts of the station's: they may be id tags.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, inspect

from contracts.stations import Frame, Violation
from services.gateway import mend
from services.gateway.errors import ErrorCode

S = TypeVar("S", bound=Struct)

# ---- frames --------------------------------------------------------------------------------------------------------

_PARTS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_STRING: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
_CONTROLS = dict.fromkeys(range(0x20))


class Envelope(Struct, frozen=True):
    """The elements of a frame, each as JSON; none if it is no JSON array. `is_doubtful`: something was left out of it."""

    frame: Frame
    parts: list[Raw]
    violations: tuple[Violation, ...] = ()
    is_doubtful: bool = False
    rest: bytes = b""
    """Another message that came in the same frame."""


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
    if (parts := _parts(bare)) is not None:
        return Envelope(frame, parts, tuple(violations))
    if bare.startswith('"') and (inner := string(bare.encode()) or "").startswith("["):
        bare = inner
        violations.append(Violation("T-40", "a text that holds the array"))
    plain = bare.translate(_CONTROLS)
    if (parts := _parts(plain)) is not None:
        if plain != bare:
            violations.append(Violation("Q-21", "control characters inside a text"))
        return Envelope(frame, parts, tuple(violations))
    found = mend.mended(plain)
    if found is None:
        return Envelope(frame, [], tuple(violations))
    if any(c < " " and c not in "\t\r\n" for c in bare):
        violations.append(Violation("Q-21", "control characters inside a text"))
    violations += found.violations
    return Envelope(frame, _parts(found.text) or [], tuple(violations), found.is_doubtful, found.rest.encode())


def _parts(text: str) -> list[Raw] | None:
    try:
        return _PARTS.decode(text)
    except (ValueError, RecursionError):
        return None


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


Repair = Callable[[dict[str, Any], Callable[[str, str], None]], dict[str, Any]]
"""Puts right what a payload says in a way of its own, before its fields are read: given what is said, and where to note."""


class Ways(Struct, frozen=True):
    """How a station says things that cannot be seen to be odd."""

    zone: tzinfo = UTC
    """What its times are in where they name no zone."""
    registers_in_kwh: bool = False
    """Its starts and stops count in kWh (Q-77)."""


USUAL = Ways()


class Reader(Generic[S]):
    """Reads payloads as one kind of struct.

    A field that may be None but has no default is one that the schema requires and that we can do without. Its
    metadata may name the rule that a repair counts under, and what a blank word stands for: `Meta(extra={"rule": "Q-76",
    "blank": "Other"})`. `repairs` holds what is particular to a kind of struct.
    """

    def __init__(self, kind: type[S], repairs: dict[type[Struct], Repair] | None = None) -> None:
        self._strict: msgspec.json.Decoder[S] = msgspec.json.Decoder(kind)
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        self._type, self._repairs = info, repairs or {}
        self._needs = any(field.required and not _optional(field.type) for field in info.fields)

    def read(self, payload: bytes, ways: Ways = USUAL) -> tuple[S, list[Violation]]:
        """Return what `payload` says and what had to be repaired.

        Raises `Unfit` if it lacks what it needs; where nothing is needed, what is no JSON object is an empty one.
        """
        if b"null" not in payload and not ways.registers_in_kwh:
            try:
                return self._strict.decode(payload), []
            except ValueError:
                pass
        reading = _Lenient(ways, self._repairs)
        value = reading.object(payload)
        if value is None:
            if self._needs:
                raise Unfit("FormationViolation", "The payload is a JSON object.")
            value = {}
            reading.note("T-51", "the payload is no JSON object")
        return reading.struct(self._type, value), reading.violations


def _decoded(payload: bytes | str) -> Any:
    """Return what JSON says, with numbers of any size; None if it is none."""
    try:
        return msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(payload, parse_constant=lambda _: None, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_NUMBER else None


class _Lenient:
    """Reads what does not conform, and notes each repair."""

    def __init__(self, ways: Ways, repairs: dict[type[Struct], Repair]) -> None:
        self.violations: list[Violation] = []
        self._ways, self._repairs = ways, repairs

    def note(self, rule: str, detail: str) -> None:
        self.violations.append(Violation(rule, detail))

    def object(self, payload: bytes) -> dict[str, Any] | None:
        """Return the object that a payload is, or that it wraps in a list or a text."""
        value = _decoded(payload)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            self.note("T-51", "the payload is an object in a list")
            return value[0]
        if isinstance(value, str) and isinstance(inner := _decoded(value), dict):
            self.note("T-51", "the payload is an object in a text")
            return inner
        return value if isinstance(value, dict) else None

    def struct(self, kind: inspect.StructType, said: dict[str, Any]) -> Any:
        said = self._known(kind, said)
        if (repair := self._repairs.get(kind.cls)) is not None:
            said = repair(said, self.note)
        return kind.cls(**{field.name: self.field(field, said) for field in kind.fields})

    def _known(self, kind: inspect.StructType, said: dict[str, Any]) -> dict[str, Any]:
        """Return what is said by the names that OCPP has for it."""
        known = {field.encode_name for field in kind.fields}
        strange = [name for name in said if name not in known]
        if not strange:
            return said
        folded = {folded_word(name): name for name in known if name not in said}
        meant = {folded[fold]: said[name] for name in strange if (fold := folded_word(name)) in folded}
        if meant:
            self.note("Q-26", f"fields spelt otherwise: {len(meant)}")
        if len(strange) > len(meant):
            self.note("Q-26", f"unknown fields: {len(strange) - len(meant)}")
        return said | meant

    def field(self, field: inspect.Field, said: dict[str, Any]) -> Any:
        name, value = field.encode_name, said.get(field.encode_name)
        kind, extra = _bare(field.type)
        rule = str(extra.get("rule", ""))
        if isinstance(value, str) and not value.strip(_BLANKS) and "blank" in extra:
            value = extra["blank"]
            self.note(rule, f"{name} says nothing")
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
            case inspect.VarTupleType(item_type=item), dict() if value:
                self.note("Q-86", f"{name} is no list")
                return self.each(item, [value], name)
            case inspect.StructType(), dict():
                return self.struct(kind, value)
            case _:
                return None

    def integer(self, kind: inspect.IntType, value: Any, name: str, rule: str) -> int | None:
        number = Decimal(value) if type(value) is int else decimal(value)
        power = 3 if rule == "Q-77" and self._ways.registers_in_kwh else 0
        if number is None and isinstance(value, str) and rule == "Q-77":
            number, power = _energy(value)
        if number is not None and power and number.adjusted() < LONGEST_NUMBER:
            number = number.scaleb(power)
        least, most = kind.ge if kind.ge is not None else -INT64, kind.le if kind.le is not None else INT64 - 1
        if number is None or not least <= number <= most:
            return None
        if type(value) is not int or power:
            self.note(rule or "X-45", f"{name} is in kWh" if power else f"{name} is no integer")
        return int(number.to_integral_value(ROUND_HALF_EVEN))

    def text(self, kind: inspect.StrType, value: Any, name: str, rule: str) -> str | None:
        if isinstance(value, bool) or (kind.max_length is not None and isinstance(value, dict | list)):
            return None  # only a text of any length may have been meant to hold JSON
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if not isinstance(value, str):
            self.note(rule or "T-51", f"{name} is no text")
        if kind.max_length is not None and len(text) > kind.max_length:
            self.note(TOO_LONG.get(rule, rule), f"{name} has {len(text)} of at most {kind.max_length} characters")
        return self._characters(text)

    def _characters(self, text: str) -> str:
        """Return a text that UTF-8 can say: JSON can name halves of a character."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self.note("Q-22", "half a character")
            return text.encode(errors="replace").decode()
        return text

    def moment(self, value: Any, name: str) -> datetime | None:
        if isinstance(value, str):
            try:
                return _RFC_3339.decode(msgspec.json.encode(value))
            except ValueError:  # also of what is no character
                pass
        found = moment(value, self._ways.zone) if type(value) in {int, float, str} else None
        if found is not None:
            self.note("X-42", f"{name} is not as RFC 3339 has it")
        return found

    def word(self, words: tuple[Any, ...], value: str, name: str, rule: str) -> str | None:
        bare = self._characters(value).strip(_BLANKS)
        if bare in words and bare == value:
            return value
        if not bare:
            return None
        found = word(words, bare)
        self.note(rule or "T-51", f"{name} is no word of OCPP" if found is None else f"{name} is spelt otherwise")
        return bare if found is None else found

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


def _bare(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """Return what a field holds besides None, and what its metadata say."""
    extra: dict[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        extra = dict(kind.extra or {})
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        inner, deeper = _bare(next(t for t in kind.types if not isinstance(t, inspect.NoneType)))
        return inner, extra or deeper
    return kind, extra


# ---- words -------------------------------------------------------------------------------------------------------

_BLANKS = "\"' \t\r\n\0"
ALIASES = {
    "hz": "Hertz", "herz": "Hertz", "celcius": "Celsius", "c": "Celsius", "degc": "Celsius", "centigrade": "Celsius",
    "f": "Fahrenheit", "degf": "Fahrenheit", "kelvin": "K", "pct": "Percent", "percentage": "Percent", "per": "Percent",
    "watt": "W", "watts": "W", "kilowatt": "kW", "kilowatts": "kW", "volt": "V", "volts": "V", "amp": "A", "amps": "A",
    "ampere": "A", "amperes": "A", "watthour": "Wh", "watthours": "Wh", "kilowatthour": "kWh", "kilowatthours": "kWh",
    "kwhr": "kWh", "whr": "Wh", "kwhrs": "kWh", "voltampere": "VA",
    "periodic": "Sample.Periodic", "sample": "Sample.Periodic", "clock": "Sample.Clock",
    "1": "L1", "2": "L2", "3": "L3", "phase1": "L1", "phase2": "L2", "phase3": "L3",
    "p1": "L1", "p2": "L2", "p3": "L3", "neutral": "N",
    "stateofcharge": "SoC", "none": "NoError", "ok": "NoError", "signed": "SignedData",
}  # fmt: skip
"""Words that stations say for others, as `folded_word` leaves them (Q-87, Q-89)."""
_SIGNS = {"%": "Percent", "°c": "Celsius", "°f": "Fahrenheit", "ºc": "Celsius"}


def folded_word(said: str) -> str:
    """Return a word without its case and without what is between its letters."""
    return "".join(c for c in said.casefold() if c.isalnum())


@cache
def _folded_words(words: tuple[str, ...]) -> dict[str, str]:
    return {folded_word(word): word for word in reversed(words)}


def word(words: tuple[str, ...], said: str) -> str | None:
    """Return which of `words` is meant; None if it is none of them."""
    folded = folded_word(said)
    known = _folded_words(words)
    found = known.get(folded) or ALIASES.get(folded) or _SIGNS.get(said.casefold())
    return found if found in words else None


# ---- values --------------------------------------------------------------------------------------------------------

INT64 = 1 << 63
TOO_LONG = {"": "Q-40", "Q-41": "Q-40"}
"""Which rule a text that is too long counts under, if not under its own."""
LONGEST_NUMBER = 40
"""A number with more digits says nothing."""

_PLAIN = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII)
is_plain = _PLAIN.fullmatch
"""Whether a text is a decimal number as it should be written."""
_WITH_UNIT = re.compile(r"([-+]?[0-9][0-9.,\s]*(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z%°/][A-Za-z%°/. ]*)")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}([.,])\d{3}(?:\1\d{3})+", re.ASCII)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[ \u00a0\u202f']\d{3})+(?:[.,]\d+)?", re.ASCII)


def decimal(value: Any) -> Decimal | None:
    """Return the number that `value` says, whether as JSON or text, with blanks or a decimal comma (Q-85)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(_with_a_point(value.strip(_BLANKS)) if isinstance(value, str) else repr(value))
    except (InvalidOperation, ValueError):  # ValueError: an integer with more digits than Python writes
        return None
    return number if number.is_finite() else None


def _with_a_point(text: str) -> str:
    """Return a number's text with a decimal point: of several marks the last one is it, and the others group digits."""
    if _THOUSANDS.fullmatch(text):
        return re.sub(r"[.,]", "", text)
    if _GROUPED.fullmatch(text):
        text = re.sub(r"[^-+\d.,]", "", text)
    comma, point = text.rfind(","), text.rfind(".")
    if comma >= 0 and point >= 0:
        mark, other = (",", ".") if comma > point else (".", ",")
        return text.replace(other, "").replace(mark, ".") if text.count(mark) == 1 else text
    return text.replace(",", ".") if text.count(",") == 1 else text


def number(text: str) -> tuple[str, bool] | None:
    """Return a meter's value as a plain decimal number, and whether it was one; None if it says no number (X-47)."""
    if _PLAIN.fullmatch(text):
        return text, True
    found = decimal(text)
    return None if found is None or abs(found.adjusted()) > 30 else (format(found, "f"), False)


def number_with_unit(text: str) -> tuple[str, str] | None:
    """Return the number and the unit of a text that says both, such as `12.3 kWh`."""
    found = _WITH_UNIT.fullmatch(text.strip(_BLANKS))
    said = None if found is None else number(found[1].strip())
    return None if found is None or said is None else (said[0], found[2].strip())


def _energy(text: str) -> tuple[Decimal | None, int]:
    """Return a number of Wh or kWh, and the power of ten that makes it Wh."""
    said = number_with_unit(text)
    power = None if said is None else {"wh": 0, "kwh": 3}.get(folded_word(said[1]))
    return (None, 0) if said is None or power is None else (Decimal(said[0]), power)


_RFC_3339: msgspec.json.Decoder[datetime] = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])
_MOMENT = re.compile(
    r"(?P<year>\d{4})(?P<dash>[-/.]?)(?P<month>\d\d?)(?P=dash)(?P<day>\d\d?)[Tt_\s]\s*"
    r"(?P<hour>\d\d?)(?P<colon>:?)(?P<minute>\d\d?)(?:(?P=colon)(?P<second>\d\d?)(?:[.,:](?P<fraction>\d*))?)?\s*"
    r"(?:(?P<zulu>[Zz]|UTC|GMT)|(?P<sign>[-+\u2212])(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?(?::\d\d)?\s*(?:[Zz]|UTC)?)?"
    r"(?:\[[\w/+-]+\])?",  # Java names the zone besides
    re.ASCII,
)
_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})(?=\D)", re.ASCII)
_EPOCH = re.compile(r"\d{9,10}(?:\.\d+)?|\d{12,13}", re.ASCII)


def moment(said: str | float, zone: tzinfo = UTC) -> datetime | None:
    """Return the moment that is said, in `zone` where it names none; None if it names no moment (X-42).

    A number counts the seconds or milliseconds since 1970.
    """
    text = said.strip(_BLANKS) if isinstance(said, str) else repr(said)
    if _EPOCH.fullmatch(text):
        seconds = Decimal(text) if len(text.partition(".")[0]) <= 10 else Decimal(text) / 1000
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(seconds))
    found = _MOMENT.fullmatch(_DAY_FIRST.sub(r"\3-\2-\1", text))
    if found is None or any(mark == "" and len(digits) < 2 for mark, digits in _digits(found)):
        return None
    try:
        return _at(found, zone)
    except (ValueError, OverflowError):
        return None


def _digits(found: re.Match[str]) -> list[tuple[str, str]]:
    """Return the parts of a moment, each with the mark that divides it from the next: without one they have two digits."""
    dash, colon = found["dash"], found["colon"]
    return [
        (dash, found["month"]),
        (dash, found["day"]),
        (colon, found["hour"]),
        (colon, found["minute"]),
        (colon, found["second"] or "00"),
    ]


def _at(found: re.Match[str], zone: tzinfo) -> datetime:
    if found["sign"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
        zone = timezone(offset if found["sign"] == "+" else -offset)
    elif found["zulu"]:
        zone = UTC
    hour, second = int(found["hour"]), min(int(found["second"] or 0), 59)
    is_midnight = hour == 24 and not int(found["minute"]) and not second
    day = datetime(int(found["year"]), int(found["month"]), int(found["day"]), tzinfo=zone)
    at = day.replace(
        hour=0 if is_midnight else hour,
        minute=int(found["minute"]),
        second=second,
        microsecond=int((found["fraction"] or "0")[:6].ljust(6, "0")),
    )
    return at + timedelta(days=is_midnight)
