"""A tariff as a driver reads it before charging: by kWh, by minute, by session, then the rest (AFIR Art. 5; TAR-42)."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from msgspec import Struct

from contracts.tariffs import PriceComponent, Restrictions, Tariff

Per = Literal["kWh", "min", "session", "reservation"]
ORDER: tuple[Per, ...] = ("kWh", "min", "session", "reservation")
PER: dict[str, Per] = {"ENERGY": "kWh", "TIME": "min", "PARKING_TIME": "min", "FLAT": "session"}
WHAT = {"ENERGY": "energy", "TIME": "charging", "PARKING_TIME": "parking after charging", "FLAT": "start"}
SHOWN = Decimal("0.0001")
"""So exactly a price is shown. What is billed is worked out from the tariff's own."""
LEAST_DECIMALS = 2


class Shown(Struct, frozen=True):
    """A price: of what, by which unit, without and with taxes (None: the tariff does not say them), and when it counts."""

    what: str
    per: Per
    excl: Decimal | None
    incl: Decimal | None
    vat: Decimal | None
    step_size: int
    """In Wh or seconds; 1: to the point."""
    conditions: tuple[str, ...]


def shown(tariff: Tariff) -> tuple[Shown, ...]:
    """Return the prices of a tariff in the order in which they are to be shown."""
    every = (
        _shown(component, element.restrictions or Restrictions(), tariff)
        for element in tariff.elements
        for component in element.price_components
    )
    return tuple(sorted(every, key=lambda each: ORDER.index(each.per)))


def text_of(tariff: Tariff) -> str:
    """Return a tariff in words, one price after the other."""
    return "; ".join(line(each, tariff.currency) for each in shown(tariff))


def line(price: Shown, currency: str) -> str:
    """Return a price in words, with its taxes wherever they are known."""
    amount, taxes = (price.incl, "") if price.incl is not None else (price.excl, " without taxes")
    words = f"{price.what} {amount:f} {currency}/{price.per}{taxes}"
    return " ".join((words, *price.conditions))


def _shown(component: PriceComponent, when: Restrictions, tariff: Tariff) -> Shown:
    excl, incl = _taxed(component, tariff)
    per: Per = "reservation" if when.reservation is not None else PER[component.type]
    minutes = 60 if component.type in {"TIME", "PARKING_TIME"} and per == "min" else 1
    return Shown(
        what=WHAT[component.type] if when.reservation is None else "reservation",
        per=per,
        excl=_rounded(excl, minutes),
        incl=_rounded(incl, minutes),
        vat=component.vat,
        step_size=component.step_size,
        conditions=tuple(conditions(when)),
    )


def with_taxes(component: PriceComponent, tariff: Tariff, share: Decimal) -> Decimal | None:
    """Return a share of a price with its taxes, as it is shown."""
    _, incl = _taxed(component, tariff)
    return None if incl is None else _rounded(incl * share, 1)


def _taxed(component: PriceComponent, tariff: Tariff) -> tuple[Decimal | None, Decimal | None]:
    """Return the price without and with taxes. Where a tariff says nothing of a tax, there is none (TAR-06)."""
    price = component.price
    factor = 1 + (component.vat or Decimal(0)) / 100
    match tariff.tax_included:
        case "NO":
            return price, price * factor
        case "YES":
            return (None if component.vat is None else price / factor), price
        case "N/A":  # pragma: no branch
            return price, price


def _rounded(price: Decimal | None, parts: int) -> Decimal | None:
    """Return what a part costs, with no zeros behind the second decimal."""
    if price is None:
        return None
    exact = (price / parts).quantize(SHOWN, ROUND_HALF_UP)
    short = exact.normalize()
    digits = -int(short.as_tuple().exponent)
    return short if digits > LEAST_DECIMALS else exact.quantize(Decimal(1).scaleb(-LEAST_DECIMALS))


def conditions(when: Restrictions) -> Iterator[str]:
    """Yield in words when a price counts; all of it must hold."""
    if when.start_time or when.end_time:
        yield f"from {when.start_time or '00:00'} to {when.end_time or '24:00'}"
    if when.day_of_week:
        yield "on " + ", ".join(day.capitalize() for day in when.day_of_week)
    yield from _between("from", when.start_date, "before", when.end_date, "")
    yield from _between("after", when.min_kwh, "up to", when.max_kwh, " kWh")
    yield from _between("from", when.min_power, "below", when.max_power, " kW")
    yield from _between("from", when.min_current, "below", when.max_current, " A")
    yield from _between("after", _minutes(when.min_duration), "in the first", _minutes(when.max_duration), " min")
    if when.reservation == "RESERVATION":
        yield "per hour, or once, for reserving"
    if when.reservation == "RESERVATION_EXPIRES":
        yield "per hour, or once, if the reservation expires"


def _minutes(seconds: int | None) -> Decimal | None:
    return None if seconds is None else Decimal(seconds) / 60


def _between(
    above: str, least: str | Decimal | None, below: str, most: str | Decimal | None, unit: str
) -> Iterator[str]:
    """Yield the bounds that there are."""
    if least is not None:
        yield f"{above} {_plain(least)}{unit}"
    if most is not None:
        yield f"{below} {_plain(most)}{unit}"


def _plain(value: str | Decimal) -> str:
    if isinstance(value, str):
        return value
    return f"{value.quantize(Decimal('0.1'), ROUND_HALF_UP).normalize():f}"
