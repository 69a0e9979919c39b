"""The fold refuses no event, whatever came before it."""

from collections.abc import Sequence

from contracts.event import Event
from contracts.sessions import SessionStarted
from services.sessions import domain
from services.sessions.state import CLOSED, ENDED, FRAMES, MARKS, REPORTS, Ended, Presumed, Quarantined
from tests.sessions.says import CARD, Heeded, decision, meters, reading, session_of, start, stop, undecided


def everything() -> Sequence[Event]:
    """Return a history with every event that changes the state."""
    messages = (
        *(decision(), start(), start("again"), undecided(), meters(reading(1500)), stop(token=CARD)),
        *(decision("stop", purpose="stop"), stop("again"), start("two", minutes=70), start("three", minutes=80)),
        *(stop("late", transaction="2", minutes=79), stop("lost", transaction="99", minutes=-1)),
    )
    return Heeded(*messages).events


def test_events_of_sessions_that_nobody_remembers_change_none() -> None:
    state = domain.initial
    for event in (event for event in everything() if not isinstance(event, SessionStarted)):
        state = domain.evolve(state, event)
    assert state.open == ()
    assert [type(session) for session in state.closed] == [Quarantined]


def test_forgetting_begins_with_what_has_a_real_stop() -> None:
    log = Heeded(start(), start("two", minutes=10, meter_wh=1001), stop("lost", transaction="99", minutes=-1))
    for n in range(2 * ENDED):
        log.hear(stop(f"stop {n}", transaction=str(n + 2), minutes=10 * n + 15))
        log.hear(start(f"start {n}", minutes=10 * n + 20))
    kinds = [type(session) for session in log.state.closed]
    assert [kinds.count(kind) for kind in (Ended, Presumed, Quarantined)] == [ENDED, 1, 1]
    assert log.state.session(session_of("start")) is not None


def test_of_too_many_without_a_real_stop_the_oldest_is_forgotten() -> None:
    log = Heeded(*(stop(f"lost {n}", transaction=str(n + 1)) for n in range(CLOSED + 1)))
    assert log.state.session(session_of("lost 0")) is None
    assert log.state.session(session_of("lost 1")) is not None
    assert not any(isinstance(session, Ended) for session in log.state.closed)


def test_reports_and_frames_are_remembered_within_bounds() -> None:
    log = Heeded(start())
    for n in range(MARKS + FRAMES):
        log.hear(meters(reading(1500, minutes=n)))
        log.hear(start(f"again {n}"))
    remembered = log.state.reports, log.state.frames, log.state.marks
    assert [len(each) for each in remembered] == [REPORTS, 8 * FRAMES, 4 * MARKS]
