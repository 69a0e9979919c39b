"""What a session's events mean for its price."""

from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    BillEvent,
    CdrConfirmed,
    CdrCredited,
    CdrHeld,
    CdrIssued,
    ChargedFree,
    CostUpdated,
    SessionMeasured,
    TariffBound,
    TariffMissing,
    TaxShare,
)
from contracts.event import AccountId, Ticked
from services.billing import domain
from services.billing.heard import Assigned, Heard
from services.billing.state import CLOSED, Station
from tests.billing.history import AC, after, kinds, last
from tests.billing.says import (
    ABOUT,
    ANNA,
    at,
    corrected,
    delivered,
    discarded,
    element,
    ended,
    heard,
    presumed,
    started,
    status,
    ticked,
    used,
    version,
)

FREE = (Decimal("0.00"), Decimal("0.00"))


def test_a_session_is_bound_to_its_tariff_at_its_start() -> None:
    _, [bound] = after(started(AC))
    assert isinstance(bound, TariffBound)
    assert (bound.tariff, bound.tariff_version, bound.assignment) == (version().tariff, 1, "site/oslo")
    assert (bound.time_zone, bound.site, bound.token) == ("Europe/Oslo", "oslo", "card")


def test_who_pays_is_said_with_all_that_a_session_costs() -> None:
    paid = (started(AC), delivered(30, 5000), ended(60, 10_000), ticked(65))
    later = corrected(60, 12_000, recorded=100), ticked(105), discarded(200)
    for said in (started(None), started(Assigned("tenant", None))):
        [event] = after(said)[1]
        assert isinstance(event, TariffMissing | ChargedFree)
        assert event.account == ANNA
    _, events = after(*paid, *later)
    of_money = [event for event in events if not isinstance(event, SessionMeasured)]
    assert kinds(of_money) == [TariffBound, CostUpdated, CdrIssued, CdrCredited, CdrIssued, CdrCredited, BillDiscarded]
    assert {event.account for event in of_money if hasattr(event, "account")} == {ANNA}


def test_a_credit_takes_back_the_taxes_of_its_cdr() -> None:
    _, events = after(started(AC), ended(60, 10_000), ticked(65), corrected(60, 12_000, recorded=100), ticked(105))
    first, credit, second = events[2], events[-2], events[-1]
    assert isinstance(first, CdrIssued)
    assert isinstance(credit, CdrCredited)
    assert isinstance(second, CdrIssued)
    assert first.taxes == (TaxShare(Decimal(25), Decimal("4.00"), Decimal("5.00")),)
    assert credit.taxes == (TaxShare(Decimal(25), Decimal("-4.00"), Decimal("-5.00")),)
    assert second.taxes == (TaxShare(Decimal(25), Decimal("4.80"), Decimal("6.00")),)


def test_a_start_that_is_heard_twice_binds_once() -> None:
    assert kinds(after(started(AC), started(AC))[1]) == [TariffBound]


def test_no_tariff_is_an_event_and_no_price_of_0() -> None:
    _, events = after(started(None), delivered(10, 1000), ended(20, 2000), ticked(30))
    assert kinds(events) == [TariffMissing]


def test_what_is_free_is_meant_to_be() -> None:
    _, events = after(started(Assigned("tenant", None)), ended(20, 2000), ticked(30))
    assert last(events, ChargedFree).assignment == "tenant"
    assert kinds(events) == [ChargedFree, SessionMeasured, CdrIssued]
    cdr = last(events, CdrIssued)
    assert (cdr.priced.total_incl, cdr.priced.currency, cdr.priced.energy_wh) == (Decimal("0.00"), "NOK", 2000)
    assert (cdr.tariff, cdr.tariff_version, cdr.account, cdr.taxes) == ("", 0, ANNA, (TaxShare(None, *FREE),))


def test_what_is_free_is_not_held_whatever_is_doubtful() -> None:
    _, events = after(started(Assigned("tenant", None)), ended(20, None, flags=("refused",)), ticked(30))
    assert kinds(events)[-1] is CdrIssued


def test_what_was_free_before_there_were_cdrs_of_it_has_none() -> None:
    before = ChargedFree(**ABOUT, at=at(0), assignment="tenant")
    assert domain.evolve(domain.initial, before) == domain.initial


def test_an_energy_of_a_free_session_costs_nothing() -> None:
    _, events = after(started(Assigned("tenant", None)), delivered(10, 1000))
    assert last(events, CostUpdated).total_incl == Decimal("0.00")


def test_the_running_cost_follows_the_energy() -> None:
    _, events = after(started(AC), delivered(10, 1000), delivered(20, 3000))
    costs = [event for event in events if isinstance(event, CostUpdated)]
    assert [(cost.total_excl, cost.total_incl) for cost in costs] == [
        (Decimal("0.40"), Decimal("0.50")),
        (Decimal("1.20"), Decimal("1.50")),
    ]


def test_the_running_cost_is_said_once_a_minute_where_no_price_changes() -> None:
    said = [delivered(1 + n / 6, 100 + n) for n in range(30)]  # every ten seconds for five minutes
    _, events = after(started(AC), *said)
    assert kinds(events).count(CostUpdated) == 5


def test_near_a_change_of_price_every_energy_counts() -> None:
    evening = Assigned("tenant", version(element("0.20", start_time="13:05"), element("0.40")))  # Oslo: 12:05 UTC
    said = [delivered(4 + n / 6, 100 + n) for n in range(7)]
    _, events = after(started(evening), *said)
    assert kinds(events).count(CostUpdated) == 7


def test_idle_time_is_known_by_the_connectors_status() -> None:
    fee = Assigned("tenant", version(element("0.40"), element("6.00", "PARKING_TIME")))
    history = (started(fee), status(1, "Charging"), status(30, "SuspendedEV"), status(31, "Charging", connector=2))
    _, events = after(*history, ended(50, 10_000), ticked(60))
    assert last(events, CdrIssued).priced.total_excl == Decimal("6.00")  # 10 kWh, and 20 minutes


PARKED = (
    started(Assigned("site/oslo", version(element("0.40"), element("6", "PARKING_TIME")))),
    status(0, "Charging"),
    delivered(30, 10_000),
    status(30, "SuspendedEV"),
)


def until(minutes: float, *said: Heard[Any]) -> tuple[Station, list[BillEvent]]:
    """Return what is remembered and said when all that was due by then has been."""
    state, events = after(*said)
    while (due := domain.deadline(state)) is not None and due <= at(minutes):
        caused = domain.decide(state, heard(Ticked(at=due)))
        state, events = reduce(domain.evolve, caused, state), [*events, *caused]
    return state, events


def test_a_cost_goes_up_by_the_time_alone_that_a_full_car_stands_there() -> None:
    """Its register stays as it is, so nothing is heard of it; a hold or a balance is used up all the same (PAY-02)."""
    before = after(*PARKED)[0]
    state, events = until(90, *PARKED)
    costs = [(event.at, event.total_excl) for event in events if isinstance(event, CostUpdated)]
    assert costs[-12:] == [(at(35 + 5 * n), Decimal("4.50") + n * Decimal("0.5")) for n in range(12)]
    assert state.running[0].usage == before.running[0].usage
    ticks = [ticked(35 + 5 * n) for n in range(12)]
    told, silent = (after(*PARKED, *more, ended(95, 10_000), ticked(105))[1][-1] for more in (ticks, ()))
    assert told == silent


def test_a_cost_that_goes_up_by_time_is_said_for_a_day() -> None:
    state, events = until(10_000, *PARKED)
    assert last(events, CostUpdated).at == at(30 + 24 * 60)
    assert domain.deadline(state) is None


@pytest.mark.parametrize("begun", [started(AC), replace(PARKED[0], account=None)])
def test_where_time_costs_nothing_or_nobodys_account_pays_nothing_is_due(begun: Heard[Any]) -> None:
    assert domain.deadline(after(begun, *PARKED[1:])[0]) is None


def test_a_cdr_is_due_a_little_after_the_end_and_issued_once() -> None:
    state, events = after(started(AC), ended(60, 10_000))
    assert last(events, SessionMeasured).due == at(65)
    assert domain.deadline(state) == at(65)
    state, events = after(started(AC), ended(60, 10_000), ticked(64), ticked(65), ticked(66))
    assert kinds(events) == [TariffBound, SessionMeasured, CdrIssued]
    cdr = events[-1]
    assert isinstance(cdr, CdrIssued)
    assert (cdr.priced.total_excl, cdr.priced.total_incl, cdr.number) == (Decimal("4.00"), Decimal("5.00"), 1)
    assert (cdr.started_at, cdr.ended_at, cdr.at, cdr.tariff_version) == (at(0), at(60), at(65), 1)
    assert [(line.dimension, line.billed, line.net) for line in cdr.priced.lines] == [
        ("ENERGY", "10000.000", Decimal("4.00"))
    ]
    assert domain.deadline(state) is None


@pytest.mark.parametrize(
    ("account", "meter_wh", "minutes"),
    [("adhoc-p1", 11_000, 60.5), ("adhoc-p1", None, 65.5), ("anna", 11_000, 65.5)],
)
def test_who_paid_for_it_alone_is_billed_at_once_if_the_meters_last_word_is_there(
    account: str, meter_wh: int | None, minutes: float
) -> None:
    """CDR-06."""
    begun = replace(started(AC), account=AccountId(account))
    end = replace(ended(60, 10_000, meter_wh=meter_wh), due=at(65.5), heard_at=at(60.5))
    state, _ = after(begun, end)
    assert domain.deadline(state) == at(minutes)
    assert [type(each) for each in domain.decide(state, ticked(minutes))] == [CdrIssued]


OFFLINE = (
    started(Assigned("site/oslo", version(element("0.40"), element("3", "TIME"))), minutes=200),
    delivered(200.1, 4_000),
    ended(200.2, 10_000, started_at=at(80.2)),
)
"""A station whose clock cannot be right tells all of it when it is back: its end says by how much the start was earlier."""


def test_a_session_that_began_earlier_than_was_known_is_billed_for_all_of_its_time() -> None:
    state, events = after(*OFFLINE, ticked(206))
    cdr = last(events, CdrIssued)
    assert (cdr.started_at, cdr.ended_at, cdr.priced.seconds) == (at(80.2), at(200.2), 7200)
    assert cdr.priced.total_excl == Decimal("10.00")
    assert [(each.at, each.energy_wh) for each in state.over[0].usage] == [(at(80.2), 0), (at(200.2), 10_000)]
    assert after(*OFFLINE, ticked(206), OFFLINE[-1])[1] == events


def test_that_a_billed_session_began_earlier_corrects_it() -> None:
    first = replace(OFFLINE[-1], event=replace(OFFLINE[-1].event, started_at=None))
    again = corrected(200.2, 10_000, recorded=300, started_at=at(80.2))
    _, events = after(*OFFLINE[:-1], first, ticked(206), again, ticked(306))
    assert last(events, CdrIssued).priced.total_excl == Decimal("10.00")


def test_an_end_that_is_heard_again_changes_nothing() -> None:
    once = after(started(AC), ended(60, 10_000), ticked(65))
    assert after(started(AC), ended(60, 10_000), ended(60, 10_000), ticked(65)) == once
    assert after(started(AC), ended(60, 10_000), ticked(65), ended(60, 10_000), ticked(99)) == once


def test_a_value_that_comes_before_the_cdr_is_due_is_in_it() -> None:
    _, events = after(started(AC), presumed(50, 8000), corrected(60, 10_000, recorded=61), ticked(66))
    assert [event.priced.total_excl for event in events if isinstance(event, CdrIssued)] == [Decimal("4.00")]


def test_c_01_what_turns_out_otherwise_is_credited_and_billed_anew() -> None:
    _, events = after(started(AC), ended(60, 10_000), ticked(65), corrected(60, 10_400, recorded=200), ticked(205))
    first, credit, second = (event for event in events if isinstance(event, CdrIssued | CdrCredited))
    assert isinstance(first, CdrIssued)
    assert isinstance(credit, CdrCredited)
    assert isinstance(second, CdrIssued)
    assert (credit.credits, credit.total_excl, credit.total_incl) == (first.cdr, Decimal("-4.00"), Decimal("-5.00"))
    assert credit.started_at == first.started_at, "by which its invoice is found"
    assert (second.corrects, second.number, second.priced.total_excl) == (first.cdr, 2, Decimal("4.16"))
    assert len({first.cdr, credit.cdr, second.cdr}) == 3


def test_c_04_a_later_value_that_changes_nothing_makes_no_document() -> None:
    _, events = after(started(AC), ended(60, 10_000), ticked(65), corrected(61, 10_000, recorded=200), ticked(205))
    assert kinds(events)[-1] is CdrConfirmed
    assert kinds(events).count(CdrIssued) == 1


def test_the_tariff_of_the_start_counts_whatever_becomes_of_it() -> None:
    dearer = Assigned("tenant", version(element("9.00"), number=2))
    _, events = after(started(AC), started(dearer), ended(60, 10_000), ticked(65))
    assert last(events, CdrIssued).priced.total_excl == Decimal("4.00")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (ended(60, None), "energy_unknown"),
        (ended(60, 10_000, flags=("refused",)), "refused"),
        (ended(60, 10_000, flags=("meter_went_back",)), "meter_went_back"),
        (ended(60, 10_000, flags=("ghost", "review")), "review"),
        (ended(60, 9_000_000), "implausible_energy"),
    ],
)
def test_what_is_doubtful_is_held_until_somebody_has_looked(end: Heard[Any], why: str) -> None:
    state, events = after(started(AC), end, ticked(65), ticked(99))
    assert kinds(events) == [TariffBound, SessionMeasured, CdrHeld]
    assert last(events, CdrHeld).why == (why,)
    assert domain.deadline(state) is None


def test_what_was_held_is_billed_when_it_is_corrected() -> None:
    _, events = after(started(AC), ended(60, None), ticked(65), corrected(60, 5000, recorded=100), ticked(105))
    assert kinds(events)[-3:] == [CdrHeld, SessionMeasured, CdrIssued]
    assert last(events, CdrIssued).priced.total_excl == Decimal("2.00")


def test_what_a_person_discards_is_credited_and_billed_no_more() -> None:
    history = (started(AC), ended(60, 10_000), ticked(65))
    state, events = after(*history, discarded(100), corrected(60, 12_000, recorded=200), ticked(205))
    assert kinds(events)[-2:] == [CdrCredited, BillDiscarded]
    assert last(events, CdrCredited).total_excl == Decimal("-4.00")
    assert (state.running, state.over) == ((), ())
    assert kinds(after(started(AC), discarded(5), ended(60, 10_000), ticked(65))[1]) == [TariffBound, BillDiscarded]


def test_a_bill_names_what_it_follows_from() -> None:
    def hash_of(*said: Heard[Any]) -> str:
        return str(last(after(*said)[1], CdrIssued).priced.input_hash)

    first = hash_of(started(AC), ended(60, 10_000), ticked(65))
    assert first == hash_of(started(AC), ended(60, 10_000), ticked(65))
    assert first != hash_of(started(AC), ended(60, 10_001), ticked(65))


def test_only_the_latest_sessions_are_remembered() -> None:
    from contracts.event import SessionId

    state = domain.initial
    for n in range(CLOSED + 10):
        for said in (started(AC, session=SessionId(str(n)), minutes=n),):
            state = reduce(domain.evolve, domain.decide(state, said), state)
    assert len(state.running) == 32


def test_a_moment_before_the_start_is_nobodys() -> None:
    _, events = after(started(AC, minutes=10), delivered(5, 100))
    assert kinds(events) == [TariffBound]


def test_usage_is_remembered_thinned() -> None:
    state, _ = after(started(AC), *(delivered(n, 100 * n) for n in range(1, 100)))
    [session] = state.running
    assert session.usage == (used(0, 0), used(99, 9900))
