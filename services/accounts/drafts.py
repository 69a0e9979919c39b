"""Invoices that are due: for each month, and at once where somebody asks. What they have is kept as sums alone (TAR-33).

A CDR is in the invoice of the month in which its session began, or in the oldest that is still open if it came too late. The
credit of a CDR that was not invoiced is a line of the same invoice; one that was is corrected by a credit note.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.currencies import unit
from contracts.event import InvoiceId, RequestId
from contracts.ledger import (
    AllowanceConsumed,
    AllowanceReturned,
    InvoiceDrafted,
    LedgerEvent,
    SessionCharged,
    SessionCredited,
    SubscriptionCharged,
)
from contracts.postings import CreditPosted
from services.accounts.state import DOCUMENTS, NOTHING, STRAY_DIGITS, STRAYS, Account, Document, Draft, Stray

GRACE = timedelta(days=3)
"""So long after the end of a month its late CDRs are waited for."""

Line = SessionCharged | SessionCredited | SubscriptionCharged | AllowanceConsumed | AllowanceReturned


class Month(NamedTuple):
    """A month of an account's zone."""

    start: datetime
    end: datetime


def month_of(moment: datetime, zone: str) -> Month:
    """Return the month in which a moment lies."""
    here = ZoneInfo(zone)
    first = moment.astimezone(here).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    utc = ZoneInfo("UTC")
    return Month(first.astimezone(utc), following.astimezone(utc))


# ---- where a CDR belongs ------------------------------------------------------------------------------------------------


def draft_for(state: Account, began: datetime, at: datetime, zone: str) -> Draft:
    """Return the draft that something entered at a moment is a line of: that of when it began, or the oldest open one if that is closed."""
    for draft in state.drafts:
        if draft.start <= began < draft.end:
            return draft
    month = month_of(began, zone)
    closed = max((each.end for each in state.documents), default=month.start)
    if month.end <= closed:
        month = month_of(max(closed, at), zone)
        return next((each for each in state.drafts if each.end >= month.end), new_draft(state, month, closed))
    return new_draft(state, month, closed)


def new_draft(state: Account, month: Month, closed: datetime) -> Draft:
    """Return a draft of what is left of a month."""
    start = closed if month.start < closed < month.end else month.start
    return Draft(id=state.next_document(), start=start, end=month.end)


def invoice_of(state: Account, credit: CreditPosted) -> InvoiceId | None:
    """Return the invoice that the credited CDR is in, be it drafted or not; None: nobody knows any more."""
    stray = next((each for each in reversed(state.strays) if each.cdr == credit.credits[:STRAY_DIGITS]), None)
    if stray is not None:
        return stray.invoice
    if (began := credit.started_at) is None:
        return None
    every: tuple[Draft | Document, ...] = (*state.drafts, *reversed(state.documents))
    return next((each.id for each in every if each.start <= began < each.end), None)


# ---- what a draft comes to ----------------------------------------------------------------------------------------------


def with_session(state: Account, event: SessionCharged) -> Account:
    """Return the account with a CDR as a line of its draft: what was credited before it is waited for no more."""
    strays = state.strays
    if not event.period_start <= event.started_at < event.period_end:
        strays = (*strays, Stray(event.cdr[:STRAY_DIGITS], event.invoice))[-STRAYS:]
    return replace(with_first_line(state, event), credited_at=None, strays=strays)


def with_first_line(state: Account, event: SessionCharged | SubscriptionCharged) -> Account:
    """Return the account with a line, and with its draft if there was none."""
    if any(each.id == event.invoice for each in state.drafts):
        return with_line(state, event)
    month = Draft(id=event.invoice, start=event.period_start, end=event.period_end)
    drafts = tuple(sorted((*state.drafts, month), key=lambda each: each.end))
    return with_line(replace(state, drafted=state.drafted + 1, drafts=drafts), event)


def with_credit(state: Account, event: SessionCredited) -> Account:
    """Return the account with the credit of a CDR in its draft, if it is a line of one."""
    return replace(with_line(state, event), credited_at=event.at)


def with_line(state: Account, event: Line) -> Account:
    """Return the account with a line in its draft, unless that is a document already."""
    drafts = tuple(_with_line(each, event) if each.id == event.invoice else each for each in state.drafts)
    return replace(state, drafts=drafts)


def _with_line(draft: Draft, event: Line) -> Draft:
    return replace(
        draft,
        first_entry=draft.first_entry or event.entry,
        last_entry=event.entry,
        lines=draft.lines + 1,
        taxes=summed((*draft.taxes, *shares_of(event))),
    )


def shares_of(event: Line) -> tuple[TaxShare, ...]:
    return event.taxes or (TaxShare(None, event.net, event.gross),)


def summed(shares: Iterable[TaxShare]) -> tuple[TaxShare, ...]:
    """Return one share for each rate."""
    sums: dict[Decimal | None, TaxShare] = {}
    for each in shares:
        known = sums.get(each.rate, TaxShare(each.rate, NOTHING, NOTHING))
        sums[each.rate] = TaxShare(each.rate, known.net + each.net, known.gross + each.gross)
    return tuple(sums.values())


def taxed(share: TaxShare, currency: str) -> TaxShare:
    """Return the share with VAT once on the sum of its nets, half up (D-1, D-2); without a rate, as its lines say."""
    if share.rate is None:
        return share
    tax = (share.net * share.rate / 100).quantize(unit(currency), ROUND_HALF_UP)
    return replace(share, gross=share.net + tax)


# ---- what is drafted ----------------------------------------------------------------------------------------------------


def due(state: Account, now: datetime, zone: str) -> list[InvoiceDrafted]:
    """Return the invoices of months that are over, and whose late CDRs have been waited for."""
    return [invoice(state, each, now, zone) for each in state.drafts if each.end + GRACE <= now]


def as_invoiced(state: Account, documents: Iterable[LedgerEvent] = ()) -> Account:
    """Return the account as if what is in no document yet, nor in one of these, had not been charged: it is not due."""
    done = {each.invoice for each in documents if isinstance(each, InvoiceDrafted)}
    open_ = sum((share.gross for each in state.drafts if each.id not in done for share in each.taxes), NOTHING)
    return replace(state, balance=state.balance + max(NOTHING, open_))


def invoice(state: Account, draft: Draft, now: datetime, zone: str, request: RequestId | None = None) -> InvoiceDrafted:
    """Return that a draft is due. One that comes to less than nothing is a credit note."""
    taxes = tuple(taxed(each, state.currency) for each in draft.taxes)
    net, gross = sum((each.net for each in taxes), NOTHING), sum((each.gross for each in taxes), NOTHING)
    kind = "INV" if gross >= 0 else "CN"
    return InvoiceDrafted(
        at=now,
        tenant=state.tenant,
        account=state.account,
        invoice=draft.id,
        kind="invoice" if kind == "INV" else "credit_note",
        series=f"{now.astimezone(ZoneInfo(zone)).year}-{kind}",
        currency=state.currency,
        period_start=draft.start,
        period_end=min(draft.end, now),
        first_entry=draft.first_entry,
        last_entry=draft.last_entry,
        lines=draft.lines,
        net=net,
        gross=gross,
        taxes=taxes,
        request=request,
    )


def credit_note(
    state: Account, credit: SessionCredited, returned: Sequence[AllowanceReturned], zone: str
) -> InvoiceDrafted:
    """Return the document that corrects an invoice by a credit of one of its CDRs, less the allowance that this had consumed."""
    lines: tuple[Line, ...] = (credit, *returned)
    shares = tuple(share for each in lines for share in shares_of(each))
    return InvoiceDrafted(
        at=credit.at,
        tenant=state.tenant,
        account=state.account,
        invoice=credit.invoice,
        kind="credit_note",
        series=f"{credit.at.astimezone(ZoneInfo(zone)).year}-CN",
        currency=credit.currency,
        period_start=credit.at,
        period_end=credit.at,
        first_entry=credit.entry,
        last_entry=lines[-1].entry,
        lines=len(lines),
        net=sum((each.net for each in lines), NOTHING),
        gross=sum((each.gross for each in lines), NOTHING),
        taxes=summed(shares),
        refers_to=credit.invoiced_in,
    )


def drafted(state: Account, event: InvoiceDrafted) -> Account:
    """Return the account without the draft. Of an invoice it is remembered when its sessions began."""
    if all(each.id != event.invoice for each in state.drafts):
        return replace(state, drafted=state.drafted + 1)
    document = Document(event.invoice, event.period_start, event.period_end)
    return replace(
        state,
        drafts=tuple(each for each in state.drafts if each.id != event.invoice),
        documents=(*state.documents, document)[-DOCUMENTS:],
    )
