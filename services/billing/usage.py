"""What a session used, as it is remembered: as little as gives the same bill.

A moment is kept only where a price, or what the connector does, may change beside it. Between two moments energy lies on a straight
line, so those on the line add nothing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from contracts.bills import SessionMeasured, Usage
from contracts.tariffs import Policy, Tariff
from services.billing.meter import END, IDLE_BELOW_MW, Sample, most_of
from services.billing.restrictions import Calendar, clock_seconds, rule_of
from services.billing.tariff import Session

NOTED_EVERY_S = 60
"""Away from any boundary, an energy is noted so often."""


def seconds(moment: datetime) -> int:
    """Return whole seconds since 1970."""
    return int(moment.timestamp())


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def session_of(usage: Sequence[Usage], zone: str, policy: Policy) -> Session:
    """Return what is priced. Its energies are the session's own, from 0."""
    samples = tuple(
        Sample(seconds(each.at), None if each.energy_wh is None else each.energy_wh * 1000, each.state)
        for each in usage
    )
    return Session(ZoneInfo(zone), samples, policy=policy, relative=True)


class Boundaries:
    """Where the prices of a tariff may change, and what a policy takes for no measurement."""

    def __init__(self, tariff: Tariff, zone: str, started: int, policy: Policy) -> None:
        rules = [rule for element in tariff.elements if (rule := rule_of(element.restrictions)) is not None]
        self._seconds, self._zone, self._started = clock_seconds(rules), ZoneInfo(zone), started
        self._durations = {limit for rule in rules for limit in rule.duration if limit}
        self._energies = {limit for rule in rules for limit in rule.mwh if limit}
        self._most = most_of(policy)
        self._powers = sorted({limit for rule in rules for limit in rule.milliwatts if limit is not None})

    @property
    def follows_power(self) -> bool:
        """Tell whether a price depends on how fast a car charges."""
        return bool(self._powers)

    def stage(self, before: Usage, after: Usage) -> int | None:
        """Return within which limits the power lies between two energies; None: such a rise has to be seen. Two of one stage, joined,
        stay in it.
        """
        risen, passed = _risen(before, after) * 3600, seconds(after.at) - seconds(before.at)
        if risen > self._most * max(passed, 1):
            return None
        if not self._powers:
            return 0
        return bisect_right(self._powers, Fraction(risen, passed)) if passed > 0 else None

    def between(self, first: int, last: int, mwh_first: int, mwh_last: int) -> bool:
        """Return whether a price may change in a stretch, its ends among it, though the power stays as it is."""
        if any(first <= self._started + duration <= last for duration in self._durations):
            return True
        if any(mwh_first <= energy <= mwh_last for energy in self._energies):
            return True
        if not self._seconds:
            return False
        return any(first <= at <= last for at in Calendar(self._zone, first - 1, last + 1).instants(self._seconds))


def is_worth_noting(usage: Sequence[Usage], new: Usage, boundaries: Boundaries) -> bool:
    """Return whether the running cost should follow now, or may wait for the next energy."""
    if new.energy_wh is None or not usage:
        return True
    last = max((each for each in usage if each.energy_wh is not None), key=lambda each: each.at, default=None)
    if last is None or last.energy_wh is None:
        return True
    since, at = seconds(last.at), seconds(new.at)
    if at - since >= NOTED_EVERY_S or at <= since:
        return True
    ahead = new.energy_wh + max(new.energy_wh - last.energy_wh, 0)
    return boundaries.follows_power or boundaries.between(
        since, at + NOTED_EVERY_S, last.energy_wh * 1000, ahead * 1000
    )


def used_by(usage: Sequence[Usage], measured: SessionMeasured) -> tuple[Usage, ...]:
    """Return what was used by a session that is over. Where it began at another time, so were the moments between: they say nothing."""
    if measured.started_at is not None:
        return Usage(measured.started_at, 0), *measured.usage
    return *(each for each in usage if each.state != END), *measured.usage


def thinned(usage: Sequence[Usage], boundaries: Boundaries) -> tuple[Usage, ...]:
    """Return the moments that matter, in order: the others change no bill (its property is tested)."""
    ordered = sorted(dict.fromkeys(usage), key=lambda each: (each.at, each.state == END))
    kept: list[Usage] = []
    for n, each in enumerate(ordered):
        if kept and n + 1 < len(ordered) and _is_between(kept[-1], each, ordered[n + 1], boundaries):
            continue
        kept.append(each)
    return tuple(kept)


def _risen(before: Usage, after: Usage) -> int:
    """Return how many mWh were used between two energies."""
    assert before.energy_wh is not None
    assert after.energy_wh is not None
    return (after.energy_wh - before.energy_wh) * 1000


def _draws(before: Usage, after: Usage) -> bool:
    """Return whether the car draws power between two moments: where no state is named, that tells what is idle."""
    risen, passed = _risen(before, after), seconds(after.at) - seconds(before.at)
    return risen * 3600 >= IDLE_BELOW_MW * passed


def _is_between(before: Usage, each: Usage, after: Usage, boundaries: Boundaries) -> bool:
    """Return whether a moment lies in the middle of one price, so that its neighbours say all that it does."""
    if each.state is not None or None in {each.energy_wh, before.energy_wh, after.energy_wh}:
        return False
    energies = [one.energy_wh for one in (before, each, after) if one.energy_wh is not None]
    if any(left > right for left, right in pairwise(energies)) or _draws(before, each) != _draws(each, after):
        return False
    stages = {boundaries.stage(before, each), boundaries.stage(each, after)}
    if len(stages) > 1 or None in stages:
        return False
    return not boundaries.between(seconds(before.at), seconds(after.at), energies[0] * 1000, energies[-1] * 1000)
