"""What a person may put right, what may not be, and that it is done once."""

from typing import Any

import pytest
from msgspec.structs import replace

from contracts.commands import Attach, Discard, End, Repair, SessionRepairRequested
from contracts.event import RepairId, SessionId
from contracts.sessions import (
    ChargingOver,
    RepairRefused,
    SessionCorrected,
    SessionEnded,
    SessionQuarantined,
    SessionRepaired,
)
from services.sessions.heard import Heard
from services.sessions.state import REPAIRS
from tests.sessions.says import (
    ACME,
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


def asked(session: SessionId, do: Repair, repair: str = "r1", fingerprint: str = "f") -> Heard[Any]:
    said = SessionRepairRequested(
        at=at(600),
        tenant=ACME,
        station=STATION,
        repair=RepairId(repair),
        session=session,
        do=do,
        reason="the driver called",
        requested_by="key",
        fingerprint=fingerprint,
    )
    return Heard(said, repair)


LOST = stop("lost", transaction="99", minutes=60, meter_wh=8000)
TWO = (start("one", evse=1), start("two", evse=2), LOST)
"""Two sessions that the stop fits."""


@pytest.mark.covers("X-12", "X-25")
def test_a_stop_in_quarantine_is_attached_to_the_session_it_ended() -> None:
    log = Heeded(*TWO, decision("two"))
    events = log.hear(asked(session_of("lost"), Attach(session_of("two"))))
    repaired, ended = only(events, SessionRepaired), only(events, SessionEnded)
    assert (repaired.session, repaired.to, repaired.action) == (session_of("lost"), session_of("two"), "attach")
    assert (repaired.reason, repaired.requested_by) == ("the driver called", "key")
    assert (repaired.energy_before_wh, repaired.energy_after_wh) == (None, 7000)
    assert (ended.session, ended.energy_wh, ended.at, ended.report) == (session_of("two"), 7000, at(60), "lost")
    assert "repaired" in ended.flags
    assert only(events, ChargingOver).session == session_of("two")
    assert [session.id for session in log.state.open] == [session_of("one")]
    assert kinds(log.hear(replace(LOST, id="again"))) == ["StopRepeated"], "it waits in no quarantine again"


@pytest.mark.covers("X-23")
def test_a_session_that_somebody_ended_is_corrected_by_its_real_stop() -> None:
    log = Heeded(start(), meters(reading(3000)))
    events = log.hear(asked(session_of("start"), End(at(30))))
    ended = only(events, SessionEnded)
    assert kinds(events) == ["SessionRepaired", "SessionEnded"]
    assert (ended.energy_wh, ended.at, ended.meter_wh) == (2000, at(30), 3000)
    assert only(log.hear(stop()), SessionCorrected).energy_wh == 7000


@pytest.mark.covers("X-23")
def test_an_attached_stop_that_was_none_of_the_sessions_waits_in_no_quarantine_again() -> None:
    log = Heeded(*TWO, asked(session_of("lost"), Attach(session_of("two"))))
    assert kinds(log.hear(stop(transaction="2", meter_wh=9000))) == ["SessionCorrected"], "a person has judged it"
    assert kinds(log.hear(replace(LOST, id="again"))) == ["StopRepeated"]


def test_a_session_presumed_ended_is_corrected_by_hand() -> None:
    log = Heeded(start(), start("new", minutes=30, meter_wh=1600))
    corrected = only(log.hear(asked(session_of("start"), End(at(29), 1590))), SessionCorrected)
    assert (corrected.energy_wh, corrected.energy_source) == (590, "register")


def test_what_is_discarded_is_over_and_counts_for_nothing() -> None:
    log = Heeded(start(), decision(), meters(reading(3000)))
    events = log.hear(asked(session_of("start"), Discard()))
    repaired = only(events, SessionRepaired)
    assert kinds(events) == ["SessionRepaired", "ChargingOver"]
    assert (repaired.energy_before_wh, repaired.energy_after_wh) == (2000, 0)
    assert log.state.open == ()
    assert kinds(log.hear(stop())) == ["StopRepeated"]
    assert kinds(log.hear(start("again"))) == ["StartRepeated", "StartAnswered"]


def test_a_discarded_stop_waits_for_no_start() -> None:
    log = Heeded(LOST, asked(session_of("lost"), Discard()))
    assert kinds(log.hear(start())) == ["SessionStarted", "AnswerOwed"]


ENDED = (start(), stop())


@pytest.mark.parametrize(
    ("history", "session", "do", "reason"),
    [
        ((), "start", Discard(), "unknown_session"),
        ((), "start", End(at(60)), "unknown_session"),
        ((), "lost", Attach(session_of("start")), "unknown_session"),
        (ENDED, "start", End(at(60)), "wrong_state"),
        (ENDED, "start", Attach(session_of("start")), "not_in_quarantine"),
        ((LOST,), "lost", End(at(60)), "wrong_state"),
        ((LOST,), "lost", Attach(session_of("nobody")), "unknown_target"),
        ((LOST,), "lost", Attach(session_of("lost")), "unknown_target"),
        ((*ENDED, stop("lost", transaction="99", minutes=-9)), "lost", Attach(session_of("start")), "wrong_state"),
        ((start(),), "start", End(at(60), 999), "meter_went_back"),
        ((start(),), "start", End(at(-1)), "ends_before_start"),
        ((start(), asked(session_of("start"), Discard(), "r0")), "start", Discard(), "wrong_state"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    history: tuple[Heard[Any], ...], session: str, do: Repair, reason: str
) -> None:
    log = Heeded(*history)
    before = log.state
    (refused,) = log.hear(asked(session_of(session), do))
    assert isinstance(refused, RepairRefused)
    assert (refused.reason, refused.repair, bool(refused.detail)) == (reason, "r1", True)
    assert (log.state.open, log.state.closed) == (before.open, before.closed)


def test_a_repair_is_done_once_and_its_id_serves_no_other() -> None:
    log = Heeded(start(), asked(session_of("start"), End(at(60))))
    assert log.hear(asked(session_of("start"), End(at(60)))) == []
    (refused,) = log.hear(asked(session_of("start"), Discard(), fingerprint="other"))
    assert isinstance(refused, RepairRefused)
    assert refused.reason == "idempotency_key_reused"


def test_however_often_its_id_is_refused_for_another_a_repair_is_done_once() -> None:
    log = Heeded(start(), asked(session_of("start"), End(at(60))))
    for n in range(REPAIRS):
        log.hear(asked(session_of("start"), Discard(), fingerprint=f"other {n}"))
    assert log.hear(asked(session_of("start"), End(at(60)))) == []


def test_a_repair_that_was_refused_is_refused_once() -> None:
    log = Heeded(start(), asked(session_of("start"), End(at(-1))))
    assert log.one(RepairRefused).reason == "ends_before_start"
    assert log.hear(asked(session_of("start"), End(at(-1)))) == []


def test_a_session_of_which_nobody_knows_the_energy_is_discarded_without_any() -> None:
    log = Heeded(start(meter_wh=None), asked(session_of("start"), Discard()))
    assert (log.one(SessionRepaired).energy_before_wh, log.one(SessionRepaired).account) == (None, None)


def test_the_energy_of_a_quarantined_stop_is_what_its_samples_show() -> None:
    log = Heeded(stop("lost", transaction="99", readings=[reading(2000, minutes=1), reading(2700, minutes=50)]))
    assert log.one(SessionQuarantined).energy_wh == 6000, "from its first sample to its register"
