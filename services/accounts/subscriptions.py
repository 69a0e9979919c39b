"""A monthly fee, and an allowance of energy that need not be paid for then (TAR-29).

A month is charged once, by the terms that hold when it begins. Its allowance is a meter of its own: what a CDR's first kWh cost is
given back, as long as there is something left. No tariff and no CDR is another because of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.currencies import unit
from contracts.event import derived_id
from contracts.ledger import (
    AllowanceConsumed,
    AllowanceReturned,
    LedgerEvent,
    PostingRefused,
    SessionCharged,
    SessionCredited,
    SubscriptionCharged,
    SubscriptionEnded,
)
from contracts.postings import CdrPosted, TermsChanged
from contracts.reference import CustomerAccount, Subscription
from services.accounts import drafts
from services.accounts.balance import entry
from services.accounts.state import CONSUMED, MONTHS, NOTHING, STRAY_DIGITS, Account, Consumed, SubscribedMonth

ZONES_APART = timedelta(days=2)
"""No two places are so far apart that a month ends so much later in one than in the other."""


# ---- months -------------------------------------------------------------------------------------------------------------


def begun(state: Account, changed: TermsChanged, customer: CustomerAccount | None) -> list[LedgerEvent]:
    """Return the first month of a subscription, which is charged whole however much of it is over; nothing while one goes on."""
    if state.ad_hoc or state.subscribed_until is not None or customer is None:
        return []
    at = max((changed.at, *(each.end for each in state.months)))
    month = drafts.month_of(at, customer.time_zone)
    match customer.subscription, why_none(state, customer):
        case Subscription() as terms, "":
            return [charged(state, customer, terms, at, month)]
        case Subscription(), "wrong_currency":
            return refused(state, customer, at, month.start)
        case _:
            return []


def renewed(state: Account, customer: CustomerAccount | None, now: datetime) -> list[LedgerEvent]:
    """Return what follows on a month that is over: the next one, or that there is none."""
    at = state.subscribed_until
    if at is None or now < at:
        return []
    why = why_none(state, customer)
    if customer is not None and customer.subscription is not None and not why:
        month = drafts.Month(at, drafts.month_of(at + ZONES_APART, customer.time_zone).end)
        return [charged(state, customer, customer.subscription, at, month)]
    ended = SubscriptionEnded(at=at, tenant=state.tenant, account=state.account, why=why)  # type: ignore[arg-type]
    return [*(refused(state, customer, at, at) if customer is not None and why == "wrong_currency" else ()), ended]


def why_none(state: Account, customer: CustomerAccount | None) -> str:
    """Return why no month is charged; empty: one is."""
    if customer is None or customer.subscription is None:
        return "none_agreed"
    if customer.closed:
        return "closed"
    return "" if state.currency in {"", customer.currency} else "wrong_currency"


def charged(
    state: Account, customer: CustomerAccount, terms: Subscription, at: datetime, month: drafts.Month
) -> SubscriptionCharged:
    """Return a month, charged on the invoice of when it was entered."""
    share = fee(terms, customer.currency)
    draft = drafts.draft_for(state, at, at, customer.time_zone)
    return SubscriptionCharged(
        **about(state, at),
        **entry(state, -share.gross, "revenue", customer.currency),
        id=id_of(state, month.start),
        invoice=draft.id,
        period_start=draft.start,
        period_end=draft.end,
        name=terms.name,
        month_start=month.start,
        month_end=month.end,
        net=share.net,
        gross=share.gross,
        taxes=(share,),
        allowance_wh=terms.allowance_wh,
    )


def refused(state: Account, customer: CustomerAccount, at: datetime, month_start: datetime) -> list[LedgerEvent]:
    """Return that a month cannot be charged, once."""
    id = id_of(state, month_start)
    if state.request(id) is not None:
        return []
    detail = f"the subscription is in {customer.currency}, and the account has {state.currency}"
    return [PostingRefused(**about(state, at), request=id, reason="wrong_currency", detail=detail)]


def id_of(state: Account, month_start: datetime) -> str:
    return derived_id(f"{state.tenant}/{state.account}", "accounts", f"subscription-{month_start.isoformat()}")


def about(state: Account, at: datetime) -> dict[str, Any]:
    return {"at": at, "tenant": state.tenant, "account": state.account}


def fee(terms: Subscription, currency: str) -> TaxShare:
    """Return the fee without and with VAT, each rounded once."""
    rate = None if terms.tax_included == "N/A" else terms.vat
    factor = 1 + (rate or NOTHING) / 100
    included = terms.tax_included == "YES"
    net = terms.monthly_fee / factor if included else terms.monthly_fee
    gross = terms.monthly_fee if included else terms.monthly_fee * factor
    return TaxShare(rate, rounded(net, currency), rounded(gross, currency))


def rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(unit(currency), ROUND_HALF_UP)


# ---- the allowance ------------------------------------------------------------------------------------------------------


def consumed(state: Account, bill: CdrPosted, cdr: SessionCharged) -> list[AllowanceConsumed]:
    """Return what a CDR, which has just been entered, consumes of the month in which its session began."""
    month = next((each for each in state.months if each.start <= bill.started_at < each.end), None)
    if month is None or bill.energy_wh <= 0 or sum((each.gross for each in bill.energy), NOTHING) <= 0:
        return []
    energy_wh = min(month.left_wh, bill.energy_wh)
    if energy_wh <= 0:
        return []
    taxes = worth(bill, energy_wh)
    return [
        AllowanceConsumed(
            **about(state, bill.at),
            **amounts(state, taxes),
            invoice=cdr.invoice,
            cdr=cdr.cdr,
            session=cdr.session,
            station=cdr.station,
            energy_wh=energy_wh,
            month=month.id,
            left_wh=month.left_wh - energy_wh,
            started_at=cdr.started_at,
            site=cdr.site,
        )
    ]


def worth(bill: CdrPosted, energy_wh: int) -> tuple[TaxShare, ...]:
    """Return what so much of a CDR's energy stands for, taken away: never more than the CDR has at that rate."""
    billed = {each.rate: each for each in bill.taxes or (TaxShare(None, bill.net, bill.gross),)}
    return tuple(_part(each, billed[each.rate], bill, energy_wh) for each in bill.energy if each.rate in billed)


def _part(energy: TaxShare, billed: TaxShare, bill: CdrPosted, energy_wh: int) -> TaxShare:
    net, gross = (rounded(each * energy_wh / bill.energy_wh, bill.currency) for each in (energy.net, energy.gross))
    net, tax = _within(net, billed.net), _within(gross - net, billed.gross - billed.net)
    return TaxShare(energy.rate, -net, -(net + tax))


def _within(amount: Decimal, most: Decimal) -> Decimal:
    return max(NOTHING, min(amount, most))


def returned(state: Account, credit: SessionCredited) -> list[AllowanceReturned]:
    """Return that the CDR of a credit, which has just been entered, has consumed nothing."""
    known = _consumed_by(state, credit.credits)
    if known is None:
        return []
    month = next((each for each in state.months if each.id == known.month), None)
    return [
        AllowanceReturned(
            **about(state, credit.at),
            **amounts(state, tuple(TaxShare(each.rate, -each.net, -each.gross) for each in known.taxes)),
            invoice=credit.invoice,
            cdr=credit.cdr,
            credits=credit.credits,
            session=credit.session,
            station=credit.station,
            energy_wh=known.energy_wh,
            month=known.month,
            left_wh=month.left_wh + known.energy_wh if month is not None else None,
        )
    ]


def _consumed_by(state: Account, cdr: str) -> Consumed | None:
    return next((each for each in reversed(state.consumed) if each.cdr == cdr[:STRAY_DIGITS]), None)


def amounts(state: Account, taxes: Sequence[TaxShare]) -> dict[str, Any]:
    """Return the fields of the next entry, which comes to these shares."""
    net, gross = sum((each.net for each in taxes), NOTHING), sum((each.gross for each in taxes), NOTHING)
    return entry(state, -gross, "revenue") | {"net": net, "gross": gross, "taxes": tuple(taxes)}


# ---- what is remembered -------------------------------------------------------------------------------------------------


def with_month(state: Account, event: SubscriptionCharged) -> Account:
    """Return the account with a month that has begun; of those before it, late CDRs consume the last few."""
    month = SubscribedMonth(
        id=event.id, start=event.month_start, end=event.month_end, allowance_wh=event.allowance_wh or 0
    )
    return replace(state, subscribed_until=month.end, months=(*state.months, month)[-MONTHS:])


def with_consumed(state: Account, event: AllowanceConsumed) -> Account:
    new = Consumed(event.cdr[:STRAY_DIGITS], event.month, event.energy_wh, event.taxes)
    return replace(_used(state, event, event.energy_wh), consumed=(*state.consumed, new)[-CONSUMED:])


def with_returned(state: Account, event: AllowanceReturned) -> Account:
    known = _consumed_by(state, event.credits)
    return replace(
        _used(state, event, -event.energy_wh), consumed=tuple(each for each in state.consumed if each is not known)
    )


def _used(state: Account, event: AllowanceConsumed | AllowanceReturned, energy_wh: int) -> Account:
    months = (
        replace(each, used_wh=each.used_wh + energy_wh) if each.id == event.month else each for each in state.months
    )
    return replace(state, months=tuple(months))
