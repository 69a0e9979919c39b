"""What people ask of an account: each request once, and what cannot be done is refused with a reason."""

from decimal import Decimal

from contracts.ledger import Adjusted, LedgerEvent, PostingRefused
from contracts.postings import AdjustmentAsked, HoldAsked, InvoiceAsked, TopUpAsked
from contracts.reference import CustomerAccount
from services.accounts import drafts, opening
from services.accounts.balance import about, entry
from services.accounts.state import PAYMENTS, Account

Asking = HoldAsked | TopUpAsked | AdjustmentAsked | InvoiceAsked


def asked(state: Account, asking: Asking, customer: CustomerAccount | None) -> list[LedgerEvent]:
    """Return what comes of a request; of one that has been heard before, nothing."""
    known = state.request(name_of(asking))
    if known is not None and known.fingerprint == print_of(asking):
        return []
    if known is not None:
        return [refused(asking, "idempotency_key_reused", "another request has been made under this key")]
    if (why := why_not(state, asking, customer)) is not None:
        return [refused(asking, *why)]
    return _granted(state, asking, customer)


def _granted(state: Account, asking: Asking, customer: CustomerAccount | None) -> list[LedgerEvent]:
    match asking:
        case HoldAsked():
            return opening.held_for(asking)
        case TopUpAsked():
            return opening.topped_up(asking, customer.mandate if customer is not None else "")
        case AdjustmentAsked():
            return [adjusted(state, asking)]
        case InvoiceAsked():  # pragma: no branch
            zone = customer.time_zone if customer is not None else "UTC"
            return [drafts.invoice(state, each, asking.at, zone, asking.request) for each in state.drafts]


def adjusted(state: Account, asking: AdjustmentAsked) -> Adjusted:
    return Adjusted(
        **about(asking),
        **entry(state, asking.amount, "adjustments", asking.currency),
        request=asking.request,
        reason=asking.reason,
        requested_by=asking.requested_by,
        fingerprint=asking.fingerprint,
    )


def why_not(state: Account, asking: Asking, customer: CustomerAccount | None) -> tuple[str, str] | None:
    """Return why a request cannot be done, for programs and for people."""
    match asking:
        case HoldAsked() if not state.ad_hoc:
            return "not_ad_hoc", "a hold has an account of its own"
        case HoldAsked() if state.payments:
            return "not_ad_hoc", "there is a payment of that name"
        case TopUpAsked() if customer is None or customer.kind != "prepaid":
            return "not_prepaid", f"{state.account} is no prepaid account"
        case TopUpAsked() | AdjustmentAsked() if customer is not None and customer.closed:
            return "closed", f"account {state.account} is closed"
        case TopUpAsked() if state.going_on >= PAYMENTS:
            return "too_many_payments", f"{PAYMENTS} payments of account {state.account} go on already"
        case InvoiceAsked() if not state.drafts:
            return "nothing_to_bill", "nothing has been entered that was in no invoice"
        case InvoiceAsked():
            return None
        case AdjustmentAsked(amount=amount) if amount == 0:
            return "nothing", "0 changes nothing"
        case HoldAsked(amount=amount) | TopUpAsked(amount=amount) if amount <= Decimal(0):
            return "nothing", "the amount should be above 0"
    currency = state.currency or (customer.currency if customer is not None else asking.currency)
    if asking.currency != currency:
        return "wrong_currency", f"account {state.account} has {currency}"
    return None


def name_of(asking: Asking) -> str:
    return asking.payment if isinstance(asking, HoldAsked | TopUpAsked) else asking.request


def print_of(asking: Asking) -> str:
    return "" if isinstance(asking, InvoiceAsked) else asking.fingerprint


def refused(asking: Asking, reason: str, detail: str) -> PostingRefused:
    return PostingRefused(
        **about(asking), request=name_of(asking), reason=reason, detail=detail, fingerprint=print_of(asking)
    )
