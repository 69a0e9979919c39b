"""What is remembered of payments."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from contracts.ledger import (
    ChargingAllowed,
    MoneyReturned,
    MoneyTaken,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentOpened,
    PaymentSettled,
    ProviderAsked,
    ProviderRefused,
    ProviderSilent,
    WrittenOff,
)
from services.accounts.state import NOTHING, PAYMENTS, Account, Asked, Payment

PAYER_WITHIN = timedelta(minutes=30)

Step = (
    ProviderAsked
    | PaymentActionRequired
    | ProviderSilent
    | ProviderRefused
    | PaymentAuthorised
    | PaymentSettled
    | ChargingAllowed
    | MoneyTaken
    | MoneyReturned
    | WrittenOff
)


def stepped(state: Account, event: Step) -> Account:
    """Return the account after a step in the life of a payment."""
    payments = tuple(after(each, event) if each.id == event.payment else each for each in state.payments)
    return replace(state, payments=payments)


def opened(state: Account, event: PaymentOpened) -> Account:
    """Return the account with a new payment; of those that are over, the oldest are forgotten."""
    new = Payment(
        id=event.payment,
        kind=event.kind,
        amount=event.amount,
        station=event.station,
        evse=event.evse,
        token=event.token,
        fingerprint=event.fingerprint,
        mandate=event.mandate,
    )
    over = [each for each in state.payments if each.stage == "over" and each.pending is None]
    forgotten = over[: max(0, len(over) - PAYMENTS + 1)]
    kept = (each for each in state.payments if each not in forgotten)
    return replace(state, currency=state.currency or event.currency, payments=(*kept, new))


def after(payment: Payment, event: Step) -> Payment:
    """Return the payment after a step."""
    match event:
        case ProviderAsked():
            return _asked(payment, event)
        case PaymentActionRequired():
            return _awaited(payment, event)
        case ProviderSilent():
            return _marked(payment, event.operation, state="silent", again_at=event.again_at)
        case ProviderRefused():
            return _marked(payment, event.operation, state="refused")
        case PaymentAuthorised():
            return _held(payment, event)
        case MoneyTaken():
            taken = payment.taken + gained(event)
            return replace(_marked(payment, event.operation, state="done"), taken=taken)
        case MoneyReturned():
            return _returned(payment, event)
        case WrittenOff():
            return replace(payment, waived=payment.waived + gained(event))
        case ChargingAllowed():
            return replace(payment, until=event.until)
        case PaymentSettled():  # pragma: no branch
            return replace(_marked(payment, event.operation, state="done"), stage="over", finished=True)


def gained(event: MoneyTaken | MoneyReturned | WrittenOff) -> Decimal:
    """Return what an entry gives the account; below 0, what it takes."""
    moved = event.movement
    if moved is None:
        return NOTHING
    return moved.amount if moved.to == "customer" else -moved.amount


def _returned(payment: Payment, event: MoneyReturned) -> Payment:
    """Return the payment after money was given back, lost to a dispute, or has come back of either."""
    amount = -gained(event)
    if amount < 0:
        payment = _marked(payment, event.operation, state="refused", undone=True)
    elif event.operation and payment.asked(event.operation) is None:
        dispute = Asked(id=event.operation, kind="refund", amount=amount, state="done")
        payment = replace(payment, operations=(*payment.operations, dispute))
    else:
        payment = _marked(payment, event.operation, state="done", amount=amount)
    return replace(payment, returned=payment.returned + amount)


def _awaited(payment: Payment, event: PaymentActionRequired) -> Payment:
    """Return the payment whose payer is waited for: since they were first told what to do."""
    asked = payment.asked(event.operation)
    until = asked.waits_until if asked is not None and asked.waits_until is not None else event.at + PAYER_WITHIN
    waiting = _marked(payment, event.operation, state="pending", waits_until=until, again_at=event.again_at)
    return replace(waiting, reference=event.reference or payment.reference)


def _asked(payment: Payment, event: ProviderAsked) -> Payment:
    ends = payment.kind == "hold" and event.kind in {"release", "capture", "refund"}
    if payment.asked(event.operation) is not None:
        return _marked(payment, event.operation, state="pending", attempt=event.attempt)
    new = Asked(id=event.operation, kind=event.kind, amount=event.amount, attempt=event.attempt)
    return replace(payment, operations=(*payment.operations, new), finished=payment.finished or ends)


def _held(payment: Payment, event: PaymentAuthorised) -> Payment:
    """Return the payment with what is held; of one that is over, so that it is released."""
    return replace(
        _marked(payment, event.operation, state="done"),
        stage="held",
        held=event.held,
        reference=event.reference,
        capture_before=event.capture_before,
        finished=payment.finished or payment.stage == "over",
    )


def _marked(payment: Payment, operation: str, **changes: Any) -> Payment:
    """Return the payment with one of its operations as it is now. One that has been answered waits for nothing."""
    cleared: dict[str, Any] = {"again_at": None, **changes}
    if changes["state"] in {"done", "refused"}:
        cleared["waits_until"] = None
    operations = tuple(replace(each, **cleared) if each.id == operation else each for each in payment.operations)
    return replace(payment, operations=operations)


def seen(state: Account, *, over: bool) -> Account:
    """Return the account with its holds in use by a session, or done with it."""
    payments = tuple(
        replace(each, used=True, finished=each.finished or over) if each.kind == "hold" else each
        for each in state.payments
    )
    return replace(state, payments=payments)
