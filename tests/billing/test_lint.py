"""What a tariff allows and perhaps does not mean."""

from typing import Any

import pytest

from services.billing.lint import warnings
from services.billing.said import tariffs_of
from tests.billing.given import element, energy, tariff


def rules(*elements: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    return warnings(tariffs_of(tariff(*elements, **fields))[0])


@pytest.mark.parametrize(
    ("least", "limit", "begins", "ends", "before"),
    [
        ("min_kwh", "max_kwh", "5", "5", "4.9"),
        ("min_current", "max_current", "32", "16", "10"),
        ("min_power", "max_power", "22", "11", "3.7"),
        ("min_duration", "max_duration", 3600, 1800, 60),
        ("start_date", "end_date", "2026-12-01", "2026-12-01", "2026-11-30"),
    ],
)
def test_an_element_that_ends_before_it_begins_never_counts(
    least: str, limit: str, begins: Any, ends: Any, before: Any
) -> None:
    everywhere = element(energy("0.40"))
    never = element(energy("0.20"), **{least: begins, limit: ends})
    assert rules(never, everywhere) == [
        ("impossible", f"elements[0] never counts: its {least} is not below its {limit}")
    ]
    assert rules(element(energy("0.20"), **{least: before, limit: ends}), everywhere) == []
    assert rules(element(energy("0.20"), **{least: begins}), everywhere) == []


def test_a_night_is_no_element_that_ends_before_it_begins() -> None:
    assert rules(element(energy("0.20"), start_time="22:00", end_time="06:00"), element(energy("0.40"))) == []


@pytest.mark.parametrize(
    ("least", "most", "is_crossed"),
    [
        ({"before_taxes": "5"}, {"before_taxes": "3"}, True),
        ({"before_taxes": "3"}, {"before_taxes": "3"}, False),
        ({"before_taxes": "3", "after_taxes": "4"}, {"before_taxes": "5", "after_taxes": "3.5"}, True),
        ({"before_taxes": "5"}, {"after_taxes": "3"}, False),
        ({"before_taxes": "5"}, None, False),
        (None, {"before_taxes": "5"}, False),
    ],
)
def test_a_least_above_the_most_is_perhaps_not_meant(least: Any, most: Any, is_crossed: bool) -> None:
    found = rules(element(energy("0.40")), min_price=least, max_price=most)
    assert ("crossed_limits" in dict(found)) == is_crossed
