"""What a session costs: `price(tariff, session) -> Bill`, pure and exact.

Integers and fractions, never a float, and one rounding at the end (D-1). The rules are TAR-01 to TAR-35 of our catalogue, after OCPI
2.3.0 mod_tariffs and mod_cdrs: for each dimension and instant the first element counts that has it and whose restrictions hold; the
step size is applied once to the whole session; limits bound net and gross for themselves.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from contracts.currencies import DECIMALS, decimals
from contracts.tariffs import (
    Dimension,
    Policy,
    PriceComponent,
    PriceLimit,
    ReservationRestriction,
    Restrictions,
    Tariff,
)
from services.billing.meter import Kind, Measured, Sample, measured
from services.billing.restrictions import Calendar, Instant, Moment, Rule, clock_seconds, is_sane, problems, rule_of

LineKind = Literal["ENERGY", "TIME", "PARKING_TIME", "FLAT", "RESERVATION_TIME", "RESERVATION_FLAT"]
Outcome = Literal["USED", "EXPIRED", "CANCELLED"]
WH, S, ONE = "Wh", "s", "1"
PER = {"ENERGY": 1_000_000, "TIME": 3600, "PARKING_TIME": 3600, "FLAT": 1}
"""How many of our units a price is for: mWh in a kWh, seconds in an hour."""
NO_PRICE = "a tariff has at least one element with a price; what costs nothing is an assignment of none"
EXACT = Context(prec=100)
"""More digits than an amount of sane numbers has: nothing is rounded but by our own rule."""
LONGEST_S = 366 * 86_400


class Unpriceable(ValueError):
    """A tariff or a session that has no price. The message names what is wrong with it."""


class Reservation(Struct, frozen=True):
    """A time for which the evse was kept. What expired was never used; what was cancelled costs the time until then."""

    start: int
    end: int
    outcome: Outcome


class Session(Struct, frozen=True):
    """What is priced. The zone is the site's, by which restrictions read the clock."""

    zone: ZoneInfo
    samples: tuple[Sample, ...] = ()
    reservation: Reservation | None = None
    policy: Policy = Policy()
    relative: bool = False
    """Its energies are the session's own, from 0, and no register's."""


class Component(NamedTuple):
    """A price, and where it stands in its tariff."""

    tariff: str
    element: int
    number: int
    price: Decimal
    step_size: int
    vat: Decimal | None
    type: Dimension
    rule: Rule | None
    reservation: ReservationRestriction | None
    tax: str
    said: Restrictions | None


class Line(Struct, frozen=True):
    """One price of a bill: how much was measured and how much is billed, in Wh, s or pieces, and what it comes to."""

    kind: LineKind
    component: Component
    quantity: Fraction
    billed: Fraction
    net: Fraction
    gross: Fraction
    discount: Fraction
    """The share of the price that was let off."""

    @property
    def unit(self) -> str:
        return {"ENERGY": WH, "FLAT": ONE, "RESERVATION_FLAT": ONE}.get(self.kind, S)


class Period(Struct, frozen=True):
    """A stretch of a session with the same prices (OCPI ChargingPeriod): mWh and seconds in it."""

    start: Instant
    end: Instant
    kind: Kind
    tariff: str
    mwh: Fraction


class Bill(Struct, frozen=True):
    """What a session comes to. A total is None where the tariff does not say the taxes: it is then unknown, not 0."""

    currency: str
    lines: tuple[Line, ...]
    periods: tuple[Period, ...]
    net: Fraction | None
    gross: Fraction | None
    limit: Literal["min_price", "max_price"] | None = None
    flags: tuple[str, ...] = ()

    @property
    def decimals(self) -> int:
        return decimals(self.currency)

    @property
    def total_excl(self) -> Decimal | None:
        return None if self.net is None else rounded(self.net, self.decimals)

    @property
    def total_incl(self) -> Decimal | None:
        return None if self.gross is None else rounded(self.gross, self.decimals)

    def apportioned(self) -> list[tuple[Decimal, Decimal]]:
        """Return net and gross of each line, rounded so that they add up to the totals but for what a limit changed.

        By largest remainder (D-1): no line is off by a whole unit, and no unit is lost or made.
        """
        nets, grosses = ([line.net for line in self.lines], [line.gross for line in self.lines])
        return list(zip(shared(nets, self.decimals), shared(grosses, self.decimals), strict=True))


def price(tariff: Tariff | Sequence[Tariff], session: Session) -> Bill:
    """Return what a session costs by a tariff, or by several that its samples name. Raises `Unpriceable`."""
    tariffs = (tariff,) if isinstance(tariff, Tariff) else tuple(tariff)
    book = Book(tariffs)
    if session.reservation is None and not session.samples:
        raise Unpriceable("the session has neither samples nor a reservation")
    tally = Tally(book, session.policy)
    if session.reservation is not None:
        _reserve(book, session, session.reservation, tally)
    flags: tuple[str, ...] = ()
    periods: tuple[Period, ...] = ()
    if session.samples:
        meter = _measured(session)
        flags = meter.flags
        if _is_void(meter, session.policy):
            flags = (*flags, "void")
        else:
            periods = tuple(_periods(book, session, meter, tally))
    return _bill(book, tally, periods, flags)


def _measured(session: Session) -> Measured:
    try:
        meter = measured(session.samples, session.policy, relative=session.relative)
    except ValueError as error:
        raise Unpriceable(str(error)) from error
    _check_length(meter.start, meter.end)
    return meter


def _check_length(start: int, end: int) -> None:
    """Refuse what lasts longer than anything that is charged: each day of it would be looked at."""
    if end - start > LONGEST_S:
        raise Unpriceable(f"it lasts more than {LONGEST_S // 86_400} days")


def _is_void(meter: Measured, policy: Policy) -> bool:
    """Return whether somebody only plugged in and thought better of it (TAR-27)."""
    return meter.mwh < policy.void_below_wh * 1000 and meter.end - meter.start < policy.void_below_s


class Book:
    """The tariffs of a session, ready to be looked up."""

    def __init__(self, tariffs: tuple[Tariff, ...]) -> None:
        if wrong := [wrong for tariff in tariffs for wrong in faults(tariff)]:
            raise Unpriceable("; ".join(wrong))
        if not tariffs:
            raise Unpriceable("there is no tariff")
        if len({tariff.currency for tariff in tariffs}) > 1:
            raise Unpriceable("the tariffs of one session have one currency")
        self.tariffs = {tariff.id: tariff for tariff in tariffs}
        if len(self.tariffs) < len(tariffs):
            raise Unpriceable("the tariffs of one session have ids of their own: two are the same")
        self.first = tariffs[0]
        self.components = {tariff.id: tuple(_components(tariff)) for tariff in tariffs}
        self._by_type = {
            (id, kind): tuple(c for c in components if c.type == kind and c.reservation is None)
            for id, components in self.components.items()
            for kind in PER
        }
        rules = [component.rule for components in self.components.values() for component in components]
        self.seconds = clock_seconds(rules)
        self.needs_clock = any(rule is not None for rule in rules)
        self.follows_power = any(rule is not None and rule.follows_power for rule in rules)
        self.energies = sorted({limit for rule in rules if rule for limit in rule.mwh if limit})
        self.durations = sorted({limit for rule in rules if rule for limit in rule.duration if limit})

    def find(self, tariff: str, kind: str, moment: Moment) -> Component | None:
        """Return the component that prices a dimension now (TAR-10)."""
        for component in self._by_type[tariff, kind]:
            if component.rule is None or component.rule.holds(moment):
                return component
        return None

    def for_reservation(self, kind: str, reservation: ReservationRestriction, moment: Moment) -> Component | None:
        """Return the component that prices a reservation now."""
        for component in self.components[self.first.id]:
            if component.type == kind and component.reservation == reservation:  # noqa: SIM102  (it reads as two questions)
                if component.rule is None or component.rule.holds(moment):
                    return component
        return None


def _components(tariff: Tariff) -> Iterator[Component]:
    for number, element in enumerate(tariff.elements):
        rule = rule_of(element.restrictions)
        reservation = None if element.restrictions is None else element.restrictions.reservation
        for place, said in enumerate(element.price_components):
            yield Component(
                tariff.id,
                number,
                place,
                said.price,
                said.step_size,
                said.vat,
                said.type,
                rule,
                reservation,
                tariff.tax_included,
                element.restrictions,
            )


def faults(tariff: Tariff) -> list[str]:
    """Return why a tariff prices nothing, in words."""
    found = [f"tariff {tariff.id!r}: {wrong}" for wrong in problems(tariff)]
    if tariff.currency not in DECIMALS:
        found.append(f"tariff {tariff.id!r}: {tariff.currency!r} is no currency of ISO 4217")
    if not any(element.price_components for element in tariff.elements):
        found.append(f"tariff {tariff.id!r}: {NO_PRICE}")
    for number, element in enumerate(tariff.elements):
        for component in element.price_components:
            found += [f"tariff {tariff.id!r}: elements[{number}]: {wrong}" for wrong in _component_faults(component)]
    for name, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit is not None and any(one is not None and not _is_amount(one) for one in (limit.net, limit.gross)):
            found.append(f"tariff {tariff.id!r}: {name} is negative or no number")
    return found


def _component_faults(component: PriceComponent) -> Iterator[str]:
    if not _is_amount(component.price):
        yield f"the price of {component.type} is negative or no number"
    if not _is_amount(Decimal(component.step_size)):
        yield f"the step_size of {component.type} is negative or larger than anything that is measured"
    if component.vat is not None and not _is_amount(component.vat):
        yield f"the vat of {component.type} is negative or no number"


def _is_amount(value: Decimal) -> bool:
    return is_sane(value) and value >= 0


# ---- what was used ------------------------------------------------------------------------------------------------------


class Tally:
    """How much of each price was used, in the order in which it first was."""

    def __init__(self, book: Book, policy: Policy) -> None:
        self._book, self._policy = book, policy
        self.used: dict[tuple[LineKind, Component], Instant] = {}
        self.last: dict[LineKind, Component] = {}
        """The component that priced a dimension last: its step size counts."""

    def add(self, kind: LineKind, component: Component | None, quantity: Instant) -> None:
        """Take down a quantity in mWh, seconds or pieces; what has no component costs nothing."""
        if component is not None and quantity:
            key = (kind, component)
            self.used[key] = self.used.get(key, 0) + quantity
            self.last[kind] = component

    def lines(self) -> Iterator[Line]:
        """Yield the lines, with step sizes applied (OCPI 2.3.0 mod_cdrs step_size; D-4, D-5)."""
        surplus = {kind: self._surplus(kind) for kind in self._stepped()}
        for (kind, component), quantity in self.used.items():
            more = surplus.get(kind, 0) if self.last[kind] is component else 0
            yield self._line(kind, component, quantity, quantity + more)

    def _stepped(self) -> Iterator[LineKind]:
        """Yield what is rounded up: energy, and of the times only that of standing idle if any was priced."""
        yield "ENERGY"
        yield "RESERVATION_TIME"
        yield "PARKING_TIME" if "PARKING_TIME" in self.last else "TIME"

    def _surplus(self, kind: LineKind) -> Instant:
        if kind not in self.last:
            return 0
        step = self.last[kind].step_size * (1000 if kind == "ENERGY" else 1)
        total = sum(quantity for (each, _), quantity in self.used.items() if each == kind)
        return -total % step if step else 0

    def _line(self, kind: LineKind, component: Component, quantity: Instant, billed: Instant) -> Line:
        discount = self._discount(component)
        amount = billed * Fraction(component.price) / PER[component.type]
        net, gross = _taxed(component, amount * (1 - discount) if discount else amount)
        scale = 1000 if kind == "ENERGY" else 1
        return Line(kind, component, Fraction(quantity, scale), Fraction(billed, scale), net, gross, discount)

    def _discount(self, component: Component) -> Fraction:
        fits = (each for each in self._policy.discounts if each.dimension in {None, component.type})
        left = Fraction(1)
        for each in fits:
            left *= 1 - Fraction(each.percent) / 100
        return 1 - left


def _taxed(component: Component, amount: Fraction) -> tuple[Fraction, Fraction]:
    """Return net and gross. Where a tariff says nothing of a tax, there is none (OCPI 2.3.0; TAR-06)."""
    if component.vat is None or component.tax == "N/A":
        return amount, amount
    factor = 1 + Fraction(component.vat) / 100
    return (amount / factor, amount) if component.tax == "YES" else (amount, amount * factor)


def _reserve(book: Book, session: Session, reservation: Reservation, tally: Tally) -> None:
    """Take down what a reservation costs: its time, and once each the fees for making it and for letting it expire (D-5, D-8)."""
    start, end = reservation.start, reservation.end
    if end < start:
        raise Unpriceable("the reservation ends before it starts")
    if reservation.outcome == "USED" and session.samples:  # it ends where the session begins (OCPI 2.3.0 mod_tariffs)
        end = max(start, min(end, *(sample.at for sample in session.samples)))
    _check_length(start, end)
    calendar = Calendar(session.zone, start, end)
    cuts = sorted({start, end, *calendar.instants(book.seconds), *(start + each for each in book.durations)})
    kinds: tuple[ReservationRestriction, ...] = ("RESERVATION",)
    if reservation.outcome == "EXPIRED":
        kinds = ("RESERVATION_EXPIRES", "RESERVATION")

    def at(instant: Instant) -> Moment:
        return Moment(instant, calendar.local(instant), instant - start, 0, None, None)

    due = list(reversed(kinds))
    for left, right in _stretches([cut for cut in cuts if start <= cut <= end]):
        moment = at(left)
        for kind in tuple(due):
            if (fee := book.for_reservation("FLAT", kind, moment)) is not None:
                tally.add("RESERVATION_FLAT", fee, 1)
                due.remove(kind)
        found = (book.for_reservation("TIME", kind, moment) for kind in kinds)
        tally.add("RESERVATION_TIME", next(filter(None, found), None), right - left)


def _stretches(cuts: Sequence[Instant]) -> Iterable[tuple[Instant, Instant]]:
    """Return what lies between boundaries; of what takes no time, its only moment."""
    return pairwise(cuts) if len(cuts) > 1 else [(cuts[0], cuts[0])]


# ---- when ---------------------------------------------------------------------------------------------------------------


class Curve:
    """The energy of a session at any instant, on straight lines between its samples (TAR-25)."""

    def __init__(self, meter: Measured) -> None:
        self._points = meter.points
        self._times = [point.at for point in meter.points]

    def at(self, instant: Instant) -> Instant:
        """Return the energy up to an instant, in mWh."""
        n = bisect_right(self._times, instant)
        if n == 0:
            return 0
        t0, e0 = self._points[n - 1]
        if n == len(self._points) or instant == t0:
            return e0
        t1, e1 = self._points[n]
        return _whole(e0 + Fraction(e1 - e0) * (instant - t0) / (t1 - t0))

    def when(self, mwh: int) -> Instant | None:
        """Return the first instant at which the energy has reached so much; None if it never does."""
        for (t0, e0), (t1, e1) in pairwise(self._points):
            if e0 < mwh <= e1:
                return _whole(t0 + Fraction((mwh - e0) * (t1 - t0), e1 - e0))
        return None

    def milliwatts(self, instant: Instant) -> Fraction | None:
        """Return the mean power of the interval that begins at or before an instant."""
        n = bisect_right(self._times, instant)
        if n == 0 or n == len(self._points):
            return None
        (t0, e0), (t1, e1) = self._points[n - 1], self._points[n]
        return Fraction((e1 - e0) * 3600, t1 - t0)


class Flow:
    """The current and the power at any instant: as measured, and where no power was, that of the interval (TAR-11)."""

    def __init__(self, meter: Measured, curve: Curve) -> None:
        self._samples, self._curve = meter.samples, curve
        self._currents = [(sample.at, sample.amps) for sample in meter.samples if sample.amps is not None]

    def amps(self, instant: Instant) -> Fraction | None:
        """Return the current that was measured last; None before the first."""
        n = bisect_right(self._currents, instant, key=lambda current: current[0])
        return self._currents[n - 1][1] if n else None

    def milliwatts(self, instant: Instant) -> Fraction | None:
        n = bisect_right(self._samples, instant, key=lambda sample: sample.at)
        measured = self._samples[n - 1].milliwatts if n else None
        return self._curve.milliwatts(instant) if measured is None else measured


def _whole(value: Fraction) -> Instant:
    return value.numerator if value.denominator == 1 else value


def _periods(book: Book, session: Session, meter: Measured, tally: Tally) -> Iterator[Period]:
    """Yield the stretches between which a price can change, merged where none did, and take down what they use."""
    curve = Curve(meter)
    calendar = Calendar(session.zone, meter.start, meter.end) if book.needs_clock else None
    switches = [(sample.at, sample.tariff) for sample in meter.samples if sample.tariff in book.tariffs]
    flow = Flow(meter, curve) if book.follows_power else None
    cuts = sorted(_cuts(book, meter, curve, calendar, switches))
    spells = deque(meter.spells)
    is_flat_due = True
    taken: Instant = 0
    open_: tuple[Period, object] | None = None
    for left, right in _stretches(cuts):
        while spells and spells[0].end <= left:
            spells.popleft()
        kind: Kind = spells[0].kind if spells and spells[0].start <= left else "CHARGING"
        tariff = _in_force(book, switches, left)
        moment = _moment(meter.start, curve, flow, calendar, left)
        if is_flat_due and (flat := book.find(tariff, "FLAT", moment)) is not None:
            tally.add("FLAT", flat, 1)  # once, by the first that there is (D-6)
            is_flat_due = False
        energy = book.find(tariff, "ENERGY", moment)
        time: LineKind | None = {"CHARGING": "TIME", "PARKING": "PARKING_TIME"}.get(kind)  # type: ignore[assignment]
        timed = book.find(tariff, time, moment) if time else None
        reached = curve.at(right)
        used, taken = reached - taken, reached  # all of it, also what came at the first instant
        tally.add("ENERGY", energy, used)
        if time:
            tally.add(time, timed, right - left)
        prices = (kind, tariff, energy, timed)
        if open_ is not None and open_[1] == prices:
            open_ = (_longer(open_[0], right, used), prices)
            continue
        if open_ is not None:
            yield open_[0]
        open_ = (Period(left, right, kind, tariff, Fraction(used)), prices)
    if open_ is not None:
        yield open_[0]


def _longer(period: Period, end: Instant, used: Instant) -> Period:
    return Period(period.start, end, period.kind, period.tariff, period.mwh + used)


def _cuts(
    book: Book, meter: Measured, curve: Curve, calendar: Calendar | None, switches: Sequence[tuple[int, str | None]]
) -> set[Instant]:
    """Return every instant at which a restriction, the state or the tariff can change (TAR-25)."""
    cuts: set[Instant] = {meter.start, meter.end, *(at for at, _ in switches)}
    cuts |= {spell.start for spell in meter.spells}
    if calendar is not None:
        cuts |= set(calendar.instants(book.seconds))
    cuts |= {meter.start + duration for duration in book.durations}
    cuts |= {at for limit in book.energies if (at := curve.when(limit)) is not None}
    if book.follows_power:
        cuts |= {point.at for point in meter.points}
    return {cut for cut in cuts if meter.start <= cut <= meter.end}


def _in_force(book: Book, switches: Sequence[tuple[int, str | None]], at: Instant) -> str:
    n = bisect_right(switches, at, key=lambda switch: switch[0])
    return (n and switches[n - 1][1]) or book.first.id


def _moment(start: int, curve: Curve, flow: Flow | None, calendar: Calendar | None, at: Instant) -> Moment:
    local = at if calendar is None else calendar.local(at)
    amps, milliwatts = (None, None) if flow is None else (flow.amps(at), flow.milliwatts(at))
    return Moment(at, local, at - start, curve.at(at), amps, milliwatts)


# ---- what it comes to ---------------------------------------------------------------------------------------------------


def _bill(book: Book, tally: Tally, periods: tuple[Period, ...], flags: tuple[str, ...]) -> Bill:
    """Return what was used within the limits. Only a session that counts owes a minimum: neither a reservation nor what is void."""
    lines = tuple(tally.lines())
    net: Fraction | None = sum((line.net for line in lines), Fraction(0))
    gross: Fraction | None = sum((line.gross for line in lines), Fraction(0))
    if any(line.component.tax == "YES" and line.component.vat is None and line.gross for line in lines):
        net = None  # the taxes are in the price, and nobody says how much they are (TAR-06)
    bill = Bill(book.first.currency, lines, periods, net, gross, None, flags)
    begun = book.tariffs[periods[0].tariff] if periods else book.first
    bill = _limited(bill, begun, begun.min_price, "min_price") if periods else bill
    return _limited(bill, begun, begun.max_price, "max_price")


def _limited(bill: Bill, tariff: Tariff, limit: PriceLimit | None, name: Literal["min_price", "max_price"]) -> Bill:
    """Return the bill within a limit, net and gross each for itself; where one alone is said, the other follows it (TAR-31)."""
    if limit is None:
        return bill
    pick = max if name == "min_price" else min
    net = bill.net if bill.net is None or limit.net is None else pick(bill.net, Fraction(limit.net))
    gross = bill.gross if bill.gross is None or limit.gross is None else pick(bill.gross, Fraction(limit.gross))
    if (net, gross) == (bill.net, bill.gross):
        return bill
    if limit.gross is None and net is not None:
        gross = net * _tax_factor(bill, tariff)
    elif limit.net is None and gross is not None and net is not None:
        net = gross / _tax_factor(bill, tariff)
    return Bill(bill.currency, bill.lines, bill.periods, net, gross, name, bill.flags)


def _tax_factor(bill: Bill, tariff: Tariff) -> Fraction:
    """Return gross over net of the bill; of a bill of nothing, by the only rate of its tariff."""
    if bill.net and bill.gross is not None:
        return bill.gross / bill.net
    rates = {component.vat or Decimal(0) for component in _components(tariff) if component.tax != "N/A"}
    return 1 + Fraction(rates.pop()) / 100 if len(rates) == 1 else Fraction(1)


def rounded(amount: Fraction, decimals: int) -> Decimal:
    """Return an amount with so many decimals, half away from zero, so that a credit is the exact negative (D-1)."""
    return Decimal(_units(amount, decimals)).scaleb(-decimals, EXACT)


def _units(amount: Fraction, decimals: int) -> int:
    scaled, denominator = (
        abs(amount.numerator) * int(10**decimals),
        amount.denominator,
    )  # a fraction would be reduced first
    units = (2 * scaled + denominator) // (2 * denominator)
    return units if amount.numerator >= 0 else -units


def shared(amounts: Sequence[Fraction], decimals: int, total: Decimal | None = None) -> list[Decimal]:
    """Return amounts rounded so that their sum is the rounded sum, or a total next to it, by largest remainder."""
    parts = [divmod(amount.numerator * int(10**decimals), amount.denominator) for amount in amounts]
    units = [unit for unit, _ in parts]
    whole = _units(sum(amounts, Fraction(0)), decimals) if total is None else int(total.scaleb(decimals, EXACT))
    if missing := whole - sum(units):
        left = [Fraction(rest, amount.denominator) for (_, rest), amount in zip(parts, amounts, strict=True)]
        for n in sorted(range(len(units)), key=lambda n: -left[n])[:missing]:
            units[n] += 1
    return [Decimal(unit).scaleb(-decimals, EXACT) for unit in units]
