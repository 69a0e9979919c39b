"""What the samples of a meter say, in our units: whole Wh, never a float; and which of them have been heard before."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec
from msgspec.structs import replace

from contracts.event import Instant, TransactionId
from contracts.stations import Reading, Sample

REGISTER = "Energy.Active.Import.Register"
SCALES = {
    "Energy.Active": ("Wh", {"": 0, "wh": 0, "kwh": 3, "mwh": 6}),
    "Power.Active": ("W", {"": 0, "w": 0, "kw": 3, "mw": 6}),
    "Power.Offered": ("W", {"": 0, "w": 0, "kw": 3, "mw": 6}),
}
"""By the beginning of a measurand: our unit, and the power of ten from the station's, however it is spelt (OCPP 1.6 §7.45)."""
RANKS = {
    "Transaction.End": 0,
    "Sample.Periodic": 1,
    "Sample.Clock": 2,
    "Trigger": 3,
    "Interruption.End": 4,
    "Interruption.Begin": 5,
    "Other": 6,
    "Transaction.Begin": 7,
}
"""Which context speaks for a register, the best first: some stations repeat the begin in every reading (X-48)."""
BEGIN = "Transaction.Begin"
INTERVAL = "Energy.Active.Import.Interval"
POWER = "Power.Active.Import"
PHASES = ("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N")
SERIES = 32
"""Series per session whose newest time is remembered: an ordinary station has about ten, and each takes 24 bytes."""
LONGEST = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


Readings = tuple[Reading, ...]


class Register(NamedTuple):
    """What the energy register showed at a moment. `begin`: what it had shown at the start of the transaction."""

    at: datetime
    wh: int
    begin: bool = False
    outlet: bool = True
    """It is that of the outlet: another may count what the station itself takes."""


class Best(NamedTuple):
    """What a reading shows of a measurand, by the sample that speaks for it."""

    context: str
    location: str
    wh: int


def normalised(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Return `readings` in our units. A sample that is no number is left out, signed data is untouched."""
    normal = (Reading(reading.at, tuple(filter(None, map(_normal, reading.samples)))) for reading in readings)
    return tuple(reading for reading in normal if reading.samples)


def _normal(sample: Sample) -> Sample | None:
    if sample.signed or (scale := _scale(sample.measurand)) is None:
        return sample
    unit, powers = scale
    if sample.unit == "Wh" == unit and _is_whole(sample.value):
        return sample
    power = powers.get(sample.unit.strip().casefold())
    if power is None:
        return sample
    if (value := _number(sample.value)) is None:
        return None
    value = value.scaleb(power)
    return replace(sample, value=str(round(value)) if unit == "Wh" else _plain(value), unit=unit)


@lru_cache(1024)
def _scale(measurand: str) -> tuple[str, dict[str, int]] | None:
    return next((scale for start, scale in SCALES.items() if measurand.startswith(start)), None)


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 15


def _number(value: str) -> Decimal | None:
    """Return the number that `value` says, unless it is none, or none that a meter could show."""
    if len(value) > LONGEST:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and -15 <= number.adjusted() <= 12 else None


def _plain(value: Decimal) -> str:
    return f"{value.to_integral_value() if value == value.to_integral_value() else value.normalize():f}"


def known(meter_wh: int | None) -> int | None:
    """Return a register that a station named, unless it is the -1 that some send for none."""
    return None if meter_wh is None or meter_wh < 0 else meter_wh


def registers(readings: Sequence[Reading]) -> list[Register]:
    """Return the import register in each of normalised `readings`, in order of time."""
    return sorted(
        (
            Register(at, best.wh, best.context == BEGIN, best.location == "Outlet")
            for at, best in _each_best(readings, REGISTER)
        ),
        key=lambda shown: (shown.at, not shown.outlet, shown.wh),
    )


def intervals(readings: Sequence[Reading]) -> list[Register]:
    """Return the energy of the interval that ends with each of normalised `readings`, in order of time."""
    return sorted(Register(at, best.wh) for at, best in _each_best(readings, INTERVAL))


def powers(readings: Sequence[Reading]) -> list[Register]:
    """Return the power drawn in each of normalised `readings`, in whole W and in order of time."""
    found = ((reading.at, _power(reading)) for reading in readings)
    return sorted(Register(at, watts) for at, watts in found if watts is not None)


def _each_best(readings: Sequence[Reading], measurand: str) -> list[tuple[datetime, Best]]:
    """Return what each of `readings` shows; the phases of one moment may have come as readings of their own (Q-92)."""
    found, apart = [], defaultdict[datetime, list[Sample]](list)
    for reading in readings:
        fit = [sample for sample in reading.samples if _is_energy(sample, measurand)]
        if (best := _best(fit)) is not None:
            found.append((reading.at, best))
        elif fit:
            apart[reading.at] += fit
    whole = {at for at, best in found if best.location == "Outlet" and best.context != BEGIN} if apart else set()
    joined = ((at, _best(fit)) for at, fit in apart.items() if at not in whole)
    return found + [(at, best) for at, best in joined if best is not None]


def _best(fit: Sequence[Sample]) -> Best | None:
    """Return what some samples of one moment show: of now rather than of the begin, and of the outlet if they can (X-48)."""
    if len(fit) == 1:
        return _total(fit)
    groups: dict[tuple[bool, bool], list[Sample]] = {}
    for sample in fit:
        groups.setdefault((sample.context == BEGIN, sample.location != "Outlet"), []).append(sample)
    return next(filter(None, (_total(groups[kind]) for kind in sorted(groups))), None)


def _total(fit: Sequence[Sample]) -> Best | None:
    """Return the total that some samples name; else the sum of the phases, if all are there (Q-92)."""
    if totals := [sample for sample in fit if sample.phase is None]:
        total = min(totals, key=_rank)
        return Best(total.context, total.location, int(total.value))
    for phases in PHASES:
        kinds = {(s.context, s.location) for s in fit if s.phase == phases[0]}
        for context, location in sorted(kinds, key=lambda kind: (_rank_of(kind[0]), *kind)):
            each = {s.phase: int(s.value) for s in fit if (s.context, s.location) == (context, location)}
            if all(phase in each for phase in phases):
                return Best(context, location, sum(each[phase] for phase in phases))
    return None


def _is_energy(sample: Sample, measurand: str) -> bool:
    return sample.measurand == measurand and sample.unit == "Wh" and not sample.signed and _is_whole(sample.value)


def _power(reading: Reading) -> int | None:
    fit = (s for s in reading.samples if s.measurand == POWER and s.unit == "W" and s.phase is None and not s.signed)
    best = min(fit, key=lambda sample: sample.location != "Outlet", default=None)
    number = None if best is None else _number(best.value)
    return None if number is None or number < 0 else int(number)


def _rank(sample: Sample) -> int:
    return _rank_of(sample.context)


def _rank_of(context: str) -> int:
    """Return how well a context speaks for a register: a word that OCPP has not says no more than Other (Q-91)."""
    return RANKS.get(context, RANKS["Other"])


def digest(evse: int, connector: int, transaction: TransactionId | None, readings: Sequence[Reading]) -> bytes:
    """Return 8 bytes that tell a `MetersRead` from any other, and not from its own repetition."""
    return blake2b(msgspec.json.encode((evse, connector, transaction, readings)), digest_size=8).digest()


def newest(readings: Sequence[Reading]) -> Instant:
    """Return when the newest of some readings was taken."""
    return max(reading.at for reading in readings)


def unheard(
    readings: Sequence[Reading], newest: Mapping[str, int], heard: Container[int] | None = None, session: str = ""
) -> tuple[Reading, ...]:
    """Return what of `readings` has not come as MeterValues already (X-41).

    That is what is newer than the newest of its series, and, where every mark of the session is still in `heard`, what is
    older and has none: it was measured while nothing could be sent.
    """

    def is_fresh(sample: Sample, at: int) -> bool:
        series = _series(sample)
        if newest.get(series, -1) < at:
            return True
        return heard is not None and _mark(session, series, at) not in heard

    fresh = (
        Reading(reading.at, tuple(s for s in reading.samples if is_fresh(s, ms(reading.at)))) for reading in readings
    )
    return tuple(reading for reading in fresh if reading.samples)


def marked(session: str, readings: Sequence[Reading]) -> bytes:
    """Return 4 bytes for each sample of a session, so that it is known when it comes again."""
    return b"".join(
        _mark(session, _series(sample), ms(reading.at)).to_bytes(4, "big")
        for reading in readings
        for sample in reading.samples
    )


def marks(marked: bytes) -> frozenset[int]:
    return frozenset(int.from_bytes(marked[at : at + 4], "big") for at in range(0, len(marked), 4))


def _mark(session: str, series: str, at: int) -> int:
    return crc32(f"{session}{series}{at}".encode())


def renewed(newest: Mapping[str, int], readings: Sequence[Reading]) -> dict[str, int]:
    """Return the newest time of each series, now that `readings` have been heard."""
    times = dict(newest)
    for reading in readings:
        at = ms(reading.at)
        for series in map(_series, reading.samples):
            if series in times or len(times) < SERIES:
                times[series] = max(at, times.get(series, at))
    return times


def _series(sample: Sample) -> str:
    return _short(sample.measurand, sample.phase, sample.context, sample.location, sample.signed)


@lru_cache(1024)
def _short(*series: str | bool | None) -> str:
    return f"{crc32('|'.join(map(str, series)).encode()):08x}"


def ms(at: Instant) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)
