"""A tariff as a driver reads it."""

from decimal import Decimal
from typing import Any

import pytest

from contracts.tariffs import Restrictions, Tariff
from services.billing.shown import conditions, shown, text_of
from tests.billing.says import element


def tariff(*elements: Any, **fields: Any) -> Tariff:
    return Tariff("AC", "EUR", elements, **fields)


def test_prices_come_by_kwh_by_minute_by_session_and_then_the_rest() -> None:
    found = shown(
        tariff(
            element("1", "FLAT", None, reservation="RESERVATION_EXPIRES"),
            element("2", "FLAT"),
            element("6", "PARKING_TIME"),
            element("3", "TIME"),
            element("0.40"),
        )
    )
    assert [each.per for each in found] == ["kWh", "min", "min", "session", "reservation"]
    assert [each.what for each in found][1:3] == ["parking after charging", "charging"]


@pytest.mark.parametrize(
    ("included", "vat", "prices"),
    [
        ("NO", "25", ("0.40", "0.50")),
        ("NO", None, ("0.40", "0.40")),
        ("YES", "25", ("0.32", "0.40")),
        ("YES", None, (None, "0.40")),
        ("N/A", None, ("0.40", "0.40")),
    ],
)
def test_a_price_is_shown_without_and_with_taxes(included: Any, vat: str | None, prices: tuple[str, str]) -> None:
    [price] = shown(tariff(element("0.40", vat=vat), tax_included=included))
    assert tuple(None if each is None else f"{each:f}" for each in (price.excl, price.incl)) == prices


def test_what_costs_by_the_hour_is_shown_by_the_minute() -> None:
    [price] = shown(tariff(element("5", "TIME", None)))
    assert (price.incl, price.per) == (Decimal("0.0833"), "min")
    [price] = shown(tariff(element("6", "TIME", None, reservation="RESERVATION")))
    assert (price.incl, price.per, price.what) == (Decimal("6.00"), "reservation", "reservation")


def test_a_tariff_in_words() -> None:
    words = text_of(tariff(element("0.40"), element("6", "PARKING_TIME", start_time="08:00", end_time="20:00")))
    assert words == "energy 0.50 EUR/kWh; parking after charging 0.125 EUR/min from 08:00 to 20:00"


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (Restrictions(), []),
        (Restrictions(start_time="22:00"), ["from 22:00 to 24:00"]),
        (Restrictions(end_time="06:00"), ["from 00:00 to 06:00"]),
        (Restrictions(day_of_week=("MONDAY", "SUNDAY")), ["on Monday, Sunday"]),
        (Restrictions(start_date="2026-01-01", end_date="2027-01-01"), ["from 2026-01-01", "before 2027-01-01"]),
        (Restrictions(min_kwh=Decimal(10), max_kwh=Decimal("20.5")), ["after 10 kWh", "up to 20.5 kWh"]),
        (Restrictions(min_power=Decimal(16)), ["from 16 kW"]),
        (Restrictions(max_current=Decimal(32)), ["below 32 A"]),
        (Restrictions(min_duration=1800, max_duration=5400), ["after 30 min", "in the first 90 min"]),
        (Restrictions(reservation="RESERVATION"), ["per hour, or once, for reserving"]),
        (Restrictions(reservation="RESERVATION_EXPIRES"), ["per hour, or once, if the reservation expires"]),
    ],
)
def test_when_a_price_counts_in_words(when: Restrictions, words: list[str]) -> None:
    assert list(conditions(when)) == words
