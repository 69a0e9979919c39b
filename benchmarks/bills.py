"""Bills for benchmarks: sessions by a tariff that looks at the clock, at the energy and at what stands idle."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from chassis.kafka import Record
from contracts.bills import BillEvent, CostUpdated, SessionMeasured, TariffBound, Usage
from contracts.cloudevents import Attributes, to_headers
from contracts.event import Instant, SessionId, SiteId, StationId, TenantId, Ticked, TokenId
from contracts.tariffs import Policy, PriceComponent, Restrictions, Tariff, TariffElement
from contracts.topics import BILLS
from services.billing import domain
from services.billing.heard import Heard
from services.billing.meter import END
from services.billing.state import Over, Station

BEGIN = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)
TENANT = TenantId("default")
ONE = SessionId("5e55-0000000")


def _element(kind: Any, price: str, **restrictions: Any) -> TariffElement:
    component = PriceComponent(kind, Decimal(price), vat=Decimal(25))
    return TariffElement((component,), Restrictions(**restrictions) if restrictions else None)


def tariff(day: str = "0.49") -> Tariff:
    """Return a tariff by day and by night, with a start fee and a fee for standing idle."""
    elements = (
        _element("ENERGY", day, start_time="07:00", end_time="21:00"),
        _element("ENERGY", "0.39"),
        _element("PARKING_TIME", "6.00"),
        _element("FLAT", "0.35"),
    )
    return Tariff("AC", "EUR", elements)


def usage(samples: int, minutes: float = 1) -> tuple[Usage, ...]:
    """Return what a session uses: it charges, and stands idle at the end."""
    whole = [
        Usage(BEGIN + timedelta(minutes=minutes * n), n * 180, "SUSPENDED_EV" if n == samples - 8 else None)
        for n in range(samples - 1)
    ]
    return (*whole, Usage(BEGIN + timedelta(minutes=minutes * samples), (samples - 1) * 180, END))


def over(samples: int) -> Over:
    """Return a session that is over, with so many samples, whose CDR is due."""
    return Over(
        tenant=TENANT, station=StationId("CP-1"), id=ONE, tariff=tariff(), policy=Policy(idle_grace_s=120),
        tariff_version=1, time_zone="Europe/Oslo", token=TokenId("0123456789abcdef" * 2), site=SiteId("harbour"),
        evse=1, connector=1, started_at=BEGIN, usage=usage(samples), due=BEGIN + timedelta(hours=2),
    )  # fmt: skip


def cdr(session: Over) -> BillEvent:
    """Return a session's CDR, as billing makes it."""
    at: Instant = BEGIN + timedelta(hours=3)
    [issued] = domain.decide(Station(over=(session,)), Heard(Ticked(at=at), at))
    return issued


def history(samples: int, minutes: float) -> list[BillEvent]:
    """Return all bills of a session, from its tariff to its CDR."""
    session = msgspec.structs.replace(over(samples), usage=usage(samples, minutes))
    about: dict[str, Any] = {"tenant": TENANT, "station": session.station, "session": session.id}
    bound = TariffBound(
        at=BEGIN, **about, tariff=session.tariff, policy=session.policy, tariff_version=1, assignment="tenant",
        time_zone=session.time_zone, token=session.token, site=session.site, evse=1, connector=1,
    )  # fmt: skip
    totals: dict[str, Any] = {"currency": "EUR", "total_excl": Decimal("1.23"), "total_incl": Decimal("1.54")}
    costs = [
        CostUpdated(at=each.at, **about, usage=(each,), energy_wh=each.energy_wh or 0, **totals)
        for each in session.usage[1:-1]
    ]
    due = BEGIN + timedelta(hours=2)
    measured = SessionMeasured(at=session.usage[-1].at, **about, usage=session.usage[-1:], due=due)
    return [bound, *costs, measured, cdr(session)]


def records(sessions: int, samples: int, *, minutes: float = 10, at_once: int = 500) -> Iterator[Record]:
    """Yield the records of sessions, so many of them over one another, as they come from Kafka."""
    events = history(samples, minutes)
    values = [BILLS.encode(event) or b"" for event in events]
    headers = [
        to_headers(Attributes("id", f"voltstream.{type(event).__name__}", "/voltstream/billing", "x", BEGIN, BEGIN))
        for event in events
    ]
    offset = 0
    for first in range(0, sessions, at_once):
        names = [b"5e55-%07d" % number for number in range(first, min(first + at_once, sessions))]
        for value, header in zip(values, headers, strict=True):
            for name in names:
                yield Record(BILLS, 0, offset, b"default/CP-1", value.replace(ONE.encode(), name), header, 0)
                offset += 1
