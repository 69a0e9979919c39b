"""The meter of a session: from what its register has shown to the energy, exactly. Whole Wh, never a float (X-45 to X-48).

The register is followed from sample to sample, and only its rises count. That is right whether it counts for a lifetime or
from the session's start, runs over its last digit, or begins anew; one that shows less for a moment only has not begun anew.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from contracts.sessions import EnergySource
from contracts.stations import Reading
from services.sessions.samples import Register, intervals, ms, powers, registers

NOISE = 10
"""Wh: a register that falls by less has not fallen (Q-97)."""
DIGITS = (2**32, 10**9)
"""Where registers begin at 0 again: 32 bits, and 10^6 kWh (Q-80)."""
ROUND_THE_CORNER = 500_000
"""Wh before and after that count as running over the last digit."""
MOST_W = 1_000_000
"""What a connector can deliver, where the directory does not say."""
CERTAIN_WH = 200_000
"""More than a car takes: where no time tells, a register that jumps from 0 by that much had not been known."""
THOUSANDFOLD = 300
"""From this factor on, kWh and Wh may be mistaken for one another (Q-88)."""
SOON_WH = 20_000
"""More than flows until the next sample, mostly."""
OLDEST_SHOWN_S = 3600
"""What a station shows of its register may be so old."""
LONGEST_GAP_S = 900
"""A power is taken to last until the next sample, at most so long."""


class Meter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a session's meter: where it began, where it was seen last, and what it has counted in between."""

    start_missing: bool = False
    start_wh: int | None = None
    register_wh: int | None = None
    """The highest since the register last began anew."""
    told_wh: int | None = None
    """The energy that has been told of the session so far."""
    max_w: int | None = None
    """What its connector can deliver."""
    read_ms: int | None = None
    """When the newest register was read."""
    base_wh: int | None = None
    """Where the register began anew; None: it is still that of the start."""
    gained_wh: int = 0
    """What it had counted before it began anew."""
    fallen: tuple[int, int, int] | None = None
    """(base, register, gained) of before a fall, until the next sample tells whether it was one."""
    leapt: tuple[int, int, int] | None = None
    """The same of before a rise that cannot be."""
    outlet: bool = False
    """The register of the outlet has been read: that of another place does not count (X-48)."""
    relative: bool = False
    """The samples count from the session's start, unlike the registers of its start and stop (X-46)."""
    interval_wh: int | None = None
    interval_ms: int | None = None
    power_w: int | None = None
    power_ms: int | None = None
    power_ws: int = 0
    """Watt-seconds, by the samples of power."""
    meter_flags: tuple[str, ...] = ()

    @property
    def base(self) -> int:
        """Where the register counts from."""
        return self.base_wh if self.base_wh is not None else self.start_wh or 0

    @property
    def shown_wh(self) -> int | None:
        """What the register shows now. What may have been a slip does not count."""
        before = self.fallen or self.leapt
        return self.register_wh if before is None else before[1]

    @property
    def energy_wh(self) -> int | None:
        """The energy that the samples show; None if nobody knows."""
        if self.start_wh is None or self.register_wh is None:
            return self.interval_wh
        return self.gained_wh + self.register_wh - self.base

    @property
    def told(self) -> int | None:
        """The energy that has been told; a state of former times names the registers only."""
        if self.told_wh is None and self.register_wh is not None and self.start_wh is not None:
            return self.register_wh - self.start_wh if self.read_ms is None else None
        return self.told_wh

    @property
    def source(self) -> EnergySource:
        """What `energy_wh` was taken from."""
        if self.start_wh is None or self.register_wh is None:
            return "" if self.interval_wh is None else "intervals"
        if self.relative:
            return "relative"
        return "register" if self.base_wh is None else "samples"


M = TypeVar("M", bound=Meter)


def flagged(meter: M, flag: str) -> M:
    return meter if flag in meter.meter_flags else replace(meter, meter_flags=(*meter.meter_flags, flag))


class Energy(NamedTuple):
    """What a session comes to at its end. None is what nobody knows."""

    meter_wh: int | None
    energy_wh: int | None
    source: EnergySource = ""
    flags: tuple[str, ...] = ()


def known(meter_wh: int | None) -> int | None:
    """Return a register that a station named, unless it is the -1 that some send for none."""
    return None if meter_wh is None or meter_wh < 0 else meter_wh


def limit_wh(max_w: int | None, seconds: float | None) -> int:
    """Return more than a connector can have delivered in that time (X-45); where nobody says what it can, much more."""
    if seconds is None or seconds <= 0:
        return CERTAIN_WH
    if max_w is None:
        return max(CERTAIN_WH, MOST_W * int(seconds) * 12 // 36_000)
    return max_w * int(seconds) * 12 // 36_000 + 2000


def wrapped(before_wh: int, after_wh: int) -> int | None:
    """Return what a register counted that ran over its last digit; None if that cannot be."""
    for digits in DIGITS:
        if 0 < digits - before_wh <= ROUND_THE_CORNER and after_wh <= ROUND_THE_CORNER:
            return digits - before_wh + after_wh
    return None


# ---- samples ---------------------------------------------------------------------------------------------------------


def watched(meter: M, readings: Sequence[Reading], since: datetime) -> M:
    """Return the meter after normalised `readings` of a session that began at `since`."""
    pending = deque(intervals(readings))
    for shown in registers(readings):
        while pending and pending[0].at <= shown.at:
            meter = _counted(meter, pending.popleft())
        meter = _shown(meter, shown, since)
    for interval in pending:
        meter = _counted(meter, interval)
    for power in powers(readings):
        meter = _drawn(meter, power)
    return meter


def _shown(meter: M, shown: Register, since: datetime) -> M:
    if meter.outlet and not shown.outlet:
        return meter
    if meter.start_wh is None:
        if shown.at < since:
            return meter
        if shown.begin:
            return replace(meter, start_wh=shown.wh)
        return replace(_begun(meter, shown), outlet=shown.outlet)
    if shown.begin or (meter.read_ms is not None and ms(shown.at) < meter.read_ms and not _is_set_back(meter, shown)):
        return meter
    since_start = (shown.at - since).total_seconds()
    most = _rise_wh(meter.max_w, since_start if meter.read_ms is None else (ms(shown.at) - meter.read_ms) / 1000)
    meter = replace(meter, read_ms=ms(shown.at), outlet=shown.outlet)
    if meter.register_wh is None:
        meter = _first(meter, shown, limit_wh(meter.max_w, since_start))
        if meter.start_wh == 0:
            most = limit_wh(meter.max_w, since_start)
    return meter if meter.register_wh is None else _risen(meter, shown.wh, most)


def _rise_wh(max_w: int | None, seconds: float) -> int:
    """Return more than a register can have risen by since it was shown last: what it shows may be an hour old."""
    return limit_wh(max_w, seconds if max_w is None or seconds <= 0 else max(seconds, OLDEST_SHOWN_S))


def _is_set_back(meter: Meter, shown: Register) -> bool:
    """Return whether the clock has been set back: a register that has risen is none of former times (X-43)."""
    has_begun_anew = meter.base_wh is not None and not meter.relative
    if has_begun_anew or meter.fallen is not None or meter.leapt is not None:
        return False
    return meter.register_wh is not None and shown.wh >= meter.register_wh + NOISE


def _begun(meter: M, shown: Register) -> M:
    """Return the meter with the first register of a session that named none at its start: less what intervals have told before.

    A register of before the newest interval cannot be told from it: the next one speaks. One that has counted less than the
    intervals has begun anew in between.
    """
    at, before = ms(shown.at), meter.interval_wh or 0
    if meter.interval_ms is not None and at < meter.interval_ms:
        return meter
    begun = replace(meter, start_wh=max(0, shown.wh - before), register_wh=shown.wh, read_ms=at)
    if shown.wh >= before:
        return begun
    return flagged(replace(begun, gained_wh=before, base_wh=shown.wh), "meter_reset")


def _first(meter: M, shown: Register, most: int) -> M:
    """Return the meter with its first sample compared with the register at the start (X-46)."""
    start = meter.start_wh or 0
    if shown.wh * 2 <= start and shown.wh <= most and wrapped(start, shown.wh) is None:
        if start - 500 <= shown.wh * 1000 <= start + most:
            return meter  # it may be the register of the start in kWh: the next one speaks
        return replace(meter, relative=True, base_wh=0, register_wh=0)
    return replace(meter, register_wh=start)


def _risen(meter: M, wh: int, most: int | None = None) -> M:
    """Return the meter with the next register, which cannot have risen by more than `most` Wh."""
    meter = _landed(meter, wh, most)
    register = meter.register_wh if meter.register_wh is not None else meter.base
    if wh <= register - NOISE:
        return _fallen(meter, register, wh)
    if meter.fallen is not None:
        base, high, gained = meter.fallen
        if register == meter.base and wh > high - NOISE:  # it was only a slip
            meter, register = _as_before(meter, base, high, gained), high
        elif wh > register:
            meter = flagged(replace(meter, fallen=None), "meter_reset")
    if most is not None and _was_no_zero(meter, wh, most):
        return _risen(replace(meter, relative=False, base_wh=None, register_wh=meter.start_wh), wh, most)
    if most is not None and wh - register > most:
        gained = meter.gained_wh + register - meter.base
        before = meter.base, register, meter.gained_wh
        return replace(meter, gained_wh=gained, base_wh=wh, register_wh=wh, leapt=before)
    return replace(meter, register_wh=max(register, wh))


def _was_no_zero(meter: Meter, wh: int, most: int) -> bool:
    """Return whether the register goes on from the start's, where 0 had made it look as if it counted from there."""
    if not meter.relative or (meter.gained_wh, meter.base_wh, meter.register_wh) != (0, 0, 0):
        return False
    return wh >= (meter.start_wh or 0) - NOISE and wh > min(most, SOON_WH)


def _as_before(meter: M, base: int, register: int, gained: int) -> M:
    """Return the meter as it was before a slip."""
    whole = None if (gained, base) == (0, meter.start_wh) else base
    return replace(meter, fallen=None, leapt=None, base_wh=whole, gained_wh=gained, register_wh=register)


def _landed(meter: M, wh: int, most: int | None) -> M:
    """Return the meter after a rise that cannot be: a register that goes on from there is another, and its rises count.

    It is the same where it rose from 0: that had stood for a register that the station did not know.
    """
    if meter.leapt is None or meter.register_wh is None or abs(wh - meter.register_wh) < NOISE:
        return meter
    if wh < meter.register_wh:
        return _as_before(meter, *meter.leapt)
    if most is not None and wh - meter.register_wh > most:
        return replace(meter, base_wh=wh, register_wh=wh)
    return _gone_on(meter)


def _gone_on(meter: M) -> M:
    if meter.start_wh == 0 and meter.leapt == (0, 0, 0):
        begun = replace(meter, start_wh=meter.register_wh, base_wh=None, leapt=None)
        return flagged(begun, "meter_start_placeholder")
    return flagged(replace(meter, leapt=None), "implausible")


def _fallen(meter: M, register: int, wh: int) -> M:
    over = wrapped(register, wh)
    if over is not None:
        counted = meter.gained_wh + register - meter.base + over - wh
        return flagged(replace(meter, gained_wh=counted, base_wh=0, register_wh=wh, fallen=None), "meter_wrapped")
    before = meter.fallen or (meter.base, register, meter.gained_wh)
    gained = meter.gained_wh + register - meter.base
    return replace(meter, gained_wh=gained, base_wh=wh, register_wh=wh, fallen=before)


def _counted(meter: M, interval: Register) -> M:
    """Return the meter with the energy of one interval: each counts once, and none without its time."""
    at = ms(interval.at)
    if meter.interval_ms is not None and at <= meter.interval_ms:
        return meter
    return replace(meter, interval_wh=(meter.interval_wh or 0) + interval.wh, interval_ms=at)


def _drawn(meter: M, power: Register) -> M:
    at, before = ms(power.at), meter.power_ms
    if before is not None and at <= before:
        return meter
    seconds = 0 if before is None else min((at - before) // 1000, LONGEST_GAP_S)
    return replace(meter, power_ws=meter.power_ws + (meter.power_w or 0) * seconds, power_w=power.wh, power_ms=at)


# ---- the end ---------------------------------------------------------------------------------------------------------


def ended(meter: Meter, stop_wh: int | None, lasted: timedelta | None) -> Energy:
    """Return what a session comes to with the register at its stop, or without one. `lasted` None: no clock tells."""
    if stop_wh is not None and meter.leapt is not None and stop_wh > (meter.register_wh or 0) - NOISE:
        meter = _gone_on(meter)
    found = _without_stop(meter) if stop_wh is None else _with_stop(meter, stop_wh, lasted)
    flags = list(dict.fromkeys([*meter.meter_flags, *found.flags, *_units(meter, found)]))
    if {"meter_went_back", "implausible", "unit_suspect"} & set(flags):
        flags.append("review")
    return found._replace(flags=tuple(flags))


def _without_stop(meter: Meter) -> Energy:
    shown = None if meter.relative else meter.shown_wh
    return Energy(shown, meter.energy_wh, meter.source, ("meter_stop_missing",))


def _with_stop(meter: Meter, stop_wh: int, lasted: timedelta | None) -> Energy:
    start = meter.start_wh
    if start is None:
        return Energy(stop_wh, meter.energy_wh, meter.source)
    over = wrapped(start, stop_wh)
    if over is not None and stop_wh < start:
        return Energy(stop_wh, over, "register", ("meter_wrapped",))
    if stop_wh <= start - NOISE:
        return _went_back(meter, stop_wh)
    energy = max(0, stop_wh - start)
    samples = meter.energy_wh
    if samples is not None and samples >= NOISE > energy:
        return Energy(stop_wh, samples, _of_samples(meter), ("meter_stop_is_start",))
    most = None if lasted is None or lasted <= timedelta(0) else limit_wh(meter.max_w, lasted.total_seconds())
    if "meter_reset" in meter.meter_flags and not meter.relative:
        rises = _risen(meter, stop_wh).energy_wh or 0
        if most is None or rises <= most or energy > most:
            flags = ("implausible",) if most is not None and rises > most else ()
            return Energy(stop_wh, rises, "samples", (*flags, *_below(meter, stop_wh)))
        return Energy(stop_wh, energy, "register", ("implausible", *_below(meter, stop_wh)))
    if "implausible" in meter.meter_flags and energy - (samples or 0) > CERTAIN_WH:
        return Energy(stop_wh, _risen(meter, stop_wh).energy_wh, "samples", _below(meter, stop_wh))
    if most is not None and energy > most:
        if samples is not None and NOISE <= samples <= most:
            return Energy(stop_wh, samples, _of_samples(meter), ("implausible",))
        return Energy(stop_wh, energy, "register", ("implausible",))
    return Energy(stop_wh, energy, "register", _below(meter, stop_wh))


def _went_back(meter: Meter, stop_wh: int) -> Energy:
    """Return what the samples say where the stop lies below the start: the sum of the rises, or nothing (C-063)."""
    last = meter if meter.register_wh is None else _risen(meter, stop_wh)
    energy = last.energy_wh or None
    flags = (
        "meter_went_back",
        *_below(meter, stop_wh),
        *(["meter_reset"] if "meter_reset" in last.meter_flags else []),
    )
    return Energy(stop_wh, energy, "" if energy is None else _of_samples(last), flags)


def _of_samples(meter: Meter) -> EnergySource:
    return "samples" if meter.source == "register" else meter.source


def _below(meter: Meter, stop_wh: int) -> tuple[str, ...]:
    shown = meter.shown_wh
    return ("below_last_register",) if shown is not None and not meter.relative and stop_wh <= shown - NOISE else ()


def _units(meter: Meter, found: Energy) -> list[str]:
    """Return whether an energy is a thousand times another one that should be the same."""
    others = (meter.power_ws // 3600, 0 if meter.register_wh is None else meter.energy_wh or 0, _leapt_wh(meter))
    energy = found.energy_wh or 0
    unread = meter.read_ms is not None and meter.start_wh is not None and meter.register_wh is None
    return ["unit_suspect"] if unread or any(_thousandfold(energy, other) for other in others) else []


def _leapt_wh(meter: Meter) -> int:
    """Return the energy that a rise would come to that cannot be, if it was the last that was heard."""
    if meter.leapt is None or meter.register_wh is None:
        return 0
    base, _, gained = meter.leapt
    return gained + meter.register_wh - base


def _thousandfold(one_wh: int, other_wh: int) -> bool:
    less, more = sorted((one_wh, other_wh))
    return less > 0 and more >= 1000 and more >= THOUSANDFOLD * less
