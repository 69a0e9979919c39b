"""Cases as JSON: `{"tariff": …, "session": …}` in, what it costs out, with every number as text.

A tariff is in OCPI's shape, or a list of them that samples name by `tariff_id`. A session has `timezone`, `samples` ({t, wh, state,
amps, kw, tariff_id}), a `reservation` ({start, end, outcome}) and a `policy`; or `deliveries`, each what was known at a moment: then
the documents that this makes are the result.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from contracts.tariffs import Policy, Restrictions, Tariff
from services.billing.documents import Document, corrected
from services.billing.meter import END, Sample
from services.billing.restrictions import is_sane
from services.billing.tariff import Bill, Line, Period, Reservation, Session, Unpriceable, price, rounded

HOUR = 3600
KWH = 1_000_000
HUNDRED = 100


def priced(case: Any) -> dict[str, Any]:
    """Return what one case costs. Raises `Unpriceable`, which names what is wrong."""
    if not isinstance(case, dict) or "tariff" not in case or "session" not in case:
        raise Unpriceable('a case is {"tariff": …, "session": …}')
    tariffs, said = tariffs_of(case["tariff"]), case["session"]
    if not isinstance(said, dict):
        raise Unpriceable("session is an object")
    if "deliveries" in said:
        return _documents(tariffs, said["deliveries"])
    return shown(price(tariffs, session_of(said)))


def tariffs_of(said: Any) -> tuple[Tariff, ...]:
    """Return the tariffs of a case. Raises `Unpriceable`."""
    try:
        return tuple(
            msgspec.convert(each, Tariff, strict=False) for each in (said if isinstance(said, list) else [said])
        )
    except msgspec.ValidationError as error:
        raise Unpriceable(f"tariff: {error}") from error


def session_of(said: dict[str, Any]) -> Session:
    """Return the session of a case. Raises `Unpriceable`."""
    samples, reservation = said.get("samples") or [], said.get("reservation")
    if not isinstance(samples, list):
        raise Unpriceable("samples is a list")
    read = tuple(_sample(number, each) for number, each in enumerate(samples))
    ends = [sample.at for sample in read if sample.state == END]
    others = [sample.at for sample in read if sample.state != END]
    if ends and others and min(ends) < min(others):
        raise Unpriceable("the session ends before it starts")
    return Session(_zone(said.get("timezone", "UTC")), read, _reservation(reservation), _policy(said.get("policy")))


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise Unpriceable(f"{name!r} is no time zone of IANA's, such as Europe/Oslo") from error


def _policy(said: Any) -> Policy:
    try:
        policy = msgspec.convert(said or {}, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise Unpriceable(f"policy: {error}") from error
    if not all(is_sane(each.percent) and 0 <= each.percent <= HUNDRED for each in policy.discounts):
        raise Unpriceable("policy: a discount is from 0 to 100 percent")
    if policy.max_power_kw is not None and not is_sane(policy.max_power_kw):
        raise Unpriceable("policy: max_power_kw is no power")
    return policy


def _reservation(said: Any) -> Reservation | None:
    if said is None:
        return None
    try:
        start, end = _instant(said["start"]), _instant(said["end"])
        return msgspec.convert({"start": start, "end": end, "outcome": said.get("outcome", "USED")}, Reservation)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError, Unpriceable) as error:
        raise Unpriceable(f"reservation: {error}") from error


def _sample(number: int, said: Any) -> Sample:
    if not isinstance(said, dict) or "t" not in said:
        raise Unpriceable(f"samples[{number}] has no time t")
    try:
        state = said.get("state")
        return Sample(
            _instant(said["t"]),
            _mwh(said.get("wh")),
            None if state is None else str(state).upper(),
            _current(said.get("amps")),
            _power(said),
            said.get("tariff_id"),
        )
    except (Unpriceable, ArithmeticError, ValueError, TypeError) as error:
        raise Unpriceable(f"samples[{number}]: {error}") from error


def _instant(text: Any) -> int:
    """Return seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise Unpriceable(f"{text!r} is no time as RFC 3339 has it") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _mwh(said: Any) -> int | None:
    if said is None:
        return None
    number = _number(said, "wh")
    if number < 0:
        raise Unpriceable("wh is negative")
    return int((number * 1000).to_integral_value())


def _number(said: Any, name: str) -> Decimal:
    number = (
        Decimal(str(said)) if isinstance(said, str | int | float | Decimal) and not isinstance(said, bool) else None
    )
    if number is None or not is_sane(number):
        raise Unpriceable(f"{name} is no number that a meter shows")
    return number


def _current(said: Any) -> Fraction | None:
    """Return amperes over all phases."""
    if said is None:
        return None
    phases = list(said.values()) if isinstance(said, dict) else said if isinstance(said, list) else [said]
    return sum((Fraction(_number(each, "amps")) for each in phases), Fraction(0))


def _power(said: dict[str, Any]) -> Fraction | None:
    for name, scale in (("kw", 1_000_000), ("power_kw", 1_000_000), ("w", 1000), ("watts", 1000)):
        if said.get(name) is not None:
            return Fraction(_number(said[name], name)) * scale
    return None


# ---- out ----------------------------------------------------------------------------------------------------------------


def shown(bill: Bill) -> dict[str, Any]:
    """Return a bill as JSON: exact amounts with six decimals, totals with the currency's, and why each line is there."""
    return {
        "charging_periods": [_period(each) for each in bill.periods],
        "line_items": [_line(each) for each in bill.lines],
        "total_excl_exact": _text(bill.net, 6),
        "total_incl_exact": _text(bill.gross, 6),
        "total_excl": _amount(bill.total_excl),
        "total_incl": _amount(bill.total_incl),
        "currency": bill.currency,
        "limit_applied": bill.limit,
        "flags": list(bill.flags),
        "explanation": [
            _explained(each, net, gross) for each, (net, gross) in zip(bill.lines, bill.apportioned(), strict=True)
        ],
    }


def _period(period: Period) -> dict[str, Any]:
    seconds = period.end - period.start
    time = {"CHARGING": "TIME", "PARKING": "PARKING_TIME"}.get(period.kind)
    dimensions = {
        **({"ENERGY": _text(period.mwh / KWH, 4)} if period.mwh else {}),
        **({time: _text(Fraction(seconds) / HOUR, 4)} if time else {}),
    }
    return {
        "start_date_time": _moment(period.start),
        "state": period.kind,
        "dimensions": dimensions,
        "tariff_id": period.tariff,
    }


def _moment(at: int | Fraction) -> str:
    moment = datetime.fromtimestamp(int(at), UTC) + timedelta(microseconds=int((at % 1) * 1_000_000))
    return moment.isoformat(timespec="auto").replace("+00:00", "Z")


def _line(line: Line) -> dict[str, Any]:
    component = line.component
    return {
        "dimension": line.kind,
        "element_index": component.element,
        "tariff_id": component.tariff,
        "quantity": _text(line.quantity, 3),
        "billed_quantity": _text(line.billed, 3),
        "unit": line.unit,
        "unit_price": str(component.price),
        "vat_percent": None if component.vat is None else str(component.vat),
        "net_exact": _text(line.net, 6),
        "gross_exact": _text(line.gross, 6),
        **({"reservation": component.reservation} if component.reservation else {}),
    }


def _explained(line: Line, net: Decimal, gross: Decimal) -> dict[str, Any]:
    component = line.component
    return {
        "dimension": line.kind,
        "tariff_id": component.tariff,
        "element_index": component.element,
        "component_index": component.number,
        "restrictions": msgspec.to_builtins(component.said or Restrictions(), str_keys=True),
        "measured": _text(line.quantity, 3),
        "billed": _text(line.billed, 3),
        "unit": line.unit,
        "step_size": component.step_size,
        "discount_percent": _text(line.discount * 100, 2),
        "net": _amount(net),
        "gross": _amount(gross),
    }


def _text(value: Fraction | None, decimals: int) -> str | None:
    return None if value is None else _amount(rounded(value, decimals))


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _documents(tariffs: tuple[Tariff, ...], deliveries: Any) -> dict[str, Any]:
    """Return what a session's CDR, and later knowledge of it, come to (CDR-03)."""
    if not isinstance(deliveries, list) or not all(isinstance(each, dict) and "session" in each for each in deliveries):
        raise Unpriceable('deliveries is a list of {"at": …, "session": …}')
    bills = (price(tariffs, session_of(each["session"])) for each in sorted(deliveries, key=_at))
    documents = list(corrected(bills))
    balance = sum((document.total_incl or Decimal(0) for document in documents), Decimal(0))
    return {"documents": [_document(each) for each in documents], "balance_incl": _amount(balance)}


_at: Callable[[dict[str, Any]], str] = lambda delivery: str(delivery.get("at", ""))  # noqa: E731


def _document(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "type": "CREDIT_CDR" if document.credits else "CDR",
        "total_excl": _amount(document.total_excl),
        "total_incl": _amount(document.total_incl),
        **({"credit": True, "credit_reference_id": document.credits} if document.credits else {}),
    }


def each(cases: Any) -> Iterator[Any]:
    """Yield the cases of a file: one, or a list of them."""
    yield from cases if isinstance(cases, list) else [cases]
