"""What Stripe's words mean in ours: of a payment intent's state, and of an error. Pure."""

from collections.abc import Mapping
from typing import Any

from chassis.stripe_wire import major, minor
from contracts.ledger import ProviderAsked
from services.payments.provider import Answer

Object = Mapping[str, Any]
"""One of Stripe's, as JSON."""


def outcome_of(asked: ProviderAsked, intent: Object) -> Answer | None:
    """Return what came of an operation, as the state of its payment intent says; None: it has not been done."""
    match asked.kind, intent["status"]:
        case "authorise", "requires_capture":
            return _done(intent, "amount_capturable")
        case "authorise" | "increase", "succeeded":
            return _done(intent, "amount")
        case "increase", "requires_capture":
            enough = intent["amount_capturable"] >= minor(asked.amount, asked.currency)
            return _done(intent, "amount_capturable") if enough else None
        case "charge" | "capture", "succeeded":
            return _done(intent, "amount_received")
        case "release", "canceled":
            return Answer("done", major(0, intent["currency"]), intent["id"])
        case _, "canceled":
            return Answer("failed", reference=intent["id"], reason=intent.get("cancellation_reason") or "canceled")
        case "release", "succeeded":
            return Answer("failed", reference=intent["id"], reason="already_captured")
        case "authorise" | "charge", _:
            return _unfinished(intent)
        case _:
            return None


def _done(intent: Object, amount: str) -> Answer:
    return Answer("done", major(intent[amount], intent["currency"]), intent["id"])


def _unfinished(intent: Object) -> Answer:
    """Return what keeps a payment from being held or taken."""
    match intent:
        case {"status": "requires_action", "next_action": {"redirect_to_url": {"url": str() as url}}}:
            return Answer("action_required", reference=intent["id"], url=url)
        case {"status": "requires_payment_method", "last_payment_error": {"code": str() as code} as error}:
            return Answer("declined", reference=intent["id"], reason=error.get("decline_code") or code)
        case {"status": "processing"}:
            return Answer("unreachable", reference=intent["id"], reason="processing")
        case _:
            return Answer("declined", reference=intent["id"], reason=intent["status"])


def of_page(asked: ProviderAsked, page: Object) -> Answer | None:
    """Return what came of an operation whose payer has not paid on the page."""
    if asked.kind == "release":
        return Answer("done", major(0, asked.currency), page["id"]) if page["status"] == "expired" else None
    if page["status"] == "open":
        return Answer("action_required", reference=page["id"], url=page["url"])
    return Answer("failed", reference=page["id"], reason="page_expired")


def of_refund(refund: Object) -> Answer:
    """Return what came of a refund. A pending one is on its way, and Stripe says by a webhook if it fails."""
    if refund["status"] in {"succeeded", "pending"}:
        return Answer("done", major(refund["amount"], refund["currency"]), refund["payment_intent"])
    return Answer("failed", reference=refund["payment_intent"], reason=refund.get("failure_reason") or refund["status"])


def of_error(status: int | None, code: str | None, error: Object) -> Answer:
    """Return what an error means: `status` is HTTP's, None where nobody answered (docs.stripe.com/error-handling)."""
    reference = (error.get("payment_intent") or {}).get("id", "")
    match status:
        case 402:
            return Answer("declined", reference=reference, reason=error.get("decline_code") or code or "card_declined")
        case 401 | 403:
            return Answer("unreachable", reason="Stripe refuses the key: see VOLTSTREAM_STRIPE_KEY")
        case 400 | 404:
            return Answer("failed", reference=reference, reason=code or error.get("type") or "invalid_request")
        case _:
            return Answer("unreachable", reason=code or ("no answer" if status is None else f"HTTP {status}"))
