"""Transactions that nobody began here: X-22, Q-74."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.sessions import (
    EnergyDelivered,
    ReadingsTaken,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionStarted,
    StopRepeated,
)
from services.sessions.heard import Heard
from services.sessions.state import OPEN, STRANGERS
from tests.sessions.says import NOON, Heeded, at, kinds, meters, only, reading, session_of, start, stop


def shown(n: int, wh: int | None = None, *, name: str = "77", **more: Any) -> Heard[Any]:
    """Return what a meter shows in the n-th minute of a transaction that nobody began here."""
    return meters(reading(1000 + 100 * n if wh is None else wh, minutes=n), report=f"m{n}", transaction=name, **more)


@pytest.mark.covers("X-22", "Q-74")
def test_x_22_a_transaction_that_goes_on_is_adopted_with_its_energy_since_the_first_evidence() -> None:
    log = Heeded(shown(1), replace(shown(2), heard_at=at(2), max_w=22_000), shown(3))
    started = log.one(SessionStarted)
    assert (started.session, started.report, started.at, started.meter_wh) == (session_of("m1"), "m1", at(1), 1100)
    assert (started.transaction, started.token, started.evse, started.connector) == ("77", "", 1, 1)
    assert (started.flags, started.heard_at, started.max_w) == (("adopted", "review"), at(2), 22_000)
    assert [event.energy_wh for event in log.all(EnergyDelivered)] == [100, 200]
    assert [event.session for event in log.all(ReadingsTaken)] == [None, started.session, started.session]
    ended = only(log.hear(stop(transaction="77", meter_wh=1900)), SessionEnded)
    assert (ended.session, ended.energy_wh, ended.at) == (started.session, 800, at(60))
    assert {"adopted", "review"} <= set(ended.flags), "nobody is billed before a person has looked at it"


@pytest.mark.covers("X-22")
def test_x_22_of_several_readings_in_one_report_the_last_shows_that_it_goes_on() -> None:
    log = Heeded(shown(1), meters(reading(1105, minutes=2), reading(1300, minutes=3), report="two", transaction="77"))
    assert (log.one(SessionStarted).at, log.one(EnergyDelivered).energy_wh) == (at(1), 200)
    both = meters(reading(1100, minutes=1), reading(1300, minutes=3), report="both", transaction="77")
    log = Heeded(both, shown(4))
    assert (log.one(SessionStarted).at, log.one(SessionStarted).meter_wh) == (at(1), 1100), (
        "and of the first, the first"
    )


@pytest.mark.covers("X-22")
def test_x_22_a_stop_ends_what_was_heard_of_once() -> None:
    log = Heeded(shown(1), stop(transaction="77", meter_wh=1900))
    assert kinds(log.events) == ["ReadingsTaken", "SessionStarted", "SessionEnded"]
    assert (log.one(SessionEnded).session, log.one(SessionEnded).energy_wh) == (session_of("m1"), 800)
    assert kinds(log.hear(stop("again", transaction="77", meter_wh=1900))) == ["StopRepeated"]
    assert (log.state.open, log.state.strangers) == ((), ())


@pytest.mark.covers("X-22", "X-25")
@pytest.mark.parametrize("message", [stop(transaction="77", meter_wh=1099), stop(transaction="77", meter_wh=None)])
def test_x_25_a_stop_that_its_evidence_does_not_fit_waits_in_quarantine(message: Heard[Any]) -> None:
    assert kinds(Heeded(shown(1)).hear(message)) == ["SessionQuarantined"]
    early = stop(transaction="77", meter_wh=1900, minutes=0)
    assert kinds(Heeded(shown(1)).hear(early)) == ["SessionQuarantined"]


@pytest.mark.covers("X-13", "X-22", "Q-75")
@pytest.mark.parametrize(
    "second",
    [
        shown(2, 1109),
        shown(2, name="78"),
        shown(2, evse=2),
        shown(0, 1200),
        meters(reading(minutes=2), transaction="77"),
        meters(reading(1200, minutes=2), transaction=None),
    ],
)
def test_x_13_what_shows_no_energy_under_the_same_id_is_no_session(second: Heard[Any]) -> None:
    """Some stations name any old id with what their meter shows."""
    assert Heeded(shown(1), second).all(SessionStarted) == []


@pytest.mark.covers("X-13")
@pytest.mark.parametrize("name", ["-1", "0", ""])
def test_x_13_an_id_that_names_nothing_is_nobodys(name: str) -> None:
    assert Heeded(shown(1, name=name), shown(2, name=name)).all(SessionStarted) == []


@pytest.mark.covers("X-13", "X-22")
def test_x_22_the_whole_station_has_no_transaction() -> None:
    assert Heeded(shown(1, evse=0), shown(2, evse=0)).all(SessionStarted) == []


@pytest.mark.covers("X-22", "X-44")
def test_x_22_what_is_over_is_not_adopted() -> None:
    log = Heeded(stop(transaction="77", meter_wh=1000), shown(61, 2000), shown(62, 2100))
    assert (log.all(SessionStarted), log.state.strangers) == ([], ())
    log = Heeded()
    for n in range(1, 20):
        log.hear(start(f"start {n}", minutes=100 * n))
        log.hear(stop(f"stop {n}", transaction=str(n), minutes=100 * n + 1))
    log.hear(shown(3000, 9000, name="1"))
    assert len(log.all(SessionStarted)) == 19
    assert log.state.strangers == (), "its session has been forgotten, but not its id"


@pytest.mark.covers("X-22")
def test_x_22_where_a_session_goes_on_no_other_is_adopted() -> None:
    log = Heeded(shown(1), start(minutes=2, meter_wh=5000), shown(3), shown(4))
    assert [event.session for event in log.all(SessionStarted)] == [session_of("start")]
    full = Heeded(shown(1), *(start(f"s{n}", evse=n + 5) for n in range(OPEN)))
    assert full.hear(shown(2)) == [only(full.events[-1:], ReadingsTaken)]


@pytest.mark.covers("X-13", "X-22")
def test_x_22_evidence_from_before_a_session_at_the_connector_begins_none_after_it() -> None:
    """What flowed in between is in that session already."""
    log = Heeded(shown(1), start(minutes=2, meter_wh=None), shown(3), stop(transaction="77", minutes=4, meter_wh=1400))
    assert (log.one(SessionEnded).session, log.one(SessionEnded).flags) == (
        session_of("start"),
        ("meter_start_missing", "matched"),
    )
    assert kinds(log.hear(stop("again", transaction="77", minutes=4, meter_wh=1400))) == ["StopRepeated"]
    log.hear(stop("other", transaction="77", minutes=5, meter_wh=1500))
    log.hear(shown(6))
    assert len(log.all(SessionStarted)) == 1
    during = Heeded(start(meter_wh=5000), shown(1), stop(minutes=2, meter_wh=6000), shown(3))
    assert len(during.all(SessionStarted)) == 1


@pytest.mark.covers("X-20", "X-22")
def test_x_22_a_start_at_its_connector_shows_that_an_adopted_session_is_over() -> None:
    log = Heeded(shown(1), shown(2), start(minutes=10, meter_wh=1500))
    assert log.one(SessionPresumedEnded).session == session_of("m1")
    assert [session.id for session in log.state.open] == [session_of("start")]


@pytest.mark.covers("X-01", "X-22")
def test_x_01_an_id_that_an_adopted_session_has_is_given_to_no_other() -> None:
    log = Heeded(shown(1, name="3"), shown(2, name="3"), *(start(f"s{n}", evse=n) for n in (2, 3, 4)))
    names = [event.transaction for event in log.all(SessionStarted)]
    assert names == ["3", "4", "5", "6"]
    assert Heeded(shown(1, name="4711"), shown(2, name="4711")).state.last == 0, "far from ours"


@pytest.mark.covers("X-22")
def test_x_22_the_earliest_evidence_counts_in_whatever_order_it_comes() -> None:
    log = Heeded(shown(3), shown(1), shown(2, 1050), shown(4))
    assert (log.one(SessionStarted).at, log.one(SessionStarted).meter_wh) == (at(1), 1100)


@pytest.mark.covers("X-22")
def test_x_22_of_too_many_the_latest_are_remembered() -> None:
    log = Heeded(*(shown(1, name=str(n)) for n in range(1, STRANGERS + 2)))
    assert [stranger.transaction for stranger in log.state.strangers] == [str(n) for n in range(2, STRANGERS + 2)]


@pytest.mark.covers("X-22", "X-43")
def test_x_22_by_a_clock_that_is_behind_it_began_when_the_evidence_was_measured() -> None:
    behind = timedelta(minutes=11)
    log = Heeded(start(evse=2, minutes=-20), stop(minutes=-19, meter_wh=1000))
    for n in range(1, 8):
        log.hear(replace(shown(n, name="77"), heard_at=at(n) + behind))
    started = log.one(SessionStarted) if len(log.all(SessionStarted)) == 1 else log.all(SessionStarted)[-1]
    assert (started.at, started.said_at) == (at(1), None), "nobody knew yet"
    log = Heeded(*(replace(shown(n, name="78", evse=2), heard_at=at(n) + behind) for n in range(1, 8)))
    log.hear(replace(shown(8), heard_at=at(8) + behind))
    log.hear(replace(shown(9), heard_at=at(9) + behind))
    started = log.all(SessionStarted)[-1]
    assert (started.at, started.said_at) == (at(8) + behind, at(8))


def said_by_nobody(wh: Sequence[int]) -> list[Heard[Any]]:
    return [*(shown(n, 1000 + w) for n, w in enumerate(wh, 1)), stop(transaction="77", meter_wh=1000 + wh[-1] + 50)]


@pytest.mark.covers("X-22", "X-25", "C-087")
@given_any(
    st.lists(st.integers(0, 500), min_size=2, max_size=6).map(sorted),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 6), max_size=8),
)
def test_in_any_order_and_however_often_it_is_one_session_or_one_stop_and_its_energy_is_there_once(
    wh: list[int], dice: Any, repeated: list[int]
) -> None:
    said = said_by_nobody(wh)
    order = list(range(len(said)))
    dice.shuffle(order)
    log = Heeded()
    for n, index in enumerate([*order, *(each % len(said) for each in repeated)]):
        log.hear(replace(said[index], id=f"{said[index].id} {n}"))
    assert len(log.all(SessionStarted)) == len(log.all(SessionEnded))
    assert len(log.all(SessionEnded)) + len(log.all(SessionQuarantined)) == 1
    assert log.state.open == ()
    accounts = [account for event in log.events if (account := getattr(event, "account", None))]
    attributed = sum(account.attributed_wh for account in accounts)
    assert 0 <= attributed <= wh[-1] + 50 - wh[0]
    if ends := log.all(SessionEnded):
        assert ends[0].energy_wh == attributed
    assert sum(account.delivered_wh for account in accounts) <= wh[-1] + 50
    assert all(event.session for event in log.all(StopRepeated))


@pytest.mark.covers("X-22")
@given_any(st.lists(st.integers(10, 500), min_size=2, max_size=6))
def test_in_order_all_that_flowed_since_the_first_evidence_is_in_the_session(rises: list[int]) -> None:
    wh = [sum(rises[:n]) for n in range(len(rises) + 1)]
    log = Heeded(*said_by_nobody(wh))
    assert (log.one(SessionEnded).energy_wh, log.one(SessionStarted).at) == (wh[-1] + 50, at(1))
    assert log.one(SessionStarted).at > NOON
