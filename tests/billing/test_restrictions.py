"""When a price counts: what a time of day may look like."""

from decimal import Decimal
from fractions import Fraction

import pytest

from contracts.tariffs import Restrictions
from services.billing.restrictions import clock_seconds, is_sane, rule_of


@pytest.mark.parametrize("text", ["07:60", "07:xx", "07:-1", "25:00", "x:30", "7", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time of day"):
        rule_of(Restrictions(start_time=text or ":", end_time="09:00"))


@pytest.mark.parametrize(("text", "second"), [("07:59", 28_740), ("07:30:00", 27_000), ("00:00", 0), ("24:00", 0)])
def test_a_time_of_day_is_a_second_of_it(text: str, second: int) -> None:
    rule = rule_of(Restrictions(start_time=text, end_time="09:00"))
    assert rule is not None
    assert rule.times == (second, 32_400)


def test_a_rule_about_energy_alone_changes_at_no_time_of_day() -> None:
    assert clock_seconds([rule_of(Restrictions(min_kwh="5")), None]) == set()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "sane"),
    [
        *[("0E-20", True), ("0E+20", True), ("1E-15", True), ("1E-16", False), ("9E+15", True), ("1E+16", False)],
        *[("0." + "1" * 30, True), ("0." + "1" * 31, False), ("NaN", False), ("Infinity", False)],
    ],
)
def test_a_number_that_nobody_can_measure_is_not_reckoned_with(number: str, sane: bool) -> None:
    assert is_sane(Decimal(number)) is sane


def test_limits_are_exact_in_our_units() -> None:
    low, high = Decimal("0.0005"), Decimal("63.5")
    rule = rule_of(
        Restrictions(min_kwh=low, max_kwh=high, min_current=low, max_current=high, min_power=low, max_power=high)
    )
    assert rule is not None
    assert rule.mwh == (500, 63_500_000)
    assert rule.amps == (Fraction(1, 2000), Fraction(127, 2))
    assert rule.milliwatts == (Fraction(500), Fraction(63_500_000))
