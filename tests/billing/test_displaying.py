"""What the display of a station is told of a session's cost, and when (TAR-40)."""

from datetime import timedelta
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given as always
from hypothesis import strategies as some
from msgspec.structs import replace

from contracts.bills import (
    CdrIssued,
    ChargedFree,
    CostShown,
    CostUpdated,
    Display,
    DisplayRenamed,
    SessionMeasured,
    TariffBound,
)
from contracts.event import TransactionId
from contracts.operations import Prices
from contracts.reference import TariffVersion
from contracts.sessions import SessionRenamed
from contracts.tariffs import Discount, Policy, PriceComponent, Tariff, TariffElement
from services.billing import displaying, domain
from services.billing.heard import Assigned, Heard
from services.billing.tariff import Bill
from tests.billing.history import AC, after, last
from tests.billing.says import (
    ABOUT,
    at,
    corrected,
    delivered,
    element,
    ended,
    heard,
    presumed,
    started,
    status,
    ticked,
    version,
)

DISPLAY = Display(TransactionId("17"), began_at_wh=1000)


def shown_from(by: TariffVersion | None = None) -> Heard[Any]:
    """Return the start of a session at a station that shows costs."""
    return replace(started(AC if by is None else Assigned("site/oslo", by)), display=DISPLAY)


def renamed(minutes: float, transaction: str = "1073741825") -> Heard[Any]:
    return heard(SessionRenamed(**ABOUT, at=at(minutes), transaction=TransactionId(transaction)))


def costs(*said: Heard[Any]) -> list[CostShown | None]:
    """Return what is shown with each running cost."""
    return [event.shown for event in after(*said)[1] if isinstance(event, CostUpdated)]


def measured(*said: Heard[Any]) -> Any:
    return last(after(*said)[1], SessionMeasured).shown


def prices(by: TariffVersion, *said: Heard[Any]) -> Prices:
    """Return what counts, as it was shown last."""
    return [shown for shown in costs(shown_from(by), *said) if shown is not None][-1].prices


# ---- the running cost ----


def test_a_station_that_shows_costs_is_told_what_its_session_comes_to() -> None:
    [shown] = costs(shown_from(), delivered(10, 1500))
    assert shown == CostShown(
        TransactionId("17"), Decimal("0.75"), "EUR", 1500, 2500, idle=False, prices=Prices(kwh=Decimal("0.50"))
    )


def test_a_station_that_shows_none_is_told_nothing() -> None:
    assert costs(started(AC), delivered(10, 1500)) == [None]
    assert measured(started(AC), ended(60, 10_000)) is None


def test_what_is_free_is_shown_to_be() -> None:
    free = replace(started(Assigned("tenant", None)), display=DISPLAY)
    [shown] = costs(free, delivered(10, 1500))
    assert shown is not None
    assert (shown.cost, shown.currency, shown.prices) == (Decimal("0.00"), "NOK", Prices(start=Decimal("0.00")))


def test_what_was_written_free_without_a_display_has_none() -> None:
    _, [free] = after(started(Assigned("tenant", None)))
    assert isinstance(free, ChargedFree)
    assert free.display is None


def test_it_is_told_no_more_often_than_it_should_be() -> None:
    said = [replace(delivered(n, 100 * n), shown_every=timedelta(minutes=5)) for n in range(1, 13)]
    assert [shown is not None for shown in costs(shown_from(), *said)] == [n in {1, 6, 11} for n in range(1, 13)]


def test_a_change_of_price_is_told_at_once() -> None:
    dear = version(element("0.40", end_time="13:30"), element("0.80"))  # 12:30 UTC
    said = [replace(delivered(n, 100 * n), shown_every=timedelta(hours=1)) for n in (10, 20, 29, 31, 40)]
    shown = costs(shown_from(dear), *said)
    assert [None if each is None else each.prices.kwh for each in shown] == [
        Decimal("0.50"),
        None,
        None,
        Decimal("1.00"),
        None,
    ]


def test_that_it_stands_idle_is_told_at_once() -> None:
    by = version(element("0.40"), element("6.00", "PARKING_TIME"))
    said = (delivered(1, 100), status(2, "SuspendedEV"), delivered(5, 100))
    shown = costs(shown_from(by), *(replace(each, shown_every=timedelta(hours=1)) for each in said))
    assert [None if each is None else each.idle for each in shown] == [False, None, True]


def test_a_station_that_cannot_make_up_its_mind_is_told_so_often_and_no_oftener() -> None:
    by = version(element("0.40", min_power=Decimal(5)), element("0.80"))
    said = [delivered(n / 20, 10 * (n // 2)) for n in range(1, 60)]  # a reading every three seconds
    told = [event.at for event in after(shown_from(by), *said)[1] if getattr(event, "shown", None) is not None]
    assert len(told) > 2
    assert min(later - earlier for earlier, later in pairwise(told)) >= displaying.AT_MOST_EVERY


@pytest.mark.parametrize(("seconds", "is_told"), [(9, False), (10, True)])
def test_at_once_is_ten_seconds_after_the_last_time(seconds: int, is_told: bool) -> None:
    by = version(element("0.40", end_time="13:10"), element("0.80"))  # 12:10 UTC
    shown = costs(shown_from(by), delivered(10 - 1 / 60, 1000), delivered(10 + (seconds - 1) / 60, 1010))
    assert [each is not None for each in shown] == [True, is_told]


def test_what_is_older_than_what_was_shown_is_not_shown() -> None:
    later = costs(shown_from(), delivered(30, 3000), delivered(10, 1000))
    assert [shown is not None for shown in later] == [True, False]


def test_a_cost_that_nobody_knows_is_not_shown() -> None:
    state, _ = after(shown_from())
    [session] = state.running
    unknown = Bill("EUR", (), (), None, None)
    assert displaying.running(session, session.usage, unknown, timedelta(minutes=1)) is None


@always(some.lists(some.tuples(some.floats(0.1, 240), some.integers(0, 50_000)), min_size=1, max_size=30))
def test_it_is_told_the_same_only_after_a_while_and_never_too_often(said: Any) -> None:
    every = timedelta(minutes=3)
    _, events = after(shown_from(), *(replace(delivered(when, wh), shown_every=every) for when, wh in said))
    told = [
        (event.at, event.shown.prices, event.shown.idle)
        for event in events
        if isinstance(event, CostUpdated) and event.shown is not None
    ]
    for (earlier, *before), (later, *now) in pairwise(told):
        assert later - earlier >= (every if before == now else displaying.AT_MOST_EVERY)


def test_it_is_remembered_from_the_log_alone() -> None:
    state, events = after(shown_from(), delivered(10, 1000), renamed(11), delivered(20, 2000), ended(30, 3000))
    assert reduce(domain.evolve, events, domain.initial) == state


# ---- what counts ----


def test_all_that_counts_is_shown_with_taxes() -> None:
    by = version(
        element("0.40"),
        element("2.40", "TIME"),
        element("1.00", "FLAT"),
        element("6.00", "PARKING_TIME"),
        policy=Policy(idle_grace_s=900),
    )
    assert prices(by, delivered(10, 1000)) == Prices(
        Decimal("0.50"), Decimal("3.00"), Decimal("1.25"), Decimal("7.50"), 15
    )


def test_a_discount_is_in_the_prices() -> None:
    half, tenth = Discount(Decimal(50), "ENERGY"), Discount(Decimal(10), None)
    by = version(element("0.40"), element("2.40", "TIME"), policy=Policy(discounts=(half, tenth)))
    found = prices(by, delivered(10, 1000))
    assert (found.kwh, found.hour) == (Decimal("0.225"), Decimal("2.70"))


def test_prices_that_include_taxes_are_shown_as_they_are() -> None:
    parts = (PriceComponent("ENERGY", Decimal("0.59"), vat=Decimal(19)),)
    by = replace(version(), tariff=Tariff("AC", "EUR", (TariffElement(parts),), tax_included="YES"))
    assert prices(by, delivered(10, 1000)).kwh == Decimal("0.59")


@pytest.mark.parametrize(("energy_wh", "price"), [(1000, "1.00"), (200, "0.50")])
def test_a_price_that_follows_power_follows_that_of_the_last_interval(energy_wh: int, price: str) -> None:
    by = version(element("0.80", min_power=Decimal(5)), element("0.40"))
    assert prices(by, delivered(10, energy_wh)).kwh == Decimal(price)


def test_without_an_interval_there_is_no_power() -> None:
    by = version(element("0.80", min_power=Decimal(5)), element("0.40"))
    assert prices(by, status(0, "Charging")).kwh == Decimal("0.50")


def test_two_energies_at_one_moment_are_no_interval() -> None:
    by = version(element("0.80", min_power=Decimal(5)), element("0.40"))
    assert prices(by, delivered(0, 100)).kwh == Decimal("0.50")


# ---- the whole cost ----


def test_the_whole_cost_is_told_as_soon_as_the_session_is_measured_and_is_that_of_its_cdr() -> None:
    _, events = after(shown_from(), delivered(30, 5000), ended(60, 10_000), ticked(65))
    shown = last(events, SessionMeasured).shown
    assert (shown.cost, shown.energy_wh, shown.transaction) == (Decimal("5.00"), 10_000, "17")
    assert last(events, CdrIssued).priced.total_incl == shown.cost


@pytest.mark.parametrize("end", [presumed(60, 10_000), ended(60, None), ended(60, 10_000, flags=("implausible",))])
def test_what_is_guessed_unknown_or_doubtful_is_not_told(end: Heard[Any]) -> None:
    assert measured(shown_from(), delivered(30, 5000), end) is None


def test_the_real_stop_of_what_was_presumed_to_be_over_is_told() -> None:
    shown = measured(shown_from(), presumed(60, 8_000), corrected(59, 10_000, recorded=61))
    assert shown.cost == Decimal("5.00")


# ---- its transaction ----


def test_a_display_is_told_by_the_transaction_that_the_station_was_given() -> None:
    said = (shown_from(), delivered(10, 1000), renamed(11), delivered(20, 2000))
    _, events = after(*said, ended(30, 3000))
    assert [event.transaction for event in events if isinstance(event, DisplayRenamed)] == ["1073741825"]
    assert [None if shown is None else shown.transaction for shown in costs(*said)] == ["17", "1073741825"]
    assert last(events, SessionMeasured).shown.transaction == "1073741825"


@pytest.mark.parametrize(
    "said",
    [
        (started(AC), renamed(1)),
        (renamed(1),),
        (shown_from(), renamed(1, "17")),
    ],
    ids=["no display", "no session", "the same"],
)
def test_a_name_that_is_no_news_says_nothing(said: tuple[Heard[Any], ...]) -> None:
    assert not [event for event in after(*said)[1] if isinstance(event, DisplayRenamed)]


def test_a_new_name_changes_no_other_session() -> None:
    state, _ = after(shown_from())
    other = DisplayRenamed(**ABOUT | {"session": "other"}, at=at(1), transaction=TransactionId("9"))
    assert domain.evolve(state, other) == state
    plain, _ = after(started(AC))
    assert domain.evolve(plain, replace(other, session=ABOUT["session"])) == plain


def test_a_session_is_bound_with_its_display() -> None:
    _, [bound] = after(shown_from())
    assert isinstance(bound, TariffBound)
    assert bound.display == DISPLAY
