"""A payment begins: what the provider is asked first. Its operations are numbered, so each has one idempotency key (PAY-04)."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.event import PaymentId
from contracts.ledger import LedgerEvent, PaymentOpened, ProviderAsked
from contracts.postings import HoldAsked, Operation, TopUpAsked
from services.accounts.balance import about
from services.accounts.state import Account, Payment


def held_for(asked: HoldAsked) -> list[LedgerEvent]:
    """Return a new hold, and that the provider is asked for it."""
    payment = Payment(id=asked.payment, kind="hold", amount=asked.amount)
    opening = PaymentOpened(
        **about(asked),
        payment=payment.id,
        kind="hold",
        amount=asked.amount,
        currency=asked.currency,
        fingerprint=asked.fingerprint,
        requested_by=asked.requested_by,
        station=asked.station,
        evse=asked.evse,
        token=asked.token,
    )
    return [opening, ask(about(asked), payment, "authorise", asked.amount, asked.currency)]


def topped_up(asked: TopUpAsked, mandate: str) -> list[LedgerEvent]:
    """Return a new top-up, and that the provider is asked to charge the mandate, or else to hold what the payer gives."""
    payment = Payment(id=asked.payment, kind="top_up", amount=asked.amount, mandate=mandate)
    opening = PaymentOpened(
        **about(asked),
        payment=payment.id,
        kind="top_up",
        amount=asked.amount,
        currency=asked.currency,
        mandate=mandate,
        fingerprint=asked.fingerprint,
        requested_by=asked.requested_by,
    )
    kind: Operation = "charge" if mandate else "authorise"
    return [opening, ask(about(asked), payment, kind, asked.amount, asked.currency)]


def collected(state: Account, id: PaymentId, at: datetime, mandate: str) -> list[PaymentOpened | ProviderAsked]:
    """Return a payment that takes from the mandate what is owed."""
    who: dict[str, Any] = {"at": at, "tenant": state.tenant, "account": state.account}
    payment = Payment(id=id, kind="collection", amount=state.owed, mandate=mandate)
    opening = PaymentOpened(
        **who, payment=id, kind="collection", amount=state.owed, currency=state.currency, mandate=mandate
    )
    return [opening, ask(who, payment, "charge", state.owed, state.currency)]


def ask(who: dict[str, Any], payment: Payment, kind: Operation, amount: Decimal, currency: str) -> ProviderAsked:
    return ProviderAsked(
        **who,
        payment=payment.id,
        operation=payment.next_operation(),
        kind=kind,
        amount=amount,
        currency=currency,
        reference=payment.reference,
        mandate=payment.mandate if kind == "charge" else "",
    )
