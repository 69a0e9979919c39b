"""Sessions whose stop never comes: X-21 to X-23, C-060, Q-68."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.event import Ticked
from contracts.sessions import ChargingOver, SessionAlive, SessionCorrected, SessionPresumedEnded, SessionSuspected
from contracts.stations import ConnectorStatusReported, Frame, StationBooted
from services.sessions import ghosts
from services.sessions.heard import Heard
from services.sessions.state import SILENCE
from tests.sessions.says import (
    ACME,
    GATEWAY,
    NOON,
    STATION,
    Heeded,
    at,
    decision,
    kinds,
    meters,
    only,
    reading,
    start,
    stop,
)

COMMON: dict[str, Any] = {
    "tenant": ACME,
    "station": STATION,
    "gateway": GATEWAY,
    "reply_to": 3,
    "epoch": 7,
    "frame": Frame(),
    "message_id": '"s"',
}


def live(heard: Heard[Any]) -> Heard[Any]:
    """Return a message that is heard when it happens."""
    return replace(heard, heard_at=heard.event.at)


def status(word: str, minutes: float, *, evse: int = 1) -> Heard[Any]:
    return live(Heard(ConnectorStatusReported(at=at(minutes), evse=evse, connector=1, status=word, **COMMON), word))


def boot(minutes: float) -> Heard[Any]:
    return live(Heard(StationBooted(at=at(minutes), **COMMON), "boot"))


def tick(moment: datetime) -> Heard[Any]:
    return Heard(Ticked(at=moment), "tick")


GOING = (live(start()), decision(), live(meters(reading(3000, minutes=5))))


@pytest.mark.covers("C-060", "X-21", "X-23", "Q-68")
def test_a_session_on_a_free_connector_is_suspected_then_presumed_over_and_corrected_by_its_stop() -> None:
    log = Heeded(*GOING)
    suspected = only(log.hear(status("Available", 20)), SessionSuspected)
    assert (suspected.why, suspected.until, ghosts.deadline(log.state)) == ("free", at(30), at(30))
    events = log.hear(tick(at(30)))
    presumed = only(events, SessionPresumedEnded)
    assert (presumed.at, presumed.energy_wh, presumed.reason) == (at(5), 2000, "Ghost")
    assert presumed.flags == ("ghost", "review")
    assert len(log.all(ChargingOver)) == 1, "its token is free again"
    assert only(log.hear(live(stop())), SessionCorrected).energy_wh == 7000


@pytest.mark.covers("X-21")
def test_a_sign_of_life_takes_a_suspicion_back() -> None:
    for sign in (status("Charging", 25), live(meters(reading(3500, minutes=25)))):
        log = Heeded(*GOING, status("Available", 20))
        assert only(log.hear(sign), SessionAlive).until == at(25) + SILENCE
        assert log.hear(tick(at(30))) == []
        assert log.state.open[0].suspected == ""
    log = Heeded(*GOING, status("Available", 20))
    assert kinds(log.hear(live(meters(reading(3000, minutes=25))))) == ["ReadingsTaken"], "nothing flows"


@pytest.mark.covers("X-21", "X-27", "X-50")
def test_a_status_that_says_nothing_of_the_session_raises_no_suspicion() -> None:
    log = Heeded(*GOING)
    for said in (status("Available", -1), status("Available", 20, evse=2), status("Finishing", 20)):
        assert log.hear(said) == []
    assert log.hear(status("Charging", 21)) == []
    assert kinds(log.hear(status("Available", 22))) == ["SessionSuspected"]
    assert log.hear(status("Preparing", 23)) == [], "once is enough"


@pytest.mark.covers("X-21", "Q-74")
def test_after_a_boot_a_session_has_half_an_hour_to_be_heard_of() -> None:
    log = Heeded(*GOING, boot(20))
    assert log.one(SessionSuspected).until == at(50)
    assert kinds(log.hear(tick(at(50))))[0] == "SessionPresumedEnded"
    log = Heeded(*GOING, boot(20))
    assert kinds(log.hear(live(meters(reading(3000, minutes=25))))) == ["ReadingsTaken", "SessionAlive"]


@pytest.mark.covers("X-21")
def test_a_session_of_which_nothing_is_heard_for_days_is_presumed_over() -> None:
    log = Heeded(live(start()), decision())
    presumed = only(log.hear(tick(NOON + SILENCE)), SessionPresumedEnded)
    assert (presumed.reason, presumed.energy_wh, presumed.at) == ("Silent", None, NOON)
    assert log.state.open == ()
    assert ghosts.deadline(log.state) is None


def test_a_session_that_is_heard_of_is_looked_at_again_later() -> None:
    log = Heeded(*GOING)
    alive = only(log.hear(tick(NOON + SILENCE)), SessionAlive)
    assert alive.until == NOON + 2 * SILENCE
    assert kinds(log.hear(tick(NOON + 2 * SILENCE)))[0] == "SessionPresumedEnded"


def test_before_its_time_a_session_is_left_alone() -> None:
    log = Heeded(*GOING)
    assert kinds(log.hear(tick(NOON + SILENCE - timedelta(seconds=1)))) == ["MeterFellSilent"]


@pytest.mark.covers("X-21")
def test_a_session_without_a_reading_is_presumed_over_when_it_was_suspected() -> None:
    log = Heeded(live(start()), decision(), status("Available", 20))
    assert only(log.hear(tick(at(30))), SessionPresumedEnded).at == at(20)
