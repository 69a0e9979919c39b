"""A payment is over: what is said of it then."""

from typing import Any

from contracts.ledger import PaymentSettled
from services.accounts.state import Payment

TOO_LONG = "payer_took_too_long"
NOT_CAPTURED = "not_captured"


def settled(who: dict[str, Any], payment: Payment, state: str, **more: Any) -> PaymentSettled:
    """Return that a payment is over, and which token it was that nobody needs any more."""
    return PaymentSettled(**who, payment=payment.id, state=state, token=payment.token, **more)  # type: ignore[arg-type]


def let_go(who: dict[str, Any], payment: Payment, operation: str, reason: str) -> PaymentSettled:
    """Return that nothing is held any more, or never was."""
    if payment.stage == "asked":
        return settled(who, payment, "failed", reason=TOO_LONG, operation=operation)
    if payment.stage == "over":
        how, sums = "captured" if payment.taken else "failed", {"taken": payment.taken, "returned": payment.returned}
        return settled(who, payment, how, reason=NOT_CAPTURED, operation=operation, **sums)
    return settled(who, payment, "released", reason=reason, operation=operation)
