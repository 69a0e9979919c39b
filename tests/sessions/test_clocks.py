"""Clocks that cannot be right: X-42, X-43, C-070, Q-100 to Q-105."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.sessions import SessionEnded, SessionPresumedEnded, SessionStarted, StartRepeated, StopRepeated
from services.sessions.clocks import LONGEST, OLDEST, corrected, lasted
from services.sessions.heard import Heard
from tests.sessions.says import NOON, Heeded, at, decision, kinds, meters, only, reading, session_of, start, stop


def said(heard: Heard[Any], moment: datetime, heard_minutes: float) -> Heard[Any]:
    """Return a message with a time of the station's, and when we heard it."""
    return replace(heard, event=replace(heard.event, at=moment), heard_at=at(heard_minutes))


UNSET = datetime(1970, 1, 1, 0, 3, 12, tzinfo=UTC)


@pytest.mark.covers("X-43", "Q-100", "C-070")
@pytest.mark.parametrize("moment", [UNSET, datetime(2000, 1, 1, tzinfo=UTC), datetime(2036, 2, 7, tzinfo=UTC), at(3)])
def test_a_time_that_cannot_be_right_is_corrected_kept_and_flagged(moment: datetime) -> None:
    log = Heeded(said(start(), moment, 0), said(stop(), moment + timedelta(hours=1), 60))
    started, ended = log.one(SessionStarted), log.one(SessionEnded)
    assert (started.at, started.said_at, started.flags) == (at(0), moment, ("clock_suspect",))
    assert (ended.at, ended.said_at) == (at(60), moment + timedelta(hours=1))
    assert (ended.energy_wh, "clock_suspect" in ended.flags, ended.started_at) == (7000, True, None)


@pytest.mark.covers("X-43", "C-061", "C-070")
def test_a_backlog_by_a_clock_that_was_never_set_lasts_as_long_as_it_did() -> None:
    log = Heeded(said(start(), UNSET, 600), said(stop(), UNSET + timedelta(hours=1), 600))
    ended = log.one(SessionEnded)
    assert (ended.started_at, ended.at) == (at(540), at(600))
    assert log.state.closed[-1].started_at == at(540)  # type: ignore[union-attr]


@pytest.mark.covers("X-43")
def test_a_clock_that_is_set_within_a_session_tells_no_duration() -> None:
    log = Heeded(said(start(), UNSET, 0), said(stop(), at(60), 60))
    assert (log.one(SessionEnded).at, log.one(SessionEnded).started_at) == (at(60), None)
    backlog = Heeded(said(start(), UNSET, 90), said(stop(), at(60), 90))
    assert backlog.one(SessionEnded).started_at == at(60), "no later than its end"


@pytest.mark.covers("X-10", "X-11", "X-43")
def test_what_a_wrong_clock_stamps_is_still_told_from_something_new() -> None:
    log = Heeded(said(start(), UNSET, 0), decision(), said(stop(transaction="-1"), UNSET + timedelta(hours=1), 60))
    assert log.one(SessionEnded).session == session_of("start")
    assert only(log.hear(said(start("again"), UNSET, 70)), StartRepeated).session == session_of("start")
    again = said(stop("again too", transaction="-1"), UNSET + timedelta(hours=1), 71)
    assert not only(log.hear(again), StopRepeated).differs


@pytest.mark.covers("X-43", "Q-102")
def test_a_stop_before_its_start_ended_when_we_heard_of_it() -> None:
    ended = Heeded(said(start(), at(0), 0), said(stop(), at(-30), 60)).one(SessionEnded)
    assert (ended.at, ended.said_at, ended.flags) == (at(60), at(-30), ("ended_before_start", "clock_suspect"))


@pytest.mark.covers("X-43", "X-20")
def test_a_clock_that_was_set_back_does_not_make_a_new_car_the_older_one() -> None:
    log = Heeded(start("old", minutes=60), meters(reading(3000, minutes=70)))
    events = log.hear(start("new", minutes=10, meter_wh=3500))
    presumed, started = only(events, SessionPresumedEnded), only(events, SessionStarted)
    assert (presumed.session, presumed.energy_wh, presumed.flags) == (session_of("old"), 2000, ("clock_set_back",))
    assert (started.session, started.flags) == (session_of("new"), ("clock_set_back",))
    assert [session.id for session in log.state.open] == [session_of("new")]


@pytest.mark.covers("Q-105", "X-10")
def test_a_start_said_again_under_the_time_of_its_sending_is_the_same_start() -> None:
    log = Heeded(start(), decision())
    events = log.hear(start("again", minutes=9))
    assert kinds(events) == ["StartRepeated", "StartAnswered"]
    assert only(events, StartRepeated).differs
    assert kinds(log.hear(start("new", minutes=11)))[0] == "SessionPresumedEnded", "too late for a retry"


@pytest.mark.covers("Q-105")
def test_a_start_after_energy_has_flowed_or_after_the_stop_is_a_new_one() -> None:
    flowed = Heeded(start(), meters(reading(1500)))
    assert "SessionStarted" in kinds(flowed.hear(start("new", minutes=9)))
    stopped = Heeded(start(), stop(minutes=5, meter_wh=1000))
    assert "SessionStarted" in kinds(stopped.hear(start("new", minutes=9)))


@pytest.mark.covers("X-43")
def test_the_oldest_time_that_can_be_right_is_left_alone() -> None:
    heard = said(start(), OLDEST, 0)
    assert corrected(heard) is heard
    assert corrected(said(start(), OLDEST - timedelta(microseconds=1), 0)).event.at == at(0)


@pytest.mark.covers("X-43")
def test_what_a_wrong_clock_stamped_is_not_taken_for_a_backlog() -> None:
    assert not corrected(said(start(offline=True), UNSET, 0)).offline


def test_a_session_may_last_thirty_days_and_no_more() -> None:
    assert lasted(NOON, None, NOON + LONGEST, None) == LONGEST
    assert lasted(NOON, None, NOON + LONGEST + timedelta(seconds=1), None) is None
    assert lasted(NOON, None, NOON, None) == timedelta(0)
