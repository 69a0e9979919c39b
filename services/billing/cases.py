"""Cases as JSON: `{"tariff": …, "session": …}` in, what it costs out, with every number as text.

A tariff is in OCPI's shape, or a list of them that samples name by `tariff_id`. A session has `timezone`, `samples` ({t, wh, state,
amps, kw, tariff_id}), a `reservation` ({start, end, outcome}) and a `policy`; or `deliveries`, each what was known at a moment: then
the documents that this makes are the result.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from contracts.tariffs import Restrictions, Tariff
from services.billing.documents import Document, corrected
from services.billing.restrictions import Instant
from services.billing.said import FIRST, instant, session_of, tariffs_of
from services.billing.tariff import Bill, Line, Period, Unpriceable, price, rounded

HOUR = 3600
KWH = 1_000_000


def result(case: Any) -> dict[str, Any]:
    """Return what one case costs, or as `error` why it has no price; under its `name`, if it has one."""
    named = {"name": str(case["name"])} if isinstance(case, dict) and "name" in case else {}
    try:
        return {**named, **priced(case)}
    except Unpriceable as error:
        return {**named, "error": str(error)}


def priced(case: Any) -> dict[str, Any]:
    """Return what one case costs. Raises `Unpriceable`, which names what is wrong."""
    if not isinstance(case, dict) or "tariff" not in case or "session" not in case:
        raise Unpriceable('a case is {"tariff": …, "session": …}')
    tariffs, said = tariffs_of(case["tariff"]), case["session"]
    if not isinstance(said, dict):
        raise Unpriceable("session is an object")
    if "deliveries" in said:
        return _documents(tariffs, said["deliveries"])
    return shown(_bill(tariffs, said))


def _bill(tariffs: tuple[Tariff, ...], said: dict[str, Any]) -> Bill:
    return price(tariffs, session_of(said, tariffs))


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


def _moment(at: Instant) -> str:
    """Return an instant, to the nearest microsecond."""
    moment = datetime.fromtimestamp(int(at), UTC) + timedelta(microseconds=round((at % 1) * 1_000_000))
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
        "unit_price": _amount(component.price),
        "vat_percent": _amount(component.vat),
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
    if not isinstance(deliveries, list):
        raise Unpriceable('deliveries is a list of {"at": …, "session": …}')
    read = [_delivery(f"deliveries[{number}]", each, tariffs) for number, each in enumerate(deliveries)]
    documents = list(corrected(bill for _, bill in sorted(read, key=lambda each: each[0])))
    balance = sum((document.total_incl or Decimal(0) for document in documents), Decimal(0))
    return {"documents": [_document(each) for each in documents], "balance_incl": _amount(balance)}


def _delivery(place: str, said: Any, tariffs: tuple[Tariff, ...]) -> tuple[datetime, Bill]:
    """Return when something was known of a session, and what it then came to."""
    if not isinstance(said, dict) or not isinstance(said.get("session"), dict):
        raise Unpriceable(f'{place}: it is {{"at": …, "session": …}}')
    try:
        return FIRST if said.get("at") is None else instant(said["at"]), _bill(tariffs, said["session"])
    except Unpriceable as error:
        raise Unpriceable(f"{place}: {error}") from error


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
