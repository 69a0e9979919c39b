import pytest

from contracts.reference import Habits
from services.gateway.liveness import Liveness, Look, liveness_of
from tests.gateway.stage import station

PINGED = Liveness(ping_every=45, silence=75)


def habits(**said: object) -> Liveness:
    return liveness_of(station("CP-1", heartbeat_s=60, habits=Habits(**said)), ping_s=45, pong_within_s=30)  # type: ignore[arg-type]


@pytest.mark.covers("T-60")
def test_a_station_that_is_silent_is_pinged_and_one_that_talks_is_not() -> None:
    assert PINGED.look(now=145, heard=100, pinged=0) == Look(ping=True, dead=False, again=30)
    assert PINGED.look(now=145, heard=130, pinged=0) == Look(ping=False, dead=False, again=30)
    assert PINGED.look(now=160, heard=100, pinged=145) == Look(ping=False, dead=False, again=15)


@pytest.mark.covers("T-60", "T-61", "C-026")
def test_a_station_that_answers_no_ping_is_dead_unless_it_says_something_else() -> None:
    assert PINGED.look(now=175, heard=100, pinged=145).dead
    assert not PINGED.look(now=175, heard=101, pinged=145).dead


@pytest.mark.covers("T-60")
def test_one_that_is_never_pinged_is_looked_at_when_it_would_be_dead() -> None:
    assert Liveness(0, 180).look(now=130, heard=100, pinged=0) == Look(ping=False, dead=False, again=150)


@pytest.mark.covers("T-60", "T-61", "Q-11", "C-026", "C-027")
def test_how_long_a_station_may_be_silent_is_a_matter_of_its_habits() -> None:
    assert habits() == Liveness(45, 75)
    assert habits(ping_s=20) == Liveness(20, 50)
    assert habits(ping_s=0) == Liveness(0, 180), "three heartbeats"
    assert habits(answers_pings=False) == Liveness(45, 180), "three heartbeats, or two pings and a while"
    assert habits(answers_pings=False, ping_s=100) == Liveness(100, 230)
