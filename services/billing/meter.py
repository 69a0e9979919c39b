"""What a session's samples come to: energy that only rises, and spells of charging and of standing idle.

Times are whole seconds since 1970, energies whole mWh; both exact (TAR-04, TAR-20 to TAR-24).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import Struct

from contracts.tariffs import Policy
from services.billing.restrictions import Instant

Kind = Literal["CHARGING", "PARKING", "GRACE"]

IDLE = frozenset({"SUSPENDED_EV", "SUSPENDEDEV", "FINISHING", "PARKING", "IDLE"})
"""The car asks for no power. A pause that the station or a load limit makes (SuspendedEVSE) is charging (OCPI erratum, TAR-22)."""
CONNECTED = frozenset({"OCCUPIED", "EV_CONNECTED", "EVCONNECTED"})
"""A car is there. That is idle after charging, and before it the beginning of it (TAR-22)."""
THROTTLED = "THROTTLED"
"""We ourselves allow less than the 6 A that a car needs: that time costs nothing, whatever the car wants (D-9, SMC-21)."""
END = "END"
IDLE_BELOW_MW = 100_000
"""Where a station names no state: less than 100 W, in mW …"""
IDLE_AFTER_S = 300
"""… for so long is idle."""
A_KWH = 1_000_000
MOST_MW = 4_000_000_000
"""More than 4 MW no connector gives (TAR-21)."""
FAST_MW = 400_000_000
"""More than 400 kW hardly any connector gives for long, and …"""
MOST_OF_A_CAR = 500 * A_KWH
"""… more than 500 kWh no car takes."""


class Sample(Struct, frozen=True):
    """What was known at `at`, and holds until the next one. `amps`: over all phases. `milliwatts`: as measured."""

    at: int
    mwh: int | None = None
    state: str | None = None
    amps: Fraction | None = None
    milliwatts: Fraction | None = None
    tariff: str | None = None


class Point(NamedTuple):
    """The energy of the session up to a moment; a fraction only where no register was read."""

    at: int
    mwh: Instant


class Spell(NamedTuple):
    """A stretch of one kind."""

    start: int
    end: int
    kind: Kind


class Measured(NamedTuple):
    """A session as it is priced."""

    samples: list[Sample]
    points: list[Point]
    spells: list[Spell]
    flags: tuple[str, ...]

    @property
    def start(self) -> int:
        return self.points[0].at

    @property
    def end(self) -> int:
        return self.points[-1].at

    @property
    def mwh(self) -> Instant:
        return self.points[-1].mwh


def measured(samples: Sequence[Sample], policy: Policy, *, relative: bool = False) -> Measured:
    """Return what samples in any order come to. Raises `ValueError` where there are none with energy."""
    ordered = sorted(samples, key=lambda sample: (sample.at, sample.state == END))
    ended = next((n for n, sample in enumerate(ordered) if sample.state == END), None)
    ordered = ordered if ended is None else ordered[: ended + 1]
    points, flags = _energy(ordered, policy, relative=relative)
    if ended is None and any(sample.state is not None for sample in ordered):
        flags.append("estimated_end")
    return Measured(ordered, points, list(_graced(_spells(ordered, points, policy), policy)), tuple(flags))


def most_of(policy: Policy) -> int:
    """Return the power in mW above which a rise of the register is no measurement (TAR-21)."""
    return int(policy.max_power_kw * 1_000_000 * Decimal("1.1")) if policy.max_power_kw else MOST_MW


def _energy(samples: list[Sample], policy: Policy, *, relative: bool) -> tuple[list[Point], list[str]]:
    """Return the energy at each sample: the sum of what the register rose by; a fall is a reset of the meter (TAR-21)."""
    most = most_of(policy)
    shown = [sample for sample in samples if sample.mwh is not None]
    if not shown:
        raise ValueError("no sample says an energy")
    base = shown[0]
    flags: dict[str, None] = {}
    if not relative and (shown[0].at > samples[0].at or shown[-1].at < samples[-1].at):
        flags["energy_incomplete"] = None  # what nobody read is not 0
    if not relative and _is_placeholder(shown, most):
        base = next(sample for sample in shown if sample.mwh)
        flags["zero_placeholder"] = None
    points: list[Point] = []
    register: int | None = None
    total = since = 0
    for sample in samples:
        if sample.mwh is not None and (register is not None or sample is base):
            risen = 0 if register is None else sample.mwh - register
            if risen < 0:
                flags["meter_reset"] = None
            else:
                if risen > A_KWH and risen * 3600 > most * max(sample.at - since, 1):
                    flags["implausible_energy"] = None
                total += risen
            register, since = sample.mwh, sample.at
        points.append(Point(sample.at, total))
    return _joined(samples, points), list(flags)


def _is_placeholder(shown: list[Sample], most: int) -> bool:
    """Return whether a session begins with zeros that stand for no register (TAR-21).

    The register behind them is then one of a lifetime: it cannot have been reached since, or dwarfs all that follows and is more than
    a car takes. A car that took 60 kWh in an hour and then stood idle is none.
    """
    rest = [sample for sample in shown if sample.mwh]
    if shown[0].mwh != 0 or not rest:
        return False
    first, last = rest[0], max(sample.mwh or 0 for sample in rest)
    height, since = first.mwh or 0, first.at - next(s.at for s in reversed(shown) if s.at <= first.at and not s.mwh)
    if height * 3600 > min(most, 1_000_000_000) * max(since, 1) and height > A_KWH:
        return True
    is_fast = height > 50 * A_KWH and height * 3600 > FAST_MW * max(since, 1)
    return len(rest) > 1 and height > 20 * (last - height) and (is_fast or height > MOST_OF_A_CAR)


def _joined(samples: list[Sample], points: list[Point]) -> list[Point]:
    """Return the points, where a sample without energy lies exactly on the line between its neighbours."""
    known = [n for n, sample in enumerate(samples) if sample.mwh is not None]
    if len(known) == len(samples):
        return points
    joined = list(points)
    for left, right in pairwise(known):
        (t0, e0), (t1, e1) = points[left], points[right]
        for n in range(left + 1, right):
            at = points[n].at
            joined[n] = Point(at, e0 + Fraction((e1 - e0) * (at - t0), t1 - t0) if t1 > t0 else e0)
    return joined


def _spells(samples: list[Sample], points: list[Point], policy: Policy) -> Iterator[Spell]:
    """Yield charging and idle spells; what is idle for too short a time is charging (TAR-22, TAR-23)."""
    unnamed = all(sample.state in {None, END} for sample in samples)
    shortest = max(policy.idle_debounce_s, IDLE_AFTER_S) if unnamed else policy.idle_debounce_s
    runs = _merged(_by_power(samples, points) if unnamed else _by_state(samples))
    debounced = (
        Spell(run.start, run.end, "CHARGING") if run.kind == "PARKING" and run.end - run.start < shortest else run
        for run in runs
    )
    yield from _merged(debounced)


def _by_state(samples: list[Sample]) -> Iterator[Spell]:
    """Yield what lies between the samples that name a state; before the first it is none, which is charging."""
    named = [(sample.at, sample.state.upper()) for sample in samples if sample.state is not None]
    has_charged = False
    for (at, state), (then, _) in pairwise([(samples[0].at, ""), *named, (samples[-1].at, END)]):
        has_charged = has_charged or bool(state and state not in CONNECTED)
        yield Spell(at, then, _kind(state, has_charged=has_charged))


def _kind(state: str, *, has_charged: bool) -> Kind:
    if state == THROTTLED:
        return "GRACE"
    return "PARKING" if state in IDLE or (state in CONNECTED and has_charged) else "CHARGING"


def _by_power(samples: list[Sample], points: list[Point]) -> Iterator[Spell]:
    for sample, (t0, e0), (t1, e1) in zip(samples, points, points[1:], strict=False):
        drawn = Fraction((e1 - e0) * 3600, t1 - t0) if t1 > t0 else Fraction(0)
        power = drawn if sample.milliwatts is None else sample.milliwatts
        yield Spell(t0, t1, "PARKING" if power < IDLE_BELOW_MW else "CHARGING")


def _merged(runs: Iterator[Spell]) -> Iterator[Spell]:
    last: Spell | None = None
    for run in runs:
        if run.end <= run.start:
            continue
        if last is not None and last.kind == run.kind and last.end == run.start:
            last = Spell(last.start, run.end, run.kind)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _graced(spells: Iterator[Spell], policy: Policy) -> Iterator[Spell]:
    """Yield the spells with the first seconds of each idle one for free (TAR-24)."""
    for spell in spells:
        if spell.kind != "PARKING" or not policy.idle_grace_s:
            yield spell
            continue
        until = min(spell.end, spell.start + policy.idle_grace_s)
        yield Spell(spell.start, until, "GRACE")
        if until < spell.end:
            yield Spell(until, spell.end, "PARKING")
