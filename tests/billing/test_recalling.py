"""Sessions that are priced anew, and those that billing had forgotten."""

from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    Billed,
    BillEvent,
    CdrConfirmed,
    CdrCredited,
    CdrHeld,
    CdrIssued,
    CostUpdated,
    LateUsageHeard,
    ReRatingSkipped,
    SessionMeasured,
    SessionRecalled,
    TariffBound,
)
from contracts.event import SessionId
from contracts.reviews import PastBillFound
from contracts.tariffs import Policy, Tariff
from services.billing import domain
from services.billing.heard import Heard
from services.billing.recalling import KEPT, as_billed, billed_by, over
from services.billing.state import CLOSED, CLOSED_BYTES, State
from tests.billing.history import AC, after, kinds, last
from tests.billing.says import (
    ABOUT,
    SESSION,
    at,
    corrected,
    delivered,
    discarded,
    element,
    ended,
    heard,
    rerated,
    reviewed,
    started,
    ticked,
    used,
    version,
)

BILLED = (started(AC), ended(60, 10_000), ticked(65))
DEARER = version(element("0.50"), number=2)
HASH = last(after(*BILLED)[1], CdrIssued).priced.input_hash


def others(count: int, first: int = 100) -> list[Heard[Any]]:
    """Return sessions that come, go and are billed."""
    said: list[Heard[Any]] = []
    for n in range(count):
        start = first + 10 * n
        said += [
            started(AC, session=SessionId(f"o{n}"), minutes=start),
            replace(ended(start + 1, 100), event=replace(ended(start + 1, 100).event, session=SessionId(f"o{n}"))),
            ticked(start + 8),
        ]
    return said


LATER = 100 + 10 * (CLOSED + 1)
FORGOTTEN = (*BILLED, *others(CLOSED))


def billed() -> Billed:
    """Return the session as the log has it."""
    events = after(*BILLED)[1]
    bound, cdr = last(events, TariffBound), last(events, CdrIssued)
    return billed_by(bound, (used(0, 0), used(60, 10_000, "END")), cdr, cdr.priced.input_hash)


def found(minutes: float, energy_wh: int | None = 12_000, by: Billed | None = None) -> Heard[Any]:
    usage = () if energy_wh is None else (used(60, energy_wh, "END"),)
    late = LateUsageHeard(**ABOUT, at=at(60), usage=usage, due=at(minutes + 5))
    return heard(PastBillFound(**ABOUT, at=at(minutes), billed=by or billed(), late=late))


def test_what_a_re_rating_makes_dearer_is_credited_and_issued_anew() -> None:
    state, events = after(*BILLED, rerated(100, DEARER, HASH))
    assert kinds(events)[-3:] == [TariffBound, CdrCredited, CdrIssued]
    cdr = last(events, CdrIssued)
    assert (cdr.priced.total_excl, cdr.tariff_version, cdr.job) == (Decimal("5.00"), 2, "job-1")
    assert last(events, TariffBound).job == "job-1"
    assert state.over[0].tariff == DEARER.tariff
    assert state.running == ()


def test_what_comes_to_the_same_is_confirmed() -> None:
    same = version(element("0.40"), element("9", "PARKING_TIME"), number=2)
    state, events = after(*BILLED, rerated(100, same, HASH))
    assert kinds(events)[-2:] == [TariffBound, CdrConfirmed]
    confirmed = last(events, CdrConfirmed)
    assert (confirmed.job, confirmed.input_hash != HASH) == ("job-1", True)
    assert state.over[0].input_hash == confirmed.input_hash
    _, events = after(*BILLED, rerated(100, same, HASH), rerated(200, DEARER, confirmed.input_hash))
    assert last(events, CdrIssued).priced.total_excl == Decimal("5.00")


def test_the_same_re_rating_corrects_once() -> None:
    _, events = after(*BILLED, rerated(100, DEARER, HASH), rerated(100, DEARER, HASH))
    assert last(events, ReRatingSkipped).reason == "other_bill"
    assert kinds(events).count(CdrIssued) == 2


def test_all_that_the_log_knows_of_the_usage_counts() -> None:
    late = version(element("1.00", start_time="13:30"), element("0.40"), number=2)  # Oslo: 12:30 UTC
    usage = (used(0, 0), used(30, 8000), used(60, 10_000, "END"))
    state, events = after(*BILLED, rerated(100, late, HASH, usage=usage))
    assert kinds(events)[-4:] == [SessionRecalled, TariffBound, CdrCredited, CdrIssued]
    assert last(events, CdrIssued).priced.total_excl == Decimal("5.20")  # 8 kWh at 0.40, and 2 at 1.00
    assert state.over[0].usage == usage


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ((), "forgotten"),
        ((started(AC),), "not_billed"),
        ((started(AC), ended(60, 10_000)), "not_billed"),
        ((started(AC), ended(60, 10_000, flags=("refused",)), ticked(65)), "not_billed"),
        ((started(AC), ended(60, 11_000), ticked(65)), "other_bill"),
    ],
)
def test_a_re_rating_of_what_is_not_billed_so_is_skipped(history: tuple[Heard[Any], ...], reason: str) -> None:
    _, events = after(*history, rerated(100, DEARER, HASH))
    skipped = last(events, ReRatingSkipped)
    assert (skipped.reason, skipped.job) == (reason, "job-1")


def test_a_tariff_that_prices_nothing_is_no_re_rating() -> None:
    no_money = replace(DEARER, tariff=Tariff("AC", "XXX", DEARER.tariff.elements))
    assert last(after(*BILLED, rerated(100, no_money, HASH))[1], ReRatingSkipped).reason == "unpriceable"


def test_a_state_of_an_earlier_release_is_re_rated_by_what_it_remembers() -> None:
    state, _ = after(*BILLED)
    before = replace(state, over=(replace(state.over[0], input_hash=""),))
    assert kinds(domain.decide(before, rerated(100, DEARER, HASH)))[-1] is CdrIssued


def test_a_session_that_is_not_remembered_is_corrected_exactly_once() -> None:
    state, events = after(*FORGOTTEN)
    assert state.session(SESSION) is None
    again = rerated(LATER, DEARER, HASH, billed=billed())
    _, events = after(*FORGOTTEN, again)
    assert kinds(events)[-4:] == [SessionRecalled, TariffBound, CdrCredited, CdrIssued]
    credit, cdr = last(events, CdrCredited), last(events, CdrIssued)
    assert (credit.credits, credit.total_excl, cdr.number) == (billed().cdr, Decimal("-4.00"), 2)
    assert cdr.priced.total_excl == Decimal("5.00")
    _, events = after(*FORGOTTEN, again, again, *others(CLOSED, LATER + 10), again)
    assert [e.reason for e in events if isinstance(e, ReRatingSkipped)] == ["other_bill", "other_bill"]


def test_what_was_discarded_is_not_re_rated_after_it_was_forgotten() -> None:
    _, events = after(*BILLED, discarded(70), *others(CLOSED), rerated(LATER, DEARER, HASH, billed=billed()))
    assert last(events, ReRatingSkipped).reason == "other_bill"


def test_late_values_of_a_session_that_is_not_remembered_ask_for_what_was_billed() -> None:
    late = corrected(60, 12_000, recorded=LATER)
    _, events = after(*FORGOTTEN, late, found(LATER), ticked(LATER + 5))
    asked = last(events, LateUsageHeard)
    assert (asked.usage, asked.due) == ((used(60, 12_000, "END"),), at(LATER + 5))
    assert kinds(events)[-5:] == [LateUsageHeard, SessionRecalled, SessionMeasured, CdrCredited, CdrIssued]
    assert last(events, CdrIssued).priced.total_excl == Decimal("4.80")


def test_late_values_are_counted_once() -> None:
    history = (*FORGOTTEN, found(LATER), ticked(LATER + 5))
    once = after(*history)
    assert after(*history, found(LATER)) == once
    _, events = after(*history, *others(CLOSED, LATER + 20), found(2 * LATER))
    assert kinds(events)[-1] is CdrIssued
    assert SessionRecalled not in kinds(events[len(once[1]) :])


def test_what_is_found_again_takes_nothing_back_that_was_heard_since() -> None:
    once, newer = found(LATER), corrected(60, 14_000, recorded=LATER + 1)
    _, events = after(*FORGOTTEN, once, newer, once, ticked(LATER + 10))
    assert last(events, CdrIssued).priced.energy_wh == 14_000


def test_what_is_found_of_a_session_that_is_remembered_counts_too() -> None:
    _, events = after(*BILLED, found(100), ticked(105))
    assert SessionRecalled not in kinds(events)
    assert last(events, CdrIssued).priced.total_excl == Decimal("4.80")


def test_a_forgotten_session_can_be_discarded() -> None:
    _, events = after(*FORGOTTEN, discarded(LATER), found(LATER, None))
    assert kinds(events)[-4:] == [LateUsageHeard, SessionRecalled, CdrCredited, BillDiscarded]
    assert last(events, CdrCredited).total_excl == Decimal("-4.00")
    _, events = after(*FORGOTTEN, found(LATER, None), discarded(LATER), corrected(60, 12_000, recorded=LATER))
    assert kinds(events)[-1] is BillDiscarded


def test_what_never_had_a_price_asks_for_nothing() -> None:
    _, events = after(started(None), ended(60, 10_000), corrected(60, 12_000, recorded=100), discarded(200))
    assert len(events) == 1
    before = after(*FORGOTTEN)[1]
    late = replace(ended(60, 1).event, session=SessionId("x"))
    assert after(*FORGOTTEN, heard(late))[1] == before


def test_what_is_recalled_is_as_it_was() -> None:
    state, _ = after(*BILLED)
    [session] = state.over
    assert over(started().event, billed()) == replace(session, heard_until=None)
    assert set(Billed.__struct_fields__) == set(KEPT)


def test_a_burst_of_sessions_is_billed_whole() -> None:
    """A station that was away reports weeks within a minute: all of it waits for its CDR at once."""
    said: list[Heard[Any]] = []
    for n in range(100):
        said += [started(AC, session=SessionId(f"b{n}"), minutes=n)]
        said += [heard(replace(ended(n + 0.5, 1000).event, session=SessionId(f"b{n}")), recorded=at(200))]
    state, events = after(*said, ticked(205))
    assert kinds(events).count(CdrIssued) == 100
    assert len({event.session for event in events if isinstance(event, CdrIssued)}) == 100
    assert len(state.over) == CLOSED


def test_a_state_stays_small() -> None:
    """Power counts, so every change of it is noted: the sessions are large, and as many are remembered as there is room for."""
    state: State = domain.initial
    for n in range(60):
        for event in _uneven(SessionId(f"p{n}"), 100 * n):
            state = domain.evolve(state, event)
    assert len(msgspec.json.encode(state)) < 128 * 1024
    assert 2 < len(state.over) < CLOSED


def test_the_newest_is_remembered_however_large_it_is() -> None:
    """Or what is recalled of it would be forgotten at once, and what is to be corrected would be no more."""
    events = _uneven(SESSION, 0, minutes=1500)
    state = reduce(domain.evolve, events, domain.initial)
    assert len(msgspec.json.encode(state)) > CLOSED_BYTES
    state = reduce(domain.evolve, domain.decide(state, corrected(1500, 160_000, recorded=1600)), state)
    assert kinds(domain.decide(state, ticked(1605))) == [CdrCredited, CdrIssued]


def test_a_large_session_that_was_forgotten_is_re_rated_and_goes_on_nowhere() -> None:
    state = reduce(domain.evolve, _uneven(SESSION, 0, minutes=1500), domain.initial)
    large = as_billed(state.over[0])
    by = version(element("0.70"), number=2)
    again = rerated(LATER, by, large.input_hash, billed=large)
    caused = domain.decide(State(forgotten=1), again)
    assert kinds(caused) == [SessionRecalled, TariffBound, CdrCredited, CdrIssued]
    after_it = reduce(domain.evolve, caused, State(forgotten=1))
    assert (after_it.running, [each.cdr for each in after_it.over]) == ((), [caused[-1].cdr])  # type: ignore[union-attr]


def test_a_rise_that_is_no_measurement_is_held_though_others_lie_beside_it() -> None:
    policed = AC._replace(version=version(element("0.40"), policy=Policy(max_power_kw=Decimal(22))))
    said = [delivered(n, n * 160 + (5000 if n >= 30 else 0)) for n in range(1, 60)]
    _, events = after(started(policed), *said, ended(60, 15_000), ticked(66))
    assert last(events, CdrHeld).why == ("implausible_energy",)


def _uneven(session: SessionId, start: int, minutes: int = 80) -> list[BillEvent]:
    """Return a session with an energy a minute, by a tariff whose price its power changes each time."""
    power = AC._replace(version=version(element("0.40", max_power="6"), element("0.60")))
    end = replace(ended(start + minutes, minutes * 100).event, session=session)
    _, events = after(started(power, session=session, minutes=start), heard(end), ticked(start + minutes + 6))
    usage = tuple(used(start + n, 100 * n + n % 2 * 50) for n in range(1, minutes))
    cost = CostUpdated(
        **ABOUT | {"session": session},
        at=at(start),
        usage=usage,
        currency="EUR",
        total_excl=None,
        total_incl=None,
        energy_wh=1,
    )
    return [events[0], cost, *events[1:]]


def test_what_is_held_is_not_crowded_out_by_what_is_billed() -> None:
    held = (started(AC), ended(60, 10_000, flags=("refused",)), ticked(65))
    _, events = after(*held, *others(CLOSED + 5), reviewed(LATER + 100))
    assert last(events, CdrIssued).session == SESSION


def test_of_what_is_held_the_newest_are_remembered() -> None:
    said: list[Heard[Any]] = []
    for n in range(30):
        end = replace(ended(10 * n + 1, None).event, session=SessionId(f"h{n}"))
        said += [started(AC, session=SessionId(f"h{n}"), minutes=10 * n), heard(end), ticked(10 * n + 8)]
    state, _ = after(*said)
    assert [each.id for each in state.over] == [f"h{n}" for n in range(6, 30)]
    assert state.forgotten == 6
