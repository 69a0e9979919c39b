"""When a tariff's elements count, and at which instants that can change (TAR-11, TAR-12, TAR-25).

All arithmetic is in seconds since 1970; wall clocks are only asked for the offset of a zone, so that an hour that daylight saving
takes or gives is neither missed nor doubled.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from contracts.tariffs import Restrictions, Tariff

DAY = 86_400
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]|24(?=:00(?::00)?$)):([0-5][0-9])(?::([0-5][0-9]))?")
"""Hours and minutes, as OCPI has them; seconds may follow, and 24:00 is the end of the day."""
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
Instant = int | Fraction


class Moment(NamedTuple):
    """What is true from an instant on until the next boundary."""

    at: Instant
    local: Instant
    """The wall clock, as seconds since 1970 in the site's zone."""
    elapsed: Instant
    """Since the session began."""
    mwh: Instant
    amps: Fraction | None
    milliwatts: Fraction | None


class Rule(NamedTuple):
    """An element's restrictions, in our units. None restricts nothing."""

    times: tuple[int, int] | None
    """Seconds of the day; the end is after midnight where it is not after the beginning."""
    dates: tuple[int | None, int | None]
    """Days since 1970: the first, and the one after the last."""
    weekdays: frozenset[int]
    mwh: tuple[int | None, int | None]
    amps: tuple[Fraction | None, Fraction | None]
    milliwatts: tuple[Fraction | None, Fraction | None]
    duration: tuple[int | None, int | None]

    def holds(self, moment: Moment) -> bool:
        """Return whether the element counts from this moment on. What is not known is within no limit."""
        day, second = divmod(moment.local, DAY)
        return (
            (self.times is None or _is_within_day(second, *self.times))
            and _within(day, *self.dates)
            and (not self.weekdays or (day + 3) % 7 in self.weekdays)
            and _within(moment.mwh, *self.mwh)
            and _within(moment.elapsed, *self.duration)
            and _within(moment.amps, *self.amps)
            and _within(moment.milliwatts, *self.milliwatts)
        )

    @property
    def follows_power(self) -> bool:
        """Whether a change of current or power may change it."""
        return any(limit is not None for limit in (*self.amps, *self.milliwatts))


def _within(value: Instant | None, least: Instant | None, limit: Instant | None) -> bool:
    if least is None and limit is None:
        return True
    return value is not None and (least is None or value >= least) and (limit is None or value < limit)


def _is_within_day(second: Instant, start: int, end: int) -> bool:
    return start <= second < end if start < end else second >= start or second < end


def is_sane(value: Decimal) -> bool:
    """Return whether a number is one that a tariff or a meter can say: others take for ever to reckon with."""
    return value.is_finite() and (value == 0 or -15 <= value.adjusted() <= 15) and len(value.as_tuple().digits) <= 30


def rule_of(restrictions: Restrictions | None) -> Rule | None:
    """Return the rule of an element; None if it always counts. Raises `ValueError` for a time or date that is none."""
    if restrictions is None or restrictions == Restrictions(reservation=restrictions.reservation):
        return None
    said = restrictions
    return Rule(
        times=_times(said.start_time, said.end_time),
        dates=(_day(said.start_date), _day(said.end_date)),
        weekdays=frozenset(WEEKDAYS.index(day) for day in said.day_of_week),
        mwh=(_scaled(said.min_kwh), _scaled(said.max_kwh)),
        amps=(_exact(said.min_current, 1), _exact(said.max_current, 1)),
        milliwatts=(_exact(said.min_power, 1_000_000), _exact(said.max_power, 1_000_000)),
        duration=(said.min_duration, said.max_duration),
    )


def _scaled(kwh: object) -> int | None:
    """Return kWh in whole mWh."""
    return None if kwh is None else round(Fraction(str(kwh)) * 1_000_000)


def _exact(value: object, scale: int) -> Fraction | None:
    return None if value is None else Fraction(str(value)) * scale


def _times(start: str | None, end: str | None) -> tuple[int, int] | None:
    """Return the window of a day. The same time twice is the whole day (D-7), and 00:00 as an end is the day's end."""
    if start is None and end is None:
        return None
    first, last = _second("00:00" if start is None else start), _second("00:00" if end is None else end)
    return None if first == last else (first, last or DAY)


def _second(text: str) -> int:
    said = CLOCK.fullmatch(text)
    if said is None:
        raise ValueError(f"{text!r} is no time of day, such as 07:30")
    hours, minutes, seconds = (int(each or 0) for each in said.groups())
    return (hours * 3600 + minutes * 60 + seconds) % DAY


def _day(text: str | None) -> int | None:
    return None if text is None else date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


class Calendar:
    """The wall clock of a zone over a stretch of time."""

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        self._zone = zone
        self.spans = list(self._constant(start, max(end, start + 1)))
        """(from, until, offset): the offset to UTC is the same between two of them."""

    def _offset(self, at: int) -> int:
        offset = datetime.fromtimestamp(at, UTC).astimezone(self._zone).utcoffset()
        assert offset is not None, "zones have offsets"
        return int(offset.total_seconds())

    def _constant(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield the spans; no zone changes twice within six hours."""
        begin, offset, at = start, self._offset(start), start
        while at < end:
            then = min(at + 6 * 3600, end)
            if (new := self._offset(then)) != offset:
                change = self._change(at, then, offset)
                yield begin, change, offset
                begin, offset = change, new
            at = then
        yield begin, end, offset

    def _change(self, low: int, high: int, offset: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high

    def local(self, at: Instant) -> Instant:
        """Return the wall clock at an instant of the stretch."""
        return at + next((offset for _, end, offset in self.spans if at < end), self.spans[-1][2])

    def instants(self, seconds: Iterable[int]) -> Iterator[int]:
        """Yield every change of the offset, and every instant at which the clock shows one of these seconds of a day."""
        seconds = sorted(set(seconds))
        for begin, end, offset in self.spans:
            yield begin
            for day in range((begin + offset) // DAY, (end + offset) // DAY + 1):
                for second in seconds:
                    at = day * DAY + second - offset
                    if begin < at < end:
                        yield at


def clock_seconds(rules: Iterable[Rule | None]) -> set[int]:
    """Return the seconds of a day at which one of the rules can change."""
    found: set[int] = set()
    for rule in rules:
        if rule is None:
            continue
        if rule.times is not None:
            found |= {second % DAY for second in rule.times}
        if rule.weekdays or rule.dates != (None, None):
            found.add(0)
    return found


def problems(tariff: Tariff) -> list[str]:
    """Return what is wrong with a tariff's restrictions, in words."""
    found = []
    for number, element in enumerate(tariff.elements):
        limits = msgspec.structs.asdict(element.restrictions) if element.restrictions else {}
        wrong = [name for name, limit in limits.items() if isinstance(limit, Decimal) and not is_sane(limit)]
        if wrong:
            found.append(f"elements[{number}].restrictions: {', '.join(wrong)} is no number that can be measured")
            continue
        try:
            rule_of(element.restrictions)
        except ValueError as error:
            found.append(f"elements[{number}].restrictions: {error}")
    return found
