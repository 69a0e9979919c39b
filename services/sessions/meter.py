"""The meter: what its samples say in our units, and what follows for a session's energy. Whole Wh, never a float."""

from collections.abc import Mapping, Sequence
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
    "Energy.Active": ("Wh", {"": 0, "Wh": 0, "kWh": 3}),
    "Power.Active": ("W", {"": 0, "W": 0, "kW": 3}),
    "Power.Offered": ("W", {"": 0, "W": 0, "kW": 3}),
}
"""By the beginning of a measurand: our unit, and the power of ten from the station's (OCPP 1.6 §7.45)."""
RANKS = {"Transaction.End": 0, "Sample.Periodic": 1, "Sample.Clock": 2, "Transaction.Begin": 3}
"""Which context speaks for a register, the best first: some stations repeat the begin in every reading."""
SERIES = 32
"""Series per session whose newest time is remembered: an ordinary station has about ten, and each takes 24 bytes."""
LONGEST = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Register(NamedTuple):
    """What the energy register showed at a moment."""

    at: datetime
    wh: int


class Energy(NamedTuple):
    """What a session comes to at its end. None is what nobody knows."""

    meter_wh: int | None
    energy_wh: int | None
    flags: tuple[str, ...]


def normalised(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Return `readings` in our units. A sample that is no number is left out, signed data is untouched."""
    normal = (Reading(reading.at, tuple(filter(None, map(_normal, reading.samples)))) for reading in readings)
    return tuple(reading for reading in normal if reading.samples)


def _normal(sample: Sample) -> Sample | None:
    if sample.signed or (scale := _scale(sample.measurand)) is None:
        return sample
    unit, powers = scale
    if sample.unit not in powers or (sample.unit == "Wh" and _is_whole(sample.value)):
        return sample
    if (value := _number(sample.value)) is None:
        return None
    value = value.scaleb(powers[sample.unit])
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
    best = ((reading.at, min(filter(_is_register, reading.samples), key=_rank, default=None)) for reading in readings)
    return sorted(Register(at, int(sample.value)) for at, sample in best if sample)


def _is_register(sample: Sample) -> bool:
    return (
        sample.measurand == REGISTER
        and sample.unit == "Wh"
        and sample.phase is None
        and not sample.signed
        and sample.context in RANKS
        and _is_whole(sample.value)
    )


def _rank(sample: Sample) -> tuple[bool, int]:
    return sample.location != "Outlet", RANKS[sample.context]


class Span(NamedTuple):
    """What is known of a session's register: where it began, and where it was seen last."""

    start_wh: int | None
    register_wh: int | None

    def extended(self, shown: Sequence[Register], *, since: datetime) -> "Span":
        """Return the span with what a meter has `shown`. It never shrinks; without a start, the first sample is it."""
        first = next((register.wh for register in shown if register.at >= since), None)
        start = first if self.start_wh is None else self.start_wh
        if start is None:
            return self
        risen = [register.wh for register in shown if register.wh >= start]
        return Span(start, max([*risen, *([] if self.register_wh is None else [self.register_wh])], default=None))

    def delivered_since(self, before: "Span") -> tuple[int, int] | None:
        """Return the register and the energy so far if it is higher than before, or the first one there is."""
        last = before.start_wh if before.register_wh is None else before.register_wh
        if self.start_wh is None or self.register_wh is None or (last is not None and self.register_wh <= last):
            return None
        return self.register_wh, self.register_wh - self.start_wh

    def energy_at(self, meter_wh: int | None) -> int | None:
        """Return the energy up to `meter_wh`; None if there are no two registers to subtract, or they went back."""
        if self.start_wh is None or meter_wh is None or meter_wh < self.start_wh:
            return None
        return meter_wh - self.start_wh

    def ended(self, stop_wh: int | None) -> Energy:
        """Return what the session comes to with the register at its stop, or without one (X-45)."""
        meter = self.register_wh if stop_wh is None else stop_wh
        flags = [
            *(["meter_stop_missing"] if stop_wh is None else []),
            *(["meter_went_back"] if _below(meter, self.start_wh) else []),
            *(["below_last_register"] if _below(meter, self.register_wh) else []),
        ]
        return Energy(meter, self.energy_at(meter), tuple(flags))


def _below(meter_wh: int | None, other_wh: int | None) -> bool:
    return meter_wh is not None and other_wh is not None and meter_wh < other_wh


def digest(evse: int, connector: int, transaction: TransactionId | None, readings: Sequence[Reading]) -> bytes:
    """Return 8 bytes that tell a `MetersRead` from any other, and not from its own repetition."""
    return blake2b(msgspec.json.encode((evse, connector, transaction, readings)), digest_size=8).digest()


def unheard(readings: Sequence[Reading], newest: Mapping[str, int]) -> tuple[Reading, ...]:
    """Return what of `readings` is newer than the newest of its series: the rest came as MeterValues already (X-41)."""
    fresh = (
        Reading(reading.at, tuple(s for s in reading.samples if newest.get(_series(s), -1) < _ms(reading.at)))
        for reading in readings
    )
    return tuple(reading for reading in fresh if reading.samples)


def renewed(newest: Mapping[str, int], readings: Sequence[Reading]) -> dict[str, int]:
    """Return the newest time of each series, now that `readings` have been heard."""
    times = dict(newest)
    for reading in readings:
        at = _ms(reading.at)
        for series in map(_series, reading.samples):
            if series in times or len(times) < SERIES:
                times[series] = max(at, times.get(series, at))
    return times


def _series(sample: Sample) -> str:
    return _short(sample.measurand, sample.phase, sample.context, sample.location, sample.signed)


@lru_cache(1024)
def _short(*series: str | bool | None) -> str:
    return f"{crc32('|'.join(map(str, series)).encode()):08x}"


def _ms(at: Instant) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)
