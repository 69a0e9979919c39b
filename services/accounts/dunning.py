"""What is owed and was not paid in time: reminded of after 3, 10 and 20 days, then written off (PAY-09)."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from contracts.event import PaymentId, derived_id
from contracts.ledger import DebtFound, DunningReached, LedgerEvent, PaymentOpened, ProviderAsked, WrittenOff
from contracts.reference import CustomerAccount
from services.accounts import drafts, opening
from services.accounts.balance import entry
from services.accounts.settling import TOO_SMALL, awaits_correction
from services.accounts.state import Account, Debt

AFTER = (timedelta(days=3), timedelta(days=10), timedelta(days=20))
WRITTEN_OFF_AFTER = timedelta(days=30)
TO_BE_PAID_WITHIN = timedelta(days=14)
"""What an invoice says, where nothing is taken from a mandate."""


def found(state: Account, at: datetime, due: datetime, payment: PaymentId | None = None) -> list[LedgerEvent]:
    """Return that what the account owes was to be paid by `due`."""
    if state.owed <= 0:
        return []
    return [
        DebtFound(
            at=at,
            tenant=state.tenant,
            account=state.account,
            owed=state.owed,
            currency=state.currency,
            due=due,
            payment=payment,
        )
    ]


def of_ad_hoc(state: Account, at: datetime) -> list[LedgerEvent]:
    """Return what an ad-hoc driver owes once there is no hold left to take it from."""
    going_on = any(each.stage != "over" or each.pending for each in state.payments)
    settled = not (state.charging or going_on or awaits_correction(state, at))
    if not state.ad_hoc or not settled or state.debt is not None or state.owed < TOO_SMALL:
        return []
    return found(state, at, at, state.payments[-1].id if state.payments else None)


def owing(state: Account, event: DebtFound) -> Account:
    """Return the account with a debt; of several, dunning counts from the first."""
    new = Debt(owed=event.owed, due=event.due, payment=event.payment)
    if (known := state.debt) is None:
        return replace(state, debt=new)
    return replace(state, debt=replace(known, owed=event.owed, due=min(known.due, event.due)))


def deadline(state: Account) -> datetime | None:
    """Return when the next level is reached."""
    if (debt := state.debt) is None:
        return None
    return debt.due + (AFTER[debt.level] if debt.level < len(AFTER) else WRITTEN_OFF_AFTER)


def timed(state: Account, customer: CustomerAccount | None, at: datetime) -> list[LedgerEvent]:
    """Return what time brings to what is owed: a level, on which the mandate is tried again; or the end of it."""
    debt, reached = state.debt, deadline(state)
    if debt is None or reached is None or reached > at:
        return []
    who: dict[str, Any] = {"at": at, "tenant": state.tenant, "account": state.account}
    if debt.level == len(AFTER):
        lost = min(debt.owed, state.owed)
        return [
            WrittenOff(**who, **entry(state, lost, "losses"), payment=debt.payment, reason="dunned_in_vain"),
        ]
    level = debt.level + 1
    once_more = derived_id(f"{state.tenant}/{state.account}/{debt.due.isoformat()}", "accounts", f"dunning-{level}")
    return [
        DunningReached(**who, level=level, owed=debt.owed, currency=state.currency, payment=debt.payment),
        *collected(drafts.as_invoiced(state), customer, PaymentId(once_more), at),
    ]


def collected(
    state: Account, customer: CustomerAccount | None, id: PaymentId, at: datetime
) -> list[PaymentOpened | ProviderAsked]:
    """Return that what is owed is taken from the mandate, if there is one and nothing is being taken already."""
    taking = any(each.kind == "collection" and each.pending for each in state.payments)
    if customer is None or not customer.mandate or taking or state.owed <= 0 or state.payment(id) is not None:
        return []
    return opening.collected(state, id, at, customer.mandate)


def dunned(state: Account, event: DunningReached) -> Account:
    return replace(state, debt=replace(state.debt, level=event.level) if state.debt is not None else None)
