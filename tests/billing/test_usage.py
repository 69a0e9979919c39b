"""What is remembered of a session's usage gives the same bill as all of it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bills import Usage
from contracts.tariffs import Policy, Tariff
from services.billing.said import tariffs_of
from services.billing.tariff import price
from services.billing.usage import NOTED_EVERY_S, Boundaries, is_worth_noting, seconds, session_of, thinned
from tests.billing.given import element, energy, tariff
from tests.billing.says import at
from tests.billing.test_properties import tariffs

LIMITED = Policy(max_power_kw=Decimal(50))
STATES = st.sampled_from([None, None, None, "CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE"])


@st.composite
def usages(draw: st.DrawFn) -> tuple[Usage, ...]:
    steps = draw(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 4000), STATES), min_size=1, max_size=25))
    usage, minutes, energy = [Usage(at(0), 0)], 0.0, 0
    for passed, risen, state in steps:
        minutes, energy = minutes + passed / 60, energy + risen
        usage.append(Usage(at(minutes), None if state else energy, state))
    usage.append(Usage(at(minutes + 10), energy, "END"))
    return tuple(usage)


@given(tariffs(), usages())
def test_thinning_changes_no_bill(tariff: Tariff, usage: tuple[Usage, ...]) -> None:
    boundaries = Boundaries(tariff, "Europe/Oslo", seconds(usage[0].at), LIMITED)
    kept = thinned(usage, boundaries)
    whole = price(tariff, session_of(usage, "Europe/Oslo", LIMITED))
    less = price(tariff, session_of(kept, "Europe/Oslo", LIMITED))
    assert (less.net, less.gross, less.lines, less.flags) == (whole.net, whole.gross, whole.lines, whole.flags)
    assert set(kept) <= set(usage)


@given(tariffs(), usages(), st.integers(1, 20))
def test_thinning_as_it_comes_is_thinning_at_the_end(tariff: Tariff, usage: tuple[Usage, ...], part: int) -> None:
    boundaries = Boundaries(tariff, "Europe/Oslo", seconds(usage[0].at), LIMITED)
    early = thinned((*thinned(usage[:part], boundaries), *usage[part:]), boundaries)
    whole = price(tariff, session_of(usage, "Europe/Oslo", LIMITED))
    less = price(tariff, session_of(early, "Europe/Oslo", LIMITED))
    assert (less.net, less.gross) == (whole.net, whole.gross)


# ---- which moments matter ----------------------------------------------------------------------------------------------


def boundaries(**restrictions: Any) -> Boundaries:
    """Return those of a tariff with one element that counts so, in a session that began at noon UTC, 13 h in Oslo."""
    (made,) = tariffs_of(tariff(element(energy("4"), **restrictions)))
    return Boundaries(made, "Europe/Oslo", seconds(at(0)), Policy())


def steady(minutes: float) -> Usage:
    """Return an energy on a straight line: 6 kW."""
    return Usage(at(minutes), round(minutes * 100))


LINE = tuple(steady(minutes) for minutes in range(61))


@pytest.mark.parametrize(
    ("restrictions", "beside"),
    [
        ({}, []),
        ({"min_duration": 1800}, [30]),
        ({"max_duration": 1800}, [30]),
        ({"min_duration": 600, "max_duration": 1800}, [10, 30]),
        ({"min_kwh": "3"}, [30]),
        ({"max_kwh": "3"}, [30]),
        ({"start_time": "13:30", "end_time": "13:45"}, [30, 45]),
    ],
)
def test_on_a_straight_line_only_what_lies_beside_a_change_of_price_is_kept(
    restrictions: dict[str, Any], beside: list[int]
) -> None:
    kept = [(each.at - at(0)).total_seconds() / 60 for each in thinned(LINE, boundaries(**restrictions))]
    assert set(kept) == {0, 60} | {minute + n for minute in beside for n in (-1, 0, 1)}


@pytest.mark.parametrize("restrictions", [{"min_power": "3"}, {"max_power": "7"}, {"max_current": "10"}])
def test_a_power_that_crosses_no_limit_is_kept_by_its_ends(restrictions: dict[str, Any]) -> None:
    assert thinned(LINE, boundaries(**restrictions)) == (LINE[0], LINE[-1])


@pytest.mark.parametrize(("limit", "kept"), [("5.9", [0, 10, 12, 60]), ("6", [0, 10, 12, 60]), ("6.1", [0, 60])])
def test_where_the_power_crosses_a_limit_both_sides_are_kept(limit: str, kept: list[int]) -> None:
    """For two minutes it is 3 kW, beside 6 kW before and after."""
    slower = [Usage(each.at, each.energy_wh - min(50 * max(n - 10, 0), 100)) for n, each in enumerate(LINE)]  # type: ignore[operator]  # known
    assert [(each.at - at(0)).total_seconds() / 60 for each in thinned(slower, boundaries(min_power=limit))] == kept


def test_a_rise_that_is_no_measurement_is_kept_so_that_somebody_looks() -> None:
    jump = [Usage(each.at, (each.energy_wh or 0) + 5000 * (n >= 30)) for n, each in enumerate(LINE)]
    (made,) = tariffs_of(tariff(element(energy("4"))))
    limits = Boundaries(made, "Europe/Oslo", seconds(at(0)), Policy(max_power_kw=Decimal(22)))
    assert thinned(jump, limits) == (jump[0], jump[29], jump[30], jump[60])


def test_what_is_priced_has_its_energies_in_thousandths_of_a_watt_hour() -> None:
    samples = session_of((Usage(at(0), 0), Usage(at(1), None, "CHARGING"), Usage(at(2), 7, "END")), "UTC", Policy())
    assert [(sample.mwh, sample.state) for sample in samples.samples] == [(0, None), (None, "CHARGING"), (7000, "END")]


@pytest.mark.parametrize(
    ("minutes", "restrictions", "worth"),
    [
        (30.5, {}, False),
        (31, {}, True),
        (30, {}, True),
        (29, {}, True),
        (30.5, {"min_duration": 1890}, True),
        (30.5, {"min_duration": 1891}, False),
        (30.5, {"max_kwh": "3.1"}, True),
        (30.5, {"max_kwh": "3.101"}, False),
        (30.5, {"start_time": "13:31"}, True),
        (30.5, {"start_time": "13:32"}, False),
    ],
)
def test_the_running_cost_follows_every_minute_and_at_once_where_a_price_may_change(
    minutes: float, restrictions: dict[str, Any], *, worth: bool
) -> None:
    """It looks as far ahead as the next energy may come: another minute, and as much energy again."""
    known = (Usage(at(0), 0), Usage(at(10), None, "CHARGING"), steady(30))
    assert is_worth_noting(known, steady(minutes), boundaries(**restrictions)) == worth


def test_the_first_energy_and_a_state_are_always_worth_noting() -> None:
    nothing = boundaries()
    assert is_worth_noting((), steady(0), nothing)
    assert is_worth_noting((Usage(at(0), None, "CHARGING"),), steady(0), nothing)
    assert is_worth_noting((steady(0),), Usage(at(0.1), None, "SUSPENDED_EV"), nothing)
    assert NOTED_EVERY_S == 60
