"""What the display of a station is told of a session: its cost now and then while it charges, and the whole of it at its end (TAR-40)."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from contracts.bills import CostShown, DisplayRenamed, Usage
from contracts.operations import Prices
from contracts.sessions import SessionRenamed
from contracts.tariffs import Dimension
from services.billing.papers import about
from services.billing.restrictions import Calendar, Moment
from services.billing.shown import with_taxes
from services.billing.state import Bound, Running, Session
from services.billing.tariff import Bill, Book, Component
from services.billing.usage import seconds

AT_MOST_EVERY = timedelta(seconds=10)
"""However often prices change, or a car begins and ceases to draw power."""


def running(session: Running, usage: Sequence[Usage], bill: Bill, every: timedelta) -> CostShown | None:
    """Return what is to be shown now: where a price has changed, or enough time has passed since the last time."""
    last, now = session.last_shown, shown(session, usage, bill)
    if last is None or now is None:
        return now
    is_same = (last.prices, last.idle) == (now.prices, now.idle)
    return now if usage[-1].at - last.at >= (every if is_same else AT_MOST_EVERY) else None


def shown(session: Session, usage: Sequence[Usage], bill: Bill) -> CostShown | None:
    """Return the cost with taxes; None where nothing shows it, or where the taxes are unknown."""
    display = session.display
    if display is None or (cost := bill.total_incl) is None:
        return None
    energy_wh = _energy(usage)
    return CostShown(
        transaction=display.transaction,
        cost=cost,
        currency=bill.currency,
        energy_wh=energy_wh,
        register_wh=display.began_at_wh + energy_wh,
        idle=bool(bill.periods) and bill.periods[-1].kind != "CHARGING",
        prices=prices_at(session, usage, bill),
    )


def _energy(usage: Sequence[Usage]) -> int:
    return max(each.energy_wh or 0 for each in usage)


def prices_at(session: Bound, usage: Sequence[Usage], bill: Bill) -> Prices:
    """Return what counts at the last moment of a session. What was charged for its start is on its bill."""
    book, moment = Book((session.tariff,)), _moment(session, usage)

    def now(dimension: Dimension) -> Decimal | None:
        return _price(session, book.find(session.tariff.id, dimension, moment))

    return Prices(
        kwh=now("ENERGY"),
        hour=now("TIME"),
        start=next((_price(session, line.component) for line in bill.lines if line.kind == "FLAT"), None),
        idle_hour=now("PARKING_TIME"),
        idle_grace_minutes=session.policy.idle_grace_s // 60,
    )


def _moment(session: Bound, usage: Sequence[Usage]) -> Moment:
    at = seconds(usage[-1].at)
    local = Calendar(ZoneInfo(session.time_zone), at, at + 1).local(at)
    mwh = _energy(usage) * 1000
    return Moment(at, local, at - seconds(session.started_at), mwh, None, _milliwatts(usage))


def _milliwatts(usage: Sequence[Usage]) -> Fraction | None:
    """Return the mean power between the last two energies."""
    known = [(seconds(each.at), each.energy_wh) for each in usage if each.energy_wh is not None]
    if len(known) < 2 or known[-1][0] <= known[-2][0]:
        return None
    (t0, e0), (t1, e1) = known[-2:]
    return Fraction((e1 - e0) * 3_600_000, t1 - t0)


def _price(session: Bound, component: Component | None) -> Decimal | None:
    """Return a price with taxes and discounts, as it is shown."""
    if component is None:
        return None
    said = session.tariff.elements[component.element].price_components[component.number]
    left = Decimal(1)
    for discount in session.policy.discounts:
        if discount.dimension in {None, said.type}:
            left *= 1 - discount.percent / 100
    return with_taxes(said, session.tariff, left)


def renamed(session: Session | None, event: SessionRenamed) -> list[DisplayRenamed]:
    """Return by which transaction a display is told from now on."""
    if session is None or session.display is None or session.display.transaction == event.transaction:
        return []
    return [DisplayRenamed(at=event.at, **about(session), transaction=event.transaction)]
