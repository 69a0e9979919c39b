"""The energy ledger: where every watt-hour went (Q-78), in balance whatever happens."""

from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.commands import Attach, Discard
from contracts.event import SessionId
from contracts.sessions import (
    Account,
    EnergyDelivered,
    EnergyUnattributed,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRepaired,
    SessionStarted,
)
from contracts.stations import Reading
from services.sessions.heard import Heard
from services.sessions.ledger import Line, Move, Place, after, entry, moved, settled
from tests.sessions.says import NOON, Heeded, meters, only, reading, session_of, start, stop
from tests.sessions.test_domain import histories
from tests.sessions.test_repairs import asked

Sums = tuple[int, int, int, int]


def accounts(log: Heeded) -> list[Account]:
    return [found for event in log.events if (found := getattr(event, "account", None)) is not None]


def ledger(log: Heeded) -> Sums:
    """Return delivered, attributed, quarantined and unattributed."""
    found = accounts(log)
    return (
        sum(account.delivered_wh for account in found),
        sum(account.attributed_wh for account in found),
        sum(account.quarantined_wh for account in found),
        sum(account.unattributed_wh for account in found),
    )


def second(**more: Any) -> Heard[Any]:
    return start("two", minutes=90, **more)


STOP_TWO: dict[str, Any] = {"transaction": "2", "minutes": 150}


@pytest.mark.covers("X-45")
def test_what_the_register_shows_in_a_session_is_delivered_and_attributed() -> None:
    log = Heeded(start(), meters(reading(1500)), meters(reading(3000, minutes=9)), stop())
    assert ledger(log) == (7000, 7000, 0, 0)


@pytest.mark.covers("X-45", "X-47")
def test_where_a_register_leaps_only_what_is_in_the_session_is_delivered() -> None:
    log = Heeded(start(), meters(reading(1500)), meters(reading(5_000_000, minutes=2), report="leap"))
    assert ledger(log) == (500, 500, 0, 0)
    log.hear(meters(reading(5_000_300, minutes=3), report="on"))
    assert ledger(log) == (800, 800, 0, 0)
    log.hear(meters(reading(5_000_400, minutes=4), report="further"))
    assert ledger(log) == (900, 900, 0, 0)


@pytest.mark.covers("Q-78")
def test_what_the_register_shows_between_two_sessions_is_nobodys() -> None:
    log = Heeded(start(), stop(), second(meter_wh=8100), stop("stop two", meter_wh=9000, **STOP_TWO))
    assert ledger(log) == (8000, 7900, 0, 100)


@pytest.mark.covers("Q-78", "Q-94", "C-067")
def test_so_is_what_a_reading_shows_outside_of_any_session() -> None:
    log = Heeded(start(), stop(), meters(reading(8060, minutes=70), transaction=None), second(meter_wh=8100))
    assert log.one(EnergyUnattributed).account.unattributed_wh == 60
    assert ledger(log) == (7100, 7000, 0, 100)


def test_a_reading_without_its_session_is_settled_by_the_next_one_with_it() -> None:
    log = Heeded(start(), meters(reading(1500), transaction=None), meters(reading(1500, minutes=2)), stop())
    assert ledger(log) == (7000, 7000, 0, 0)


@pytest.mark.covers("X-45", "Q-80")
def test_a_register_that_begins_at_0_with_each_session_has_no_gaps() -> None:
    log = Heeded(start(meter_wh=0), stop(meter_wh=7000), second(meter_wh=0), stop("s", meter_wh=900, **STOP_TWO))
    assert ledger(log) == (7900, 7900, 0, 0)


@pytest.mark.covers("X-45", "Q-80")
def test_a_session_with_a_register_of_its_own_leaves_the_connectors_where_it_was() -> None:
    """What that one shows afterwards of the session is not delivered a second time."""
    log = Heeded(meters(reading(50_000), transaction=None), start(meter_wh=0, minutes=2), stop(meter_wh=7000))
    assert log.one(SessionEnded).account == Account(
        delivered_wh=7000, attributed_wh=7000, site=log.one(SessionStarted).site, time_zone="Europe/Oslo"
    )
    log.hear(meters(reading(57_000, minutes=61), transaction=None))
    assert ledger(log) == (7000, 7000, 0, 0)


@pytest.mark.covers("X-45", "Q-80")
def test_what_was_nobodys_before_a_session_is_none_of_it_whatever_other_connectors_have_shown_since() -> None:
    log = Heeded(start(), stop(), meters(reading(8060, minutes=70), transaction=None))
    log.hear(start("other", evse=2, minutes=200))
    log.hear(start("own", meter_wh=0, minutes=90))
    log.hear(stop("its stop", transaction="3", meter_wh=900, minutes=150))
    assert ledger(log) == (7060 + 900, 7000 + 900, 0, 60)


def outside(wh: int, minutes: float) -> Heard[Any]:
    return meters(reading(wh, minutes=minutes), transaction=None)


OF_ITS_OWN = (outside(50_000, -5), start(meter_wh=0))
"""A session whose register is not the one that its connector's energy has been followed by."""


@pytest.mark.covers("Q-78", "Q-80")
def test_a_session_may_go_on_from_where_the_register_of_the_one_before_ended() -> None:
    """The meter was changed: what it shows between the two is nobody's."""
    log = Heeded(*OF_ITS_OWN, stop(meter_wh=7000), second(meter_wh=7100), stop("s", meter_wh=8000, **STOP_TWO))
    assert ledger(log) == (8000, 7900, 0, 100)


@pytest.mark.covers("Q-80", "Q-97")
@pytest.mark.parametrize(("less_wh", "goes_on"), [(9, True), (10, False)])
@pytest.mark.parametrize("history", [(start(), stop()), (*OF_ITS_OWN, stop())])
def test_a_register_that_shows_a_little_less_at_the_next_start_goes_on(
    history: tuple[Heard[Any], ...], less_wh: int, goes_on: bool
) -> None:
    log = Heeded(*history)
    account = only(log.hear(second(meter_wh=8000 - less_wh)), SessionStarted).account
    assert (account is not None) is goes_on
    assert account is None or (account.delivered_wh, account.register_wh) == (0, 8000 - less_wh)


@pytest.mark.covers("Q-80")
def test_a_register_that_begins_at_0_again_does_not_go_on_from_next_to_nothing() -> None:
    log = Heeded(*OF_ITS_OWN, stop(meter_wh=5), outside(50_005, 70), second(meter_wh=0))
    log.hear(stop("s", meter_wh=7000, **STOP_TWO))
    log.hear(outside(57_005, 160))
    assert ledger(log) == (7005, 7005, 0, 0)


@pytest.mark.covers("X-45", "Q-80")
def test_what_a_stop_takes_back_of_a_session_the_connectors_register_shows_as_nobodys() -> None:
    log = Heeded(*OF_ITS_OWN, meters(reading(4000)), stop(meter_wh=3000))
    assert ledger(log) == (3000, 3000, 0, 0)
    log.hear(outside(54_000, 70))
    assert ledger(log) == (4000, 3000, 0, 1000)


@pytest.mark.covers("X-23")
def test_where_sessions_have_more_than_a_register_shows_another_ones_energy_is_delivered_as_it_is() -> None:
    log = Heeded(
        *(start("own", meter_wh=None, minutes=-100), meters(reading(500, minutes=-99))),
        *(start("one"), meters(reading(5000), transaction="2")),
        *(second(meter_wh=5000), meters(reading(6000, minutes=99), transaction="3")),
        stop(meter_wh=5400, transaction="2"),
    )
    assert ledger(log) == (5000, 5400, 0, -400)
    log.hear(stop("its stop", meter_wh=900, minutes=-50))
    assert ledger(log) == (5400, 5800, 0, -400)


@pytest.mark.covers("X-46", "Q-81", "Q-94")
def test_samples_that_count_from_the_start_are_not_counted_twice_with_the_lifetime_register() -> None:
    log = Heeded(
        start(meter_wh=1_000_000),
        meters(reading(3000, minutes=10)),
        meters(reading(1_005_000, minutes=20), transaction=None),
        meters(reading(6900, minutes=30)),
        stop(meter_wh=1_007_000),
        second(meter_wh=1_007_050),
    )
    assert ledger(log) == (7050, 7000, 0, 50)


@pytest.mark.covers("Q-80", "C-062")
def test_a_register_that_runs_over_its_last_digit_goes_on_in_the_ledger() -> None:
    over = 2**32 - 7296
    log = Heeded(start(meter_wh=over), meters(reading(over + 7000)), stop(meter_wh=9400), second(meter_wh=9500))
    assert ledger(log) == (16_796, 16_696, 0, 100)


@pytest.mark.covers("X-20", "X-23", "C-059")
def test_a_real_stop_takes_what_was_nobodys() -> None:
    log = Heeded(start(), meters(reading(5000)), second(meter_wh=5300))
    assert ledger(log) == (4300, 4000, 0, 300)
    log.hear(stop(meter_wh=5300))
    assert ledger(log) == (4300, 4300, 0, 0)


def test_sessions_with_more_than_the_register_shows_are_seen_in_the_ledger() -> None:
    log = Heeded(
        start(), meters(reading(5000)), second(meter_wh=5000), meters(reading(6000, minutes=99), transaction="2")
    )
    log.hear(stop(meter_wh=5400))
    assert ledger(log) == (5000, 5400, 0, -400)


@pytest.mark.covers("X-12", "X-25")
def test_a_stop_that_fits_no_session_is_in_quarantine_until_it_is_repaired() -> None:
    history = (start(), stop(), stop("lost", transaction="99", minutes=-1, meter_wh=8500))
    log = Heeded(*history)
    assert ledger(log) == (7500, 7000, 500, 0)
    log.hear(asked(session_of("lost"), Discard()))
    assert ledger(log) == (7500, 7000, 0, 500)


def test_an_attached_stop_moves_its_energy_to_its_session() -> None:
    samples = [reading(7000, minutes=1), reading(7500, minutes=50)]
    log = Heeded(start("one"), start("two", evse=2), stop("lost", transaction="99", readings=samples))
    assert ledger(log) == (1000, 0, 1000, 0)
    log.hear(asked(session_of("lost"), Attach(session_of("one"))))
    assert ledger(log) == (7000, 7000, 0, 0)


@pytest.mark.covers("X-14", "C-058")
def test_a_stop_that_came_before_its_start_leaves_quarantine_with_it() -> None:
    data = [reading(2000, minutes=9)]
    log = Heeded(stop(transaction="-1", readings=data))
    assert ledger(log) == (6000, 0, 6000, 0)
    log.hear(start())
    assert ledger(log) == (7000, 7000, 0, 0)
    known = Heeded(start("before", meter_wh=900, minutes=-90), stop("s", meter_wh=1000, minutes=-60))
    known.hear(stop(transaction="-1"))
    assert ledger(known) == (7100, 100, 7000, 0)
    known.hear(start())
    assert ledger(known) == (7100, 7100, 0, 0)


@pytest.mark.covers("X-14", "C-058")
@pytest.mark.parametrize("data", [(), (reading(2000, minutes=9),)])
def test_a_session_whose_stop_came_first_leaves_the_register_where_that_says(data: tuple[Reading, ...]) -> None:
    account = Heeded(stop(transaction="-1", readings=data), start()).one(SessionEnded).account
    assert account is not None
    assert account.register_wh == 8000


@pytest.mark.covers("X-14", "Q-80")
def test_but_not_the_connectors_if_it_has_one_of_its_own() -> None:
    log = Heeded(meters(reading(50_000), transaction=None), stop(transaction="-1", meter_wh=7000), start(meter_wh=0))
    assert log.state.lines[0].wh == 50_000
    log.hear(meters(reading(57_000, minutes=61), transaction=None))
    assert ledger(log) == (7000, 7000, 0, 0)


def test_a_discarded_session_leaves_its_energy_to_nobody() -> None:
    log = Heeded(start(), stop(), asked(session_of("start"), Discard()))
    assert ledger(log) == (7000, 0, 0, 7000)


def test_another_meter_is_no_energy() -> None:
    log = Heeded(start(), stop(), second(meter_wh=90_000_000), stop("s", meter_wh=90_000_500, **STOP_TWO))
    assert ledger(log) == (7500, 7500, 0, 0)
    idle = Heeded(start(), stop(), meters(reading(90_000_000, minutes=70), transaction=None))
    idle.hear(meters(reading(5, minutes=80), transaction=None))
    idle.hear(second(meter_wh=25))
    assert ledger(idle) == (7020, 7000, 0, 20)


def test_without_a_register_at_the_start_the_samples_are_delivered() -> None:
    log = Heeded(start(meter_wh=None), meters(reading(5000)), meters(reading(5700, minutes=9)), stop(meter_wh=5900))
    assert ledger(log) == (900, 900, 0, 0)


def test_an_entry_says_where_it_belongs() -> None:
    log = Heeded(start(), stop())
    assert {(account.site, account.time_zone) for account in accounts(log)} == {("oslo", "Europe/Oslo")}


@given_any(histories)
def test_every_entry_is_in_balance_and_sessions_have_what_is_attributed(history: list[Heard[Any]]) -> None:
    log = Heeded(*history)
    for account in accounts(log):
        parts = account.attributed_wh + account.quarantined_wh + account.unattributed_wh
        assert account.delivered_wh == parts
    energies: dict[SessionId, int] = {}
    waiting: dict[SessionId, int] = {}
    for event in log.events:
        match event:
            case SessionQuarantined():
                waiting[event.session] = event.energy_wh or 0
            case EnergyDelivered() | SessionEnded() | SessionCorrected() | SessionPresumedEnded():
                waiting.pop(event.session, None)
                if event.energy_wh is not None:
                    energies[event.session] = event.energy_wh
            case _:
                pass
    _, attributed, quarantined, _ = ledger(log)
    assert (attributed, quarantined) == (sum(energies.values()), sum(waiting.values()))


steps = st.lists(st.tuples(st.integers(0, 500), st.lists(st.integers(0, 300), max_size=4)), min_size=1, max_size=6)


@given_any(steps, st.booleans())
def test_of_a_register_that_only_rises_every_watt_hour_is_delivered_once(
    sessions: list[tuple[int, list[int]]], twice: bool
) -> None:
    log, register, moment, used = Heeded(), 10_000, 0.0, 0
    for number, (gap, rises) in enumerate(sessions, 1):
        register += gap if number > 1 else 0
        moment += 60
        messages: list[Heard[Any]] = [start(f"start {number}", meter_wh=register, minutes=moment)]
        for rise in rises:
            register, moment, used = register + rise, moment + 5, used + rise
            messages.append(meters(reading(register, minutes=moment), transaction=str(number), report=f"m {moment}"))
        messages.append(stop(f"stop {number}", transaction=str(number), meter_wh=register, minutes=moment + 1))
        for message in messages:
            log.hear(message)
            if twice:
                log.hear(message)
    total = register - 10_000
    assert ledger(log) == (total, used, 0, total - used)
    assert not log.all(SessionRepaired)


def test_what_moves_nothing_and_shows_no_register_is_no_entry() -> None:
    assert entry(Place(1, 1)) is None
    assert entry(Place(1, 1), register_wh=0) is not None
    assert entry(Place(1, 1), quarantined=-5) is not None


@pytest.mark.parametrize(
    ("on_line", "goes_on", "delivered"),
    [(True, True, -200), (True, False, 0), (False, True, -500)],
)
def test_what_the_register_has_shown_stays_delivered_though_a_session_has_less(
    on_line: bool, goes_on: bool, delivered: int
) -> None:
    line = Line(evse=1, connector=1, wh=8000, at=NOON, ahead_wh=200)
    lowered = moved(line, Place(1, 1), Move(-500, on_line=on_line, goes_on=goes_on))
    assert lowered == entry(Place(1, 1), delivered=delivered, attributed=-500)


def test_with_a_new_session_what_was_loose_ahead_or_elsewhere_is_settled() -> None:
    line = Line(evse=1, connector=1, wh=1000, at=NOON, loose_wh=30, ahead_wh=20, other_wh=7)
    moved = entry(Place(1, 1), register_wh=1000)
    assert moved is not None
    fresh = Line(evse=1, connector=1, wh=1000, at=NOON)
    assert after((line,), 1, 1, NOON, moved, begins=True, most=8) == (fresh,)
    assert after((line,), 1, 1, NOON, moved, begins=False, most=8) == (line,)
    assert settled((line,), 1, 1, began=True) == (Line(evse=1, connector=1, wh=1000, at=NOON, other_wh=7),)
