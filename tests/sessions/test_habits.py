"""Stations of all habits: however the meter of a session is told, its energy is what has flowed (X-41 to X-48)."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.sessions import EnergyDelivered, SessionEnded
from contracts.stations import Reading, Sample
from tests.sessions.says import Heeded, at, meters, only, start, stop, wh

STARTS = {"lifetime": (50_000, 987_654, 123_456_789), "zeroed": (0,), "mixed": (500_000, 99_999_999)}
"""Where registers stand at the start; mixed: the samples count from there, and the start and the stop do not (X-46)."""
SLIPS = (0, 5_000_000_000, 2**32 - 1)


def shown(value: int, dice: Random, *, by_phases: bool) -> list[Sample]:
    """Return a register as some stations show it."""
    if by_phases:
        first = dice.randint(0, value)
        parts = {"L1": first, "L2": value - first, "L3": 0}
        return [wh(part, phase=phase) for phase, part in parts.items()]
    return [dice.choice((wh(value), Sample(str(value)), Sample(f"{value / 1000:.3f}", unit="kWh")))]


def besides(value: int, begin: int, dice: Random) -> list[Sample]:
    """Return what else stands beside a register, and is none of it."""
    others = (
        wh(begin, context="Transaction.Begin"),
        wh(value + 5000, location="Inlet"),
        wh(17, measurand="Energy.Active.Export.Register"),
        Sample("OCMF|{}|{}", signed=True),
        Sample("7000", "Power.Active.Import", "W"),
    )
    return [other for other in others if dice.random() < 0.2]


class Told:
    """A session, told by a station."""

    def __init__(self, dice: Random, habit: str) -> None:
        self.dice, self.habit = dice, habit
        self.begin = dice.choice(STARTS[habit])
        self.log = Heeded(start(meter_wh=self.begin))
        self.minutes = self.flowed = 0
        self.kept: list[tuple[Reading, ...]] = []

    def pass_time(self) -> None:
        minutes = self.dice.choice((1, 5, 15))
        self.minutes += minutes
        self.flowed += self.dice.randint(0, 11_000 * minutes // 60)

    def measure(self) -> None:
        """Take a reading, which may be sent later, or sample by sample."""
        base = 0 if self.habit == "mixed" else self.begin
        value = base + self.flowed
        samples = shown(value, self.dice, by_phases=self.habit != "mixed" and self.dice.random() < 0.2)
        samples += besides(value, base, self.dice)
        self.dice.shuffle(samples)
        groups = [[sample] for sample in samples] if self.dice.random() < 0.2 else [samples]
        self.kept.append(tuple(Reading(at(self.minutes), tuple(group)) for group in groups))

    def send(self) -> None:
        """Send what was kept, in any order, and some of it twice."""
        if self.dice.random() < 0.3:
            self.dice.shuffle(self.kept)
        for number, readings in enumerate(self.kept):
            for _ in range(self.dice.choice((1, 1, 2))):
                self.log.hear(meters(*readings, report=f"{self.minutes} {number}"))
        self.kept = []

    def slip(self) -> None:
        """Show once what no register can show."""
        slip = Reading(at(self.minutes + 0.5), (wh(self.dice.choice(SLIPS)),))
        self.log.hear(meters(slip, report=f"{self.minutes} slip"))

    @property
    def told(self) -> int:
        return max((event.energy_wh for event in self.log.all(EnergyDelivered)), default=0)


@pytest.mark.covers("X-41", "X-45", "X-46", "X-47", "X-48", "C-064", "C-066", "C-068", "Q-90", "Q-92")
@given(st.sampled_from(sorted(STARTS)), st.integers(0, 12), st.integers(0, 2**32))
@settings(max_examples=300)
def test_however_its_meter_is_told_a_session_has_the_energy_that_flowed(habit: str, times: int, seed: int) -> None:
    session = Told(dice := Random(seed), habit)
    for _ in range(times):
        session.pass_time()
        session.measure()
        if dice.random() < 0.8:
            session.send()
        if habit != "mixed" and dice.random() < 0.1:
            session.slip()
        assert session.told <= session.flowed, "no more is told than has flowed"
    session.pass_time()
    data = [reading for readings in session.kept for reading in readings]
    register = session.begin + session.flowed
    ended = only(
        session.log.hear(stop(meter_wh=register, minutes=session.minutes, readings=data)),
        SessionEnded,
    )
    assert ended.energy_wh == session.flowed
