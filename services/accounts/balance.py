"""Entries: what goes from where to where, and what the account has then. All places together are always 0 (PAY-08)."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from contracts.currencies import decimals
from contracts.ledger import (
    Adjusted,
    AllowanceConsumed,
    AllowanceReturned,
    ChargingRunning,
    MoneyReturned,
    MoneyTaken,
    Movement,
    NothingCharged,
    Place,
    SessionCharged,
    SessionCredited,
    SubscriptionCharged,
    WrittenOff,
)
from contracts.postings import OfAccount, Source
from services.accounts.state import OPEN_SESSIONS, Account, Charging, Debt

Entered = (
    SessionCharged
    | SessionCredited
    | SubscriptionCharged
    | AllowanceConsumed
    | AllowanceReturned
    | MoneyTaken
    | MoneyReturned
    | Adjusted
    | WrittenOff
)


def about(event: OfAccount) -> dict[str, Any]:
    """Return what events that follow from this one have in common with it."""
    return {"at": event.at, "tenant": event.tenant, "account": event.account}


def entry(state: Account, amount: Decimal, other: Place, currency: str = "") -> dict[str, Any]:
    """Return the fields of the next entry: the account gets `amount` from there, or gives it if below 0."""
    amount = exact(amount, state.currency or currency)
    movement: Movement | None = None
    if amount > 0:
        movement = Movement(other, "customer", amount)
    elif amount < 0:
        movement = Movement("customer", other, -amount)
    return {
        "entry": state.entries + 1,
        "currency": state.currency or currency,
        "movement": movement,
        "balance": state.balance + amount,
    }


def exact(amount: Decimal, currency: str) -> Decimal:
    """Return the amount with at least the decimals of its currency."""
    rounded = round(amount, decimals(currency))
    return rounded if amount == rounded else amount


def entered(state: Account, event: Entered) -> Account:
    """Return the account after an entry: its balance, and what of its debt is left."""
    gained = event.balance - state.balance
    after = replace(state, currency=event.currency, entries=event.entry, balance=event.balance)
    match event:
        case SessionCharged() | SessionCredited():
            after = without_session(heard(after, event.source), event.session)
        case SubscriptionCharged() | AllowanceConsumed() | AllowanceReturned():
            return after  # what an allowance gives is a part of what its CDR spends, and pays for nothing else
        case WrittenOff():
            after = replace(after, unpaid=after.unpaid or event.reason == "dunned_in_vain")
        case MoneyTaken() | Adjusted() | MoneyReturned():  # pragma: no branch
            after = replace(after, unpaid=after.unpaid and gained <= 0)
    return replace(after, debt=less(after.debt, gained))


def less(debt: Debt | None, gained: Decimal) -> Debt | None:
    """Return what is left of a debt when the account has gained something; what it spends is no part of it."""
    if debt is None or gained <= 0:
        return debt
    return replace(debt, owed=debt.owed - gained) if debt.owed > gained else None


def heard(state: Account, source: Source) -> Account:
    """Return the account with this as the newest of its part."""
    others = tuple(each for each in state.heard if each.part != source.part)
    return replace(state, heard=(*others, source))


def running(state: Account, event: ChargingRunning) -> Account:
    """Return the account with what a session comes to so far, in the order in which they began."""
    after = replace(heard(state, event.source), currency=state.currency or event.currency)
    known = next((each for each in state.charging if each.session == event.session), None)
    if known is not None:
        longer = replace(known, amount=event.amount)
        return replace(after, charging=tuple(longer if each is known else each for each in state.charging))
    new = Charging(session=event.session, station=event.station, amount=event.amount)
    return replace(after, charging=(*state.charging, new)[-OPEN_SESSIONS:])


def nothing_charged(state: Account, event: NothingCharged) -> Account:
    return without_session(heard(state, event.source), event.session)


def without_session(state: Account, session: str) -> Account:
    return replace(state, charging=tuple(each for each in state.charging if each.session != session))
