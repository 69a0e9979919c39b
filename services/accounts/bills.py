"""What bills say of an account's sessions: each counts once, however often it is carried over."""

from contracts.ledger import (
    ChargingRunning,
    InvoiceDrafted,
    LedgerEvent,
    NothingCharged,
    PostingRefused,
    SessionCharged,
    SessionCredited,
)
from contracts.postings import CdrPosted, CostPosted, CreditPosted, NothingDue, OfBill
from contracts.reference import CustomerAccount
from services.accounts import drafts, funds, subscriptions
from services.accounts.balance import about, entered, entry
from services.accounts.state import Account


def posted(state: Account, bill: OfBill, customer: CustomerAccount | None) -> list[LedgerEvent]:
    """Return what a bill means. What is in another currency than the account is for a person to look at."""
    if state.has_heard(bill.source):
        return []
    currency = state.currency or (customer.currency if customer is not None else bill.currency)
    if bill.currency != currency and not isinstance(bill, NothingDue):
        detail = f"session {bill.session} is billed in {bill.currency}, and the account has {currency}"
        return [PostingRefused(**about(bill), request=bill.session, reason="wrong_currency", detail=detail)]
    zone = customer.time_zone if customer is not None else "UTC"
    match bill:
        case CostPosted():
            return _running(state, bill, customer)
        case CdrPosted():
            charged = _charged(state, bill, zone)
            return [charged, *subscriptions.consumed(entered(state, charged), bill, charged)]
        case CreditPosted():
            return _credited(state, bill, zone)
        case _:
            return [NothingCharged(**about(bill), source=bill.source, session=bill.session)]


def _running(state: Account, bill: CostPosted, customer: CustomerAccount | None) -> list[LedgerEvent]:
    """Return what a session comes to so far, where that is of consequence."""
    if funds.available(state, customer) is None:
        return []
    return [
        ChargingRunning(
            **about(bill),
            source=bill.source,
            session=bill.session,
            station=bill.station,
            currency=bill.currency,
            amount=bill.amount,
        )
    ]


def _charged(state: Account, bill: CdrPosted, zone: str) -> SessionCharged:
    draft = drafts.draft_for(state, bill.started_at, bill.at, zone)
    return SessionCharged(
        **about(bill),
        **entry(state, -bill.gross, "revenue", bill.currency),
        source=bill.source,
        invoice=draft.id,
        period_start=draft.start,
        period_end=draft.end,
        cdr=bill.cdr,
        session=bill.session,
        station=bill.station,
        net=bill.net,
        gross=bill.gross,
        taxes=bill.taxes,
        energy_wh=bill.energy_wh,
        started_at=bill.started_at,
        ended_at=bill.ended_at,
        site=bill.site,
    )


def _credited(state: Account, bill: CreditPosted, zone: str) -> list[LedgerEvent]:
    """Return the credit of a CDR, what allowance it gives back, and the credit note if it was invoiced or no invoice is open to take it."""
    found = drafts.invoice_of(state, bill)
    is_open = any(each.id == found for each in state.drafts)
    if found is None and state.drafts:
        found, is_open = state.drafts[0].id, True
    credited = SessionCredited(
        **about(bill),
        **entry(state, -bill.gross, "revenue", bill.currency),
        source=bill.source,
        invoice=found if found is not None and is_open else state.next_document(),
        cdr=bill.cdr,
        credits=bill.credits,
        session=bill.session,
        station=bill.station,
        net=bill.net,
        gross=bill.gross,
        taxes=bill.taxes,
        invoiced_in=None if is_open else found,
    )
    returned = subscriptions.returned(entered(state, credited), credited)
    notes: list[InvoiceDrafted] = [] if is_open else [drafts.credit_note(state, credited, returned, zone)]
    return [credited, *returned, *notes]
