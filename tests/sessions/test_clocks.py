"""Clocks that cannot be right: X-42, X-43, C-070, Q-100 to Q-105."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.sessions import (
    ClockEstimated,
    ReadingsTaken,
    SessionEnded,
    SessionPresumedEnded,
    SessionStarted,
    StartRepeated,
    StopRepeated,
)
from services.sessions.clocks import LONGEST, OLDEST, corrected, lasted
from services.sessions.heard import Heard
from tests.sessions.says import (
    ACME,
    NOON,
    STATION,
    Heeded,
    at,
    decision,
    kinds,
    meters,
    only,
    reading,
    session_of,
    start,
    stop,
)


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
    ended = only(log.hear(stop(transaction="2", meter_wh=4000)), SessionEnded)
    assert "clock_set_back" in ended.flags, "its end says so too"


@pytest.mark.covers("Q-105", "X-10")
def test_a_start_said_again_under_the_time_of_its_sending_is_the_same_start() -> None:
    log = Heeded(start(), decision())
    events = log.hear(start("again", minutes=9))
    assert kinds(events) == ["StartRepeated", "StartAnswered"]
    assert only(events, StartRepeated).differs
    assert kinds(log.hear(start("new", minutes=11)))[0] == "SessionPresumedEnded", "too late for a retry"


@pytest.mark.covers("Q-105", "X-10")
def test_a_start_said_again_in_whole_seconds_is_the_same_start() -> None:
    log = Heeded(start(minutes=0.999 / 60), decision())
    assert kinds(log.hear(start("again"))) == ["StartRepeated", "StartAnswered"]
    log = Heeded(start(minutes=1 / 60))
    assert "SessionStarted" in kinds(log.hear(start("earlier")))


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


# ---- clocks that are behind ------------------------------------------------------------------------------------------


def live(n: int, behind_s: float, *, wh: int | None = None, delay_s: float = 0, **more: Any) -> Heard[Any]:
    """Return what a station with such a clock says of its meter in the n-th minute, heard so much later."""
    shown = 1000 + 10 * n if wh is None else wh
    message = meters(reading(shown, minutes=n - behind_s / 60), report=f"m{n}", **more)
    return replace(message, heard_at=at(n) + timedelta(seconds=delay_s))


def begun(behind_s: float, **more: Any) -> Heard[Any]:
    return said(start(**more), at(-behind_s / 60), 0)


@pytest.mark.covers("X-43", "Q-104")
def test_a_clock_that_is_behind_is_found_and_the_session_is_put_right() -> None:
    """Eleven minutes: its start was said before anybody knew, and is put right with its end."""
    log = Heeded(begun(660), *(live(n, 660) for n in range(1, 20)), said(stop(), at(60 - 11), 60))
    assert [found.behind_s for found in log.all(ClockEstimated)] == [660]
    assert log.one(ClockEstimated).at == at(4), "five minutes agree"
    ended = log.one(SessionEnded)
    assert (ended.started_at, ended.at, ended.said_at) == (at(0), at(60), at(49))
    assert "clock_behind" in ended.flags
    assert log.state.closed[-1].since == at(-11)  # type: ignore[union-attr]
    taken = log.all(ReadingsTaken)[-1]
    assert (taken.at, taken.readings[0].at, taken.heard_at) == (at(19), at(8), at(19))


@pytest.mark.covers("X-43", "Q-104")
def test_a_session_that_begins_by_a_clock_known_to_be_behind_begins_when_it_did() -> None:
    log = Heeded(begun(660), *(live(n, 660) for n in range(1, 6)), said(stop(), at(-1), 10))
    log.hear(replace(said(start("two", meter_wh=9000), at(9), 20), offline=True))
    started = log.all(SessionStarted)[-1]
    assert (started.at, started.said_at, started.flags) == (at(20), at(9), ("clock_behind",))
    assert not started.offline, "it was said at once"
    log.hear(said(stop("stop two", transaction="2", meter_wh=9500), at(39), 50))
    ended = log.all(SessionEnded)[-1]
    assert (ended.at, ended.started_at, ended.energy_wh) == (at(50), None, 500)
    log.hear(replace(said(start("three", meter_wh=9500), at(49), 300), offline=True))
    assert (log.all(SessionStarted)[-1].at, log.all(SessionStarted)[-1].offline) == (at(60), True), "kept for hours"


@pytest.mark.covers("X-43", "Q-102")
def test_a_clock_that_is_set_is_known_by_the_first_that_it_says() -> None:
    log = Heeded(begun(3600), *(live(n, 3600) for n in range(1, 6)))
    found = log.hear(live(6, 0))
    assert (only(found, ClockEstimated).behind_s, only(found, ReadingsTaken).at) == (0, at(6))
    log.hear(said(stop(), at(60), 60))
    assert (log.one(SessionEnded).at, log.one(SessionEnded).started_at) == (at(60), None), "no clock tells how long"


@pytest.mark.covers("X-43", "Q-102")
def test_a_start_shows_that_a_clock_was_set_as_well_as_a_reading_does() -> None:
    log = Heeded(start(), *(live(n, 3600) for n in range(1, 6)), said(stop(), at(-50), 10))
    estimated, *_ = found = log.hear(said(start("two", meter_wh=8000), at(20), 20))
    assert estimated == ClockEstimated(at=at(20), tenant=ACME, station=STATION, behind_s=0)
    assert only(found, SessionStarted).at == at(20)


@pytest.mark.covers("X-43", "Q-104")
def test_a_clock_that_drifts_is_followed() -> None:
    log = Heeded(begun(100), *(live(n, 100 + 5 * n) for n in range(1, 30)))
    found = [event.behind_s for event in log.all(ClockEstimated)]
    assert found == sorted(found)
    assert log.state.behind_s in range(245 - 60, 246)


@pytest.mark.covers("X-43", "Q-104")
@pytest.mark.parametrize(
    ("behind_s", "found"), [(60, []), (61, [61]), (-60, []), (-61, [-61]), (86_400, [86_400]), (86_401, [])]
)
def test_what_is_off_by_a_minute_is_right_and_by_more_than_a_day_is_no_clock(behind_s: int, found: list[int]) -> None:
    log = Heeded(start(), *(live(n, behind_s) for n in range(1, 10)))
    assert [event.behind_s for event in log.all(ClockEstimated)] == found


@pytest.mark.covers("X-43")
def test_a_clock_that_is_ahead_is_told_of_and_corrects_nothing() -> None:
    log = Heeded(start(), *(live(n, -90) for n in range(1, 10)), said(stop(), at(61.5), 60))
    assert (log.state.behind_s, log.one(SessionEnded).at, log.one(SessionEnded).said_at) == (-90, at(61.5), None)


@pytest.mark.covers("X-43")
def test_a_time_of_the_gateways_says_nothing_of_a_clock() -> None:
    log = Heeded(begun(660), *(live(n, 660) for n in range(1, 6)))
    log.hear(said(start("two", evse=2, at_is_ours=True), at(7), 7))
    assert (log.state.behind_s, log.all(SessionStarted)[-1].at) == (660, at(7))


@pytest.mark.covers("X-43")
def test_a_start_by_a_right_clock_is_not_put_right_with_an_end_by_one_that_is_behind() -> None:
    log = Heeded(begun(0), *(live(n, 660) for n in range(1, 20)), said(stop(), at(49), 60))
    assert (log.one(SessionEnded).at, log.one(SessionEnded).started_at) == (at(60), None)


@pytest.mark.covers("X-40", "X-43")
@given_any(st.integers(2, 40), st.integers(1, 50))
def test_a_backlog_makes_no_clock_wrong(count: int, per_minute: int) -> None:
    """However slowly it comes, but as slowly as it was measured."""
    log = Heeded(begun(0))
    for n in range(1, count):
        log.hear(replace(live(n, 0), heard_at=at(count + n / (per_minute + 1))))
    assert log.all(ClockEstimated) == []


@pytest.mark.covers("X-43", "Q-104")
@given_any(
    st.integers(120, 50_000),
    st.lists(st.integers(0, 20), min_size=30, max_size=30),
    st.lists(st.integers(0, 29), max_size=9),
    st.integers(0, 60),
)
def test_however_late_its_messages_come_and_come_again_a_sessions_times_are_right(
    behind_s: int, delays: list[int], repeated: list[int], lost: int
) -> None:
    log, frames = Heeded(begun(behind_s)), [live(n, behind_s, delay_s=d) for n, d in enumerate(delays, 1)]
    for n, frame in enumerate(frames):
        if n != lost:
            log.hear(frame)
        for again in (frames[m] for m in repeated if m < n):
            log.hear(replace(again, id=f"again {n} {again.id}", heard_at=frame.heard_at))
    log.hear(said(stop(), at(60) - timedelta(seconds=behind_s), 60))
    ended, tolerance = log.one(SessionEnded), timedelta(seconds=50)
    assert abs(log.state.behind_s - behind_s) <= tolerance.total_seconds()
    assert abs((ended.started_at or at(99)) - at(0)) <= tolerance
    assert abs(ended.at - at(60)) <= tolerance
    assert (ended.at - (ended.started_at or at(99)), ended.energy_wh) == (timedelta(hours=1), 7000)


@pytest.mark.covers("X-43")
def test_a_time_two_minutes_ahead_is_believed_and_no_later_one() -> None:
    ahead = corrected(said(start(), at(2), 0))
    assert (ahead.event.at, ahead.said_at) == (at(2), None)
    assert corrected(said(start(), at(2) + timedelta(seconds=1), 0)).event.at == at(0)


@pytest.mark.covers("X-43")
@pytest.mark.parametrize(("slower_s", "behind_s"), [(30, 600), (31, 0)])
def test_lags_agree_to_half_a_minute(slower_s: int, behind_s: int) -> None:
    log = Heeded(start(evse=2), *(live(2 * n, 600, delay_s=slower_s * (n == 3)) for n in range(1, 6)))
    assert log.state.behind_s == behind_s


@pytest.mark.covers("X-43")
@pytest.mark.parametrize(("faster_s", "found"), [(30, []), (31, [0])])
def test_what_lies_half_a_minute_in_our_future_does_not_show_that_a_clock_was_set(
    faster_s: int, found: list[int]
) -> None:
    log = Heeded(start(evse=2), *(live(n, 600) for n in range(1, 6)))
    heard = log.hear(live(6, 600, delay_s=-faster_s))
    assert [event.behind_s for event in heard if isinstance(event, ClockEstimated)] == found
    right = at(6) - timedelta(seconds=600 if found else faster_s)
    assert only(heard, ReadingsTaken).at == right, "and no later than it was heard"


@pytest.mark.covers("X-43")
def test_of_one_minute_the_message_that_was_kept_the_shortest_counts() -> None:
    log = Heeded(start(evse=2))
    for n in range(1, 6):
        log.hear(live(n, 600, delay_s=40))
        log.hear(replace(live(n, 600, wh=5000 + n), id=f"twice {n}", heard_at=at(n) + timedelta(seconds=45)))
        log.hear(replace(meters(reading(6000 + n, minutes=n - 9.2), report=f"live {n}"), heard_at=at(n + 0.8)))
        log.hear(replace(live(n, 600, wh=7000 + n), id=f"late {n}", heard_at=at(n) + timedelta(seconds=50)))
    assert log.state.behind_s == 600
