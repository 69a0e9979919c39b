"""What holds for every tariff and every session (TAR-03, TAR-35)."""

import ast
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import services.billing
from contracts.tariffs import PriceLimit, Tariff
from services.billing.meter import Sample
from services.billing.said import session_of, tariffs_of
from services.billing.tariff import Bill, Session, price
from tests.billing.given import component, element, tariff

PRICES = st.decimals("0", "9.99", places=2).map(str)
CLOCKS = st.sampled_from(["00:00", "06:30", "09:00", "12:15", "17:00", "20:00", "22:00"])
WEEKDAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


@st.composite
def elements(draw: st.DrawFn) -> dict[str, Any]:
    types = draw(
        st.lists(st.sampled_from(["ENERGY", "TIME", "PARKING_TIME", "FLAT"]), min_size=1, max_size=3, unique=True)
    )
    vat = draw(st.sampled_from([None, "10.0", "21.0"]))
    step = draw(st.sampled_from([0, 1, 60, 500]))
    restrictions = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "start_time": CLOCKS,
                "end_time": CLOCKS,
                "min_kwh": st.integers(0, 20).map(str),
                "max_kwh": st.integers(1, 30).map(str),
                "min_duration": st.integers(0, 7200),
                "max_power": st.integers(1, 50).map(str),
                "day_of_week": st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3, unique=True),
            },
        )
    )
    return element(*(component(type, draw(PRICES), step, vat) for type in types), **restrictions)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    said = tariff(
        *draw(st.lists(elements(), min_size=1, max_size=4)),
        tax_included=draw(st.sampled_from(["YES", "NO", "N/A"])),
        currency=draw(st.sampled_from(["EUR", "JPY", "KWD"])),
    )
    return tariffs_of(said)[0]


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    start = 1_795_420_000 + draw(st.integers(0, 7 * 86_400))
    gaps = draw(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 9000)), min_size=1, max_size=8))
    states = draw(st.lists(st.sampled_from(["CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE"]), min_size=9, max_size=9))
    at, mwh, samples = start, 5_000_000, []
    for n, (seconds, wh) in enumerate([(0, 0), *gaps]):
        at, mwh = at + seconds, mwh + wh * 1000
        samples.append(Sample(at, mwh, "END" if n == len(gaps) else states[n]))
    zone = session_of({"timezone": draw(st.sampled_from(["Europe/Oslo", "America/New_York", "Asia/Kolkata"]))}).zone
    return Session(zone, tuple(samples))


def comes_to(bill: Bill) -> tuple[Any, ...]:
    return bill.net, bill.gross, bill.lines


@given(tariffs(), sessions())
def test_no_bill_is_negative_and_no_net_exceeds_its_gross(tariff: Tariff, session: Session) -> None:
    bill = price(tariff, session)
    assert bill.gross is not None
    assert bill.gross >= 0
    assert bill.net is None or 0 <= bill.net <= bill.gross


@given(tariffs(), sessions())
def test_lines_add_up_to_the_totals_exactly_and_rounded(tariff: Tariff, session: Session) -> None:
    bill = price(tariff, session)
    assert bill.gross == sum((line.gross for line in bill.lines), Fraction(0))
    assert bill.total_incl == sum((gross for _, gross in bill.apportioned()), Decimal(0))
    assert bill.net is None or bill.total_excl == sum((net for net, _ in bill.apportioned()), Decimal(0))


@given(tariffs(), sessions())
def test_every_second_and_watt_hour_is_in_one_period(tariff: Tariff, session: Session) -> None:
    bill = price(tariff, session)
    first, last = session.samples[0], session.samples[-1]
    assert bill.periods[0].start == first.at
    assert bill.periods[-1].end == last.at
    assert all(left.end == right.start for left, right in zip(bill.periods, bill.periods[1:], strict=False))
    assert first.mwh is not None
    assert last.mwh is not None
    assert sum(period.mwh for period in bill.periods) == last.mwh - first.mwh


@given(tariffs(), sessions(), st.randoms(use_true_random=False))
def test_the_order_in_which_samples_arrive_changes_nothing(
    tariff: Tariff, session: Session, dice: random.Random
) -> None:
    shuffled = list(session.samples)
    dice.shuffle(shuffled)
    again = Session(session.zone, (*shuffled, *shuffled))
    assert comes_to(price(tariff, again)) == comes_to(price(tariff, session))


@given(tariffs(), sessions(), st.integers(0, 7), st.fractions(0, 1, max_denominator=7))
def test_splitting_an_interval_on_its_line_changes_no_price(
    tariff: Tariff, session: Session, place: int, where: Fraction
) -> None:
    """TAR-03: what lies between two samples is a straight line, however many points of it are named."""
    place %= len(session.samples) - 1
    left, right = session.samples[place], session.samples[place + 1]
    assert left.mwh is not None
    assert right.mwh is not None
    at = left.at + int((right.at - left.at) * where)
    rise = Fraction(right.mwh - left.mwh) * (at - left.at) / (right.at - left.at)
    if rise.denominator != 1:
        return
    between = Sample(at, left.mwh + int(rise), left.state)
    samples = (*session.samples[: place + 1], between, *session.samples[place + 1 :])
    assert comes_to(price(tariff, Session(session.zone, samples))) == comes_to(price(tariff, session))


@given(tariffs(), sessions(), st.integers(1, 9000))
def test_more_energy_never_costs_less_where_its_price_does_not_fall(
    tariff: Tariff, session: Session, more: int
) -> None:
    everywhere = tuple(each for each in tariff.elements if each.restrictions is None)
    assume(everywhere)
    flat = Tariff("T", "EUR", everywhere)
    last = session.samples[-1]
    assert last.mwh is not None
    longer = Session(session.zone, (*session.samples[:-1], Sample(last.at, last.mwh + more * 1000, last.state)))
    before, after = price(flat, session).gross, price(flat, longer).gross
    assert before is not None
    assert after is not None
    assert before <= after


@given(tariffs(), sessions(), elements())
def test_an_element_that_is_never_reached_changes_nothing(
    tariff: Tariff, session: Session, said: dict[str, Any]
) -> None:
    said["restrictions"] = {"start_date": "1999-01-01", "end_date": "1999-01-02"}
    [never] = tariffs_of({"id": "T1", "currency": "EUR", "elements": [said]})[0].elements
    longer = Tariff(tariff.id, tariff.currency, (*tariff.elements, never), tax_included=tariff.tax_included)
    assert comes_to(price(longer, session)) == comes_to(price(tariff, session))


@given(tariffs(), sessions(), st.integers(0, 40))
@settings(max_examples=50)
def test_a_bill_is_within_its_limits(tariff: Tariff, session: Session, bound: int) -> None:
    limit = PriceLimit(before_taxes=Decimal(bound), after_taxes=Decimal(bound))
    least = price(Tariff(tariff.id, tariff.currency, tariff.elements, min_price=limit), session)
    most = price(Tariff(tariff.id, tariff.currency, tariff.elements, max_price=limit), session)
    assert least.net is not None
    assert most.gross is not None
    assert least.net >= bound
    assert most.gross <= bound


def test_there_is_no_float_in_the_pricing() -> None:
    """TAR-03: neither a literal, nor a call, nor a true division of whole numbers that could make one."""
    for path in Path(services.billing.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"), (
                path
            )
