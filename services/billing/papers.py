"""What is written of a session that is over: its CDR, the credit of one, and what it follows from."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import msgspec

from contracts.bills import BillLine, BillPeriod, CdrCredited, CdrIssued, Priced, Review, Usage
from contracts.event import Instant, JobId, derived_id
from contracts.sessions import OfSession
from services.billing.documents import negative
from services.billing.state import Bound, Over
from services.billing.tariff import Bill, Line, Period, price, rounded
from services.billing.taxes import shares, taken_back
from services.billing.usage import moment, seconds, session_of

ENGINE = "2"
"""Of the rules of pricing: what was billed by other rules is never priced again by itself (CDR-04)."""


def about(session: Bound) -> dict[str, Any]:
    return {"tenant": session.tenant, "station": session.station, "session": session.id}


def whose(event: OfSession) -> dict[str, Any]:
    return {"tenant": event.tenant, "station": event.station, "session": event.session}


def bill_of(session: Bound, usage: Sequence[Usage]) -> Bill:
    return price(session.tariff, session_of(usage, session.time_zone, session.policy))


def credited(session: Over, at: Instant) -> CdrCredited:
    """Return what takes the session's CDR back."""
    assert session.cdr is not None, "what was issued can be credited"
    return CdrCredited(
        at=at,
        **about(session),
        cdr=_id(session, f"credit-{session.number}"),
        credits=session.cdr,
        account=session.account,
        currency=session.currency,
        total_excl=negative(session.total_excl),
        total_incl=negative(session.total_incl),
        taxes=taken_back(session.taxes),
        started_at=session.started_at,
    )


def issued(session: Over, at: Instant, bill: Bill, review: Review | None = None, job: JobId | None = None) -> CdrIssued:
    """Return the session's next CDR."""
    return CdrIssued(
        at=at,
        **about(session),
        cdr=_id(session, session.number + 1),
        number=session.number + 1,
        tariff=session.tariff.id,
        tariff_version=session.tariff_version,
        token=session.token,
        account=session.account,
        site=session.site,
        started_at=session.started_at,
        ended_at=max(each.at for each in session.usage),
        priced=priced(session, bill),
        corrects=session.cdr,
        taxes=shares(bill, session.tariff),
        signed=session.signed,
        review=review,
        job=job,
    )


def _id(session: Over, what: str | int) -> str:
    return derived_id(session.id, "billing", what)


def priced(session: Over, bill: Bill) -> Priced:
    """Return a bill as it is written."""
    start, end = min(each.at for each in session.usage), max(each.at for each in session.usage)
    return Priced(
        currency=bill.currency,
        total_excl=bill.total_excl,
        total_incl=bill.total_incl,
        energy_wh=max(each.energy_wh or 0 for each in session.usage),
        seconds=seconds(end) - seconds(start),
        lines=tuple(_line(line, net, gross) for line, (net, gross) in zip(bill.lines, bill.apportioned(), strict=True)),
        periods=tuple(map(_period, bill.periods)),
        limit=bill.limit,
        flags=tuple(dict.fromkeys((*session.flags, *bill.flags))),
        input_hash=hash_of(session),
    )


def hash_of(session: Over) -> str:
    """Return what names all that a bill follows from."""
    said = (ENGINE, session.usage, session.tariff, session.tariff_version, session.policy, session.time_zone)
    return blake2b(msgspec.json.encode(said), digest_size=16).hexdigest()


def _line(line: Line, net: Decimal, gross: Decimal) -> BillLine:
    component = line.component
    return BillLine(
        dimension=line.kind,
        element=component.element,
        component=component.number,
        price=component.price,
        unit=line.unit,
        measured=f"{rounded(line.quantity, 3):f}",
        billed=f"{rounded(line.billed, 3):f}",
        net_exact=f"{rounded(line.net, 6):f}",
        gross_exact=f"{rounded(line.gross, 6):f}",
        net=net,
        gross=gross,
        vat=component.vat,
        discount_percent=f"{rounded(line.discount * 100, 2):f}",
        restrictions=component.said,
    )


def _period(period: Period) -> BillPeriod:
    return BillPeriod(
        start=moment(int(period.start)),
        state=period.kind,
        energy_kwh=f"{rounded(period.mwh / 1_000_000, 4):f}",
        hours=f"{rounded(Fraction(period.end - period.start) / 3600, 4):f}",
    )
