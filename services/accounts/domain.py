"""What postings mean for an account's money. Everything that follows of itself is decided from the state they leave."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Any

from msgspec.structs import replace

from contracts.event import PaymentId, Ticked, derived_id
from contracts.ledger import (
    Adjusted,
    AllowanceConsumed,
    AllowanceReturned,
    ChargingAllowed,
    ChargingRunning,
    DebtFound,
    DunningReached,
    FundsExhausted,
    InvoiceDrafted,
    LedgerEvent,
    MoneyReturned,
    MoneyTaken,
    NothingCharged,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentOpened,
    PaymentSettled,
    PostingRefused,
    ProviderAsked,
    ProviderRefused,
    ProviderSilent,
    SessionCharged,
    SessionCredited,
    Standing,
    SubscriptionCharged,
    SubscriptionEnded,
    WrittenOff,
)
from contracts.postings import (
    AdjustmentAsked,
    CdrPosted,
    CostPosted,
    CreditPosted,
    HoldAsked,
    InvoiceAsked,
    NothingDue,
    OfAccount,
    ProviderAnswered,
    TermsChanged,
    TopUpAsked,
)
from contracts.reference import CustomerAccount
from services.accounts import answers, asking, balance, bills, drafts, dunning, funds, payments, settling, subscriptions
from services.accounts.heard import Heard
from services.accounts.state import REQUESTS, Account, Request, State, earliest

Output = LedgerEvent | Standing

initial: State = Account()


def decide(state: State, heard: Heard[Any]) -> list[Output]:
    """Return what a posting or a deadline means, and all that follows from it."""
    if isinstance(heard.event, OfAccount):
        state = replace(state, tenant=heard.event.tenant, account=heard.event.account)
    outputs: list[Output] = []
    while months := subscriptions.renewed(state, heard.customer, heard.recorded_at or heard.event.at):
        outputs += months
        state = reduce(evolve, months, state)
    further: Sequence[Output] = _meaning(state, heard)
    while further:
        outputs += further
        state = reduce(evolve, further, state)
        further = _next(state, heard)
    return outputs


def _meaning(state: State, heard: Heard[Any]) -> Sequence[Output]:
    match heard.event:
        case CostPosted() | CdrPosted() | CreditPosted() | NothingDue() as bill:
            return bills.posted(state, bill, heard.customer)
        case HoldAsked() | TopUpAsked() | AdjustmentAsked() as asked:
            return asking.asked(state, asked, heard.customer)
        case InvoiceAsked() as asked:
            return _billed(state, asking.asked(state, asked, heard.customer), heard.customer)
        case ProviderAnswered() as said:
            return _with_debt(state, said, answers.answered(state, said))
        case TermsChanged() as changed:
            return subscriptions.begun(state, changed, heard.customer) or _next(state, heard)
        case _:
            return _next(state, heard)


def _next(state: State, heard: Heard[Any]) -> Sequence[Output]:
    """Return what follows next from how things are; nothing, if they may stay so."""
    at, customer = heard.event.at, heard.customer
    return (
        (_timed(state, customer, at) if isinstance(heard.event, Ticked) else ())
        or settling.next_step(state, at)
        or dunning.of_ad_hoc(state, at)
        or funds.next_exhausted(state, customer, at)
        or funds.next_standing(state, customer, at)
    )


def _timed(state: State, customer: CustomerAccount | None, at: datetime) -> Sequence[Output]:
    """Return the next thing that time brings."""
    for payment in state.payments:
        if of_payment := settling.timed(state, payment, at):
            return of_payment
    zone = customer.time_zone if customer is not None else "UTC"
    if not state.ad_hoc and (invoices := drafts.due(state, at, zone)):
        return _billed(state, invoices, customer)
    return dunning.timed(state, customer, at)


def _billed(state: State, events: Sequence[LedgerEvent], customer: CustomerAccount | None) -> Sequence[Output]:
    """Return documents, and after an invoice that is to be paid what is owed: taken from the mandate, or due in a while."""
    invoice = next((each for each in events if isinstance(each, InvoiceDrafted) and each.kind == "invoice"), None)
    if invoice is None or state.ad_hoc or (customer is not None and customer.kind == "prepaid"):
        return events
    now_due = drafts.as_invoiced(state, events)
    taken = dunning.collected(
        now_due, customer, PaymentId(derived_id(invoice.invoice, "accounts", "collection")), invoice.at
    )
    payment = taken[0].payment if taken else None
    return [*events, *dunning.found(now_due, invoice.at, invoice.at + dunning.TO_BE_PAID_WITHIN, payment), *taken]


def _with_debt(state: State, said: ProviderAnswered, events: Sequence[LedgerEvent]) -> Sequence[Output]:
    """Return what an answer means, and that what could not be collected is a debt from now on."""
    payment = state.payment(said.payment)
    failed = any(isinstance(each, PaymentSettled) and each.state in {"declined", "failed"} for each in events)
    if payment is None or payment.kind != "collection" or not failed:
        return events
    return [*events, *dunning.found(drafts.as_invoiced(state), said.at, said.at, payment.id)]


def deadline(state: State) -> datetime | None:
    """Return when time brings something next."""
    return earliest(
        (
            *(moment for payment in state.payments for moment in settling.deadlines(payment)),
            *(each.end + drafts.GRACE for each in state.drafts if not state.ad_hoc),
            funds.lapses_at(state),
            dunning.deadline(state),
            state.subscribed_until,
            _corrected_at(state),
        )
    )


def _corrected_at(state: State) -> datetime | None:
    """Return until when the CDR is waited for that takes a credited one's place, if something depends on it."""
    if state.credited_at is None:
        return None
    then = state.credited_at + settling.CORRECTED_WITHIN
    return then if settling.next_step(state, then) or dunning.of_ad_hoc(state, then) else None


# ---- what is remembered -------------------------------------------------------------------------------------------------


def evolve(state: State, event: Output) -> State:
    """Return the account after an event."""
    return _evolved(replace(state, tenant=event.tenant, account=event.account), event)


def _evolved(state: State, event: Output) -> State:
    match event:
        case SessionCharged():
            return payments.seen(drafts.with_session(balance.entered(state, event), event), over=True)
        case SessionCredited():
            return drafts.with_credit(balance.entered(state, event), event)
        case SubscriptionCharged():
            return subscriptions.with_month(drafts.with_first_line(balance.entered(state, event), event), event)
        case AllowanceConsumed():
            return subscriptions.with_consumed(drafts.with_line(balance.entered(state, event), event), event)
        case AllowanceReturned():
            return subscriptions.with_returned(drafts.with_line(balance.entered(state, event), event), event)
        case SubscriptionEnded():
            return replace(state, subscribed_until=None)
        case MoneyTaken() | MoneyReturned() | WrittenOff():
            return payments.stepped(balance.entered(state, event), event)
        case Adjusted():
            return _requested(balance.entered(state, event), event.request, event.fingerprint)
        case ChargingRunning():
            return payments.seen(balance.running(state, event), over=False)
        case NothingCharged():
            return payments.seen(balance.nothing_charged(state, event), over=True)
        case PostingRefused():
            return _requested(state, event.request, event.fingerprint)
        case PaymentOpened():
            return _requested(payments.opened(state, event), event.payment, event.fingerprint)
        case (
            ProviderAsked()
            | PaymentActionRequired()
            | ProviderSilent()
            | ProviderRefused()
            | PaymentAuthorised()
            | PaymentSettled()
            | ChargingAllowed()
        ):
            return payments.stepped(state, event)
        case FundsExhausted():
            return funds.exhausted(state, event)
        case DebtFound():
            return dunning.owing(state, event)
        case DunningReached():
            return dunning.dunned(state, event)
        case InvoiceDrafted():
            return _requested(drafts.drafted(state, event), event.request or "", "")
        case Standing():  # pragma: no branch
            return funds.said(state, event)


def _requested(state: State, id: str, fingerprint: str) -> State:
    """Return the account with a request that was heard, unless it is known, or nobody asked."""
    if not id or any(each.id == id for each in state.requests):
        return state
    return replace(state, requests=(*state.requests, Request(id, fingerprint))[-REQUESTS:])
