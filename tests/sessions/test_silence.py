"""Meters that fall silent: Q-93."""

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.sessions import EnergyDelivered, MeterFellSilent, MeterWatched
from services.sessions import domain
from services.sessions.silence import SILENT
from services.sessions.state import SILENCE
from tests.sessions.says import NOON, STATION, Heeded, at, kinds, meters, only, reading, session_of, start, stop
from tests.sessions.test_ghosts import live, tick

WATCHED = (live(start()), live(meters(reading(2000, minutes=5), report="first")))


def pass_time(log: Heeded, minutes: float) -> None:
    """Let time pass as it does for a station: every deadline up to then is heard once."""
    while (due := domain.deadline(log.state)) is not None and due <= at(minutes):
        log.hear(tick(due))


@pytest.mark.covers("Q-93")
def test_q_93_a_meter_that_is_not_read_any_more_has_fallen_silent_and_is_heard_again() -> None:
    log = Heeded(*WATCHED)
    assert (log.one(MeterWatched).session, log.one(MeterWatched).until) == (session_of("start"), at(5) + SILENT)
    pass_time(log, 5 + 90)
    silent = log.one(MeterFellSilent)
    assert (silent.session, silent.evse, silent.connector, silent.station) == (session_of("start"), 1, 1, STATION)
    assert (silent.at, silent.last_at) == (at(95), at(5))
    assert domain.deadline(log.state) == NOON + SILENCE, "it is told of once"
    log.hear(live(meters(reading(3000, minutes=200), report="again")))
    assert [event.until for event in log.all(MeterWatched)][1:] == [at(200) + SILENT]
    pass_time(log, 290)
    assert len(log.all(MeterFellSilent)) == 2


@pytest.mark.covers("Q-93")
def test_q_93_a_meter_that_is_read_is_watched_on_without_an_event_for_each_reading() -> None:
    log = Heeded(*WATCHED)
    for n in range(6, 600, 5):
        pass_time(log, n)
        log.hear(live(meters(reading(2000 + n, minutes=n), report=f"m{n}")))
    assert log.all(MeterFellSilent) == []
    assert len(log.all(MeterWatched)) == 1 + 590 // 90
    log.hear(live(stop(minutes=600)))
    pass_time(log, 10_000)
    assert log.all(MeterFellSilent) == [], "it is over"


@pytest.mark.covers("Q-93")
def test_q_93_a_meter_that_was_never_read_is_not_missed() -> None:
    log = Heeded(live(start()))
    pass_time(log, 24 * 60)
    assert log.all(MeterFellSilent, MeterWatched) == []
    assert Heeded(start(), meters(reading(2000))).all(MeterWatched) == [], "nobody knows when it was heard"


@pytest.mark.covers("Q-93")
def test_q_93_each_session_has_its_own_meter() -> None:
    log = Heeded(*WATCHED, live(start("two", evse=2, minutes=60)))
    log.hear(live(meters(reading(2000, minutes=61), transaction="2", evse=2, report="second")))
    pass_time(log, 61 + 89)
    assert only(log.events, MeterFellSilent).evse == 1


def test_a_station_of_which_nothing_is_known_has_no_deadline() -> None:
    assert domain.deadline(domain.initial) is None


@pytest.mark.covers("Q-93")
@given_any(st.lists(st.integers(1, 400), max_size=12))
def test_a_meter_is_silent_once_for_each_time_that_it_is_not_read_for_long(gaps: list[int]) -> None:
    """Never before it has not been read for so long, and always when it has not been for twice as long."""
    log, minutes = Heeded(*WATCHED), 5.0
    for n, gap in enumerate(gaps):
        before = len(log.all(MeterFellSilent))
        pass_time(log, minutes + gap)
        found = len(log.all(MeterFellSilent)) - before
        assert found == 0 if gap < 90 else found <= 1
        assert found == 1 or gap < 180
        minutes += gap
        log.hear(live(meters(reading(2001 + n, minutes=minutes), report=f"m{n}")))
    assert len(log.all(EnergyDelivered)) == len(gaps) + 1
    assert set(kinds(log.events)) <= {
        *("SessionStarted", "AnswerOwed", "ReadingsTaken", "EnergyDelivered", "MeterWatched", "MeterFellSilent"),
        *("ClockEstimated",),
    }
