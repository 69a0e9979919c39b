"""What a case says, as JSON: tariffs in OCPI's shape, and a session of samples. What is wrong with it is said with its place."""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from contracts.tariffs import Policy, Tariff
from services.billing.lint import unheard_of
from services.billing.meter import END, Sample
from services.billing.restrictions import is_sane
from services.billing.tariff import Outcome, Reservation, Session, Unpriceable

T = TypeVar("T")
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""No session was before or will be after: an instant that is not between them is a clock gone wrong."""
POWERS = (("kw", 1_000_000), ("power_kw", 1_000_000), ("w", 1000), ("watts", 1000))
DIGITS = 4300
"""More digits than this Python makes no whole number of."""
HUNDRED = 100


def read(text: str) -> Any:
    """Return JSON with every number exact. What is none (NaN, or too large) is left to the place where it stands to refuse.

    Raises `ValueError` and `RecursionError`.
    """
    return json.loads(text, parse_float=_decimal, parse_int=_whole, parse_constant=Decimal)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) < DIGITS else Decimal(text)


def tariffs_of(said: Any) -> tuple[Tariff, ...]:
    """Return the tariffs of a case. Raises `Unpriceable`."""
    if not isinstance(said, list):
        return (_tariff("tariff", said),)
    return tuple(_tariff(f"tariff[{number}]", each) for number, each in enumerate(said))


def _tariff(place: str, said: Any) -> Tariff:
    tariff = _as(Tariff, said, place)
    if strange := list(unheard_of(said)):
        raise Unpriceable(f"{place}: {'; '.join(strange)}")
    return tariff


def _as(kind: type[T], said: Any, place: str) -> T:
    try:
        return msgspec.convert(said, kind, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Unpriceable(f"{place}: {error}") from error


def session_of(said: dict[str, Any], tariffs: Collection[Tariff] = ()) -> Session:
    """Return the session of a case; its samples may name only these tariffs. Raises `Unpriceable`."""
    samples, reservation = said.get("samples"), said.get("reservation")
    if not isinstance(samples, list | None):
        raise Unpriceable("samples is a list")
    names = {tariff.id for tariff in tariffs}
    read = _in_order(_sample(f"samples[{number}]", each, names) for number, each in enumerate(samples or ()))
    ends = [sample.at for sample in read if sample.state == END]
    others = [sample.at for sample in read if sample.state != END]
    if ends and others and min(ends) < min(others):
        raise Unpriceable("samples: the session ends before it starts")
    return Session(_zone(said.get("timezone", "UTC")), read, _reservation(reservation), _policy(said.get("policy")))


def _in_order(samples: Iterable[tuple[datetime, Sample]]) -> tuple[Sample, ...]:
    """Return samples by the instant that they name: two of one second keep their order (TAR-20)."""
    return tuple(sample for _, sample in sorted(samples, key=lambda each: each[0]))


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise Unpriceable(f"timezone: {name!r} is no time zone of IANA's, such as Europe/Oslo") from error


def _policy(said: Any) -> Policy:
    policy = _as(Policy, {} if said is None else said, "policy")
    spans = (policy.idle_grace_s, policy.idle_debounce_s, policy.void_below_wh, policy.void_below_s)
    if min(spans) < 0:
        raise Unpriceable("policy: a time or an energy is negative")
    if not all(is_sane(each.percent) and 0 <= each.percent <= HUNDRED for each in policy.discounts):
        raise Unpriceable("policy: a discount is from 0 to 100 percent")
    if policy.max_power_kw is not None and not (is_sane(policy.max_power_kw) and policy.max_power_kw > 0):
        raise Unpriceable("policy: max_power_kw is no power")
    return policy


def _reservation(said: Any) -> Reservation | None:
    if said is None:
        return None
    if not isinstance(said, dict) or not {"start", "end"} <= said.keys():
        raise Unpriceable('reservation: it is {"start": …, "end": …, "outcome": …}')
    try:
        start, end = _seconds(instant(said["start"])), _seconds(instant(said["end"]))
    except Unpriceable as error:
        raise Unpriceable(f"reservation: {error}") from error
    return Reservation(start, end, _as(Outcome, said.get("outcome", "USED"), "reservation: outcome"))  # type: ignore[arg-type]


def _sample(place: str, said: Any, tariffs: Collection[str]) -> tuple[datetime, Sample]:
    if not isinstance(said, dict) or "t" not in said:
        raise Unpriceable(f"{place} has no time t")
    try:
        at = instant(said["t"])
        state = _word(said, "state")
        amps, tariff = _current(said.get("amps")), _tariff_id(said, tariffs)
        sample = Sample(_seconds(at), _mwh(said.get("wh")), state and state.upper(), amps, _power(said), tariff)
    except Unpriceable as error:
        raise Unpriceable(f"{place}: {error}") from error
    return at, sample


def _word(said: dict[str, Any], name: str) -> str | None:
    word = said.get(name)
    if not isinstance(word, str | None):
        raise Unpriceable(f"{name} is a text")
    return word


def _tariff_id(said: dict[str, Any], known: Collection[str]) -> str | None:
    tariff = _word(said, "tariff_id")
    if tariff is not None and known and tariff not in known:
        raise Unpriceable(f"tariff_id {tariff!r} is none of this case's tariffs")
    return tariff


def instant(text: Any) -> datetime:
    """Return the instant that a text names; without an offset it is UTC's. Raises `Unpriceable`."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise Unpriceable(f"{text!r} is no time as RFC 3339 has it") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not FIRST <= moment < LAST:
        raise Unpriceable(f"{text!r} is not between {FIRST.year} and {LAST.year}")
    return moment


def _seconds(moment: datetime) -> int:
    """Return whole seconds since 1970 (TAR-04)."""
    return int(moment.timestamp())


def _mwh(said: Any) -> int | None:
    if said is None:
        return None
    number = _number(said, "wh")
    if number < 0:
        raise Unpriceable("wh is negative")
    return int((number * 1000).to_integral_value())


def _number(said: Any, name: str) -> Decimal:
    try:
        number = Decimal(str(said)) if isinstance(said, str | int | float | Decimal) else Decimal("NaN")
    except (InvalidOperation, ValueError):
        number = Decimal("NaN")
    if isinstance(said, bool) or not is_sane(number):
        raise Unpriceable(f"{name} is no number that a meter shows")
    return number


def _current(said: Any) -> Fraction | None:
    """Return amperes over all phases."""
    if said is None:
        return None
    phases = list(said.values()) if isinstance(said, dict) else said if isinstance(said, list) else [said]
    if not phases:
        raise Unpriceable("amps names no phase")
    return sum((Fraction(_number(each, "amps")) for each in phases), Fraction(0))


def _power(said: dict[str, Any]) -> Fraction | None:
    for name, scale in POWERS:
        if said.get(name) is not None:
            return Fraction(_number(said[name], name)) * scale
    return None
