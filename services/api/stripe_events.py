"""What Stripe's webhooks mean to accounts. Pure; whether Stripe has really said it was looked at before.

Nothing is asked of Stripe for it, and the order in which events come does not matter: each says by itself what was done,
and accounts count it once. What Stripe answers to our own requests anyway is passed over.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from chassis.stripe_wire import Named, major, named
from contracts.postings import Operation, Outcome, ProviderAnswered


class Data(Struct, frozen=True):
    object: Raw


class StripeEvent(Struct, frozen=True):
    """What happened at Stripe. `created` is in seconds."""

    id: str
    type: str
    created: int
    data: Data

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)


class Intent(Struct, frozen=True, kw_only=True):
    """A payment."""

    id: str
    currency: str
    capture_method: str = "automatic"
    amount_capturable: int = 0
    amount_received: int = 0
    cancellation_reason: str | None = None
    metadata: dict[str, str] = {}


class Page(Struct, frozen=True, kw_only=True):
    """A page on which somebody was to pay."""

    id: str
    metadata: dict[str, str] = {}


class Refund(Struct, frozen=True, kw_only=True):
    """Money on its way back."""

    amount: int
    currency: str
    status: str
    payment_intent: str = ""
    failure_reason: str | None = None
    metadata: dict[str, str] = {}


class Dispute(Struct, frozen=True, kw_only=True):
    """Money that the payer wants back by way of a bank. It does not say whose payment it is."""

    id: str = ""
    status: str = ""
    amount: int
    currency: str
    payment_intent: str
    reason: str = ""


class Said(Struct, frozen=True, kw_only=True):
    """What came of an operation."""

    kind: Operation | Literal["expired", "disputed"]
    outcome: Outcome = "done"
    operation: str = ""
    amount: Decimal | None = None
    reference: str = ""
    reason: str = ""
    metadata: dict[str, str] = {}


def held(intent: Intent) -> Said | None:
    kind: Operation = "increase" if "increase" in intent.metadata else "authorise"
    return Said(
        kind=kind,
        operation=intent.metadata.get(kind, ""),
        amount=major(intent.amount_capturable, intent.currency),
        reference=intent.id,
        metadata=intent.metadata,
    )


def taken(intent: Intent) -> Said | None:
    kind: Operation = "capture" if intent.capture_method == "manual" else "charge"
    return Said(
        kind=kind,
        operation=intent.metadata.get(kind, ""),
        amount=major(intent.amount_received, intent.currency),
        reference=intent.id,
        metadata=intent.metadata,
    )


def canceled(intent: Intent) -> Said | None:
    """Return that a hold is no more, unless we have let it go ourselves."""
    if intent.cancellation_reason == "abandoned":
        return None
    reason = intent.cancellation_reason or ""
    return Said(kind="expired", reference=intent.id, reason=reason, metadata=intent.metadata)


def page_expired(page: Page) -> Said | None:
    kind: Operation = "charge" if "charge" in page.metadata else "authorise"
    return Said(
        kind=kind,
        operation=page.metadata.get(kind, ""),
        outcome="failed",
        reference=page.id,
        reason="page_expired",
        metadata=page.metadata,
    )


def refunded(refund: Refund) -> Said | None:
    if refund.status not in {"succeeded", "failed", "canceled"}:
        return None
    return Said(
        kind="refund",
        outcome="done" if refund.status == "succeeded" else "failed",
        operation=refund.metadata.get("refund", ""),
        amount=major(refund.amount, refund.currency),
        reference=refund.payment_intent,
        reason=refund.failure_reason or "",
        metadata=refund.metadata,
    )


def disputed(dispute: Dispute) -> Said | None:
    """Return that money is gone; where a bank only asks about a payment, none is yet."""
    return None if dispute.status.startswith("warning_") else _of_dispute(dispute, "done", dispute.reason)


def won(dispute: Dispute) -> Said | None:
    """Return that the money has come back."""
    return _of_dispute(dispute, "failed", "dispute_won")


def _of_dispute(dispute: Dispute, outcome: Outcome, reason: str) -> Said:
    return Said(
        kind="disputed",
        outcome=outcome,
        operation=dispute.id,
        amount=major(dispute.amount, dispute.currency),
        reference=dispute.payment_intent,
        reason=reason,
    )


MEANINGS: dict[str, tuple[type[Struct], Callable[[Any], Said | None]]] = {
    "payment_intent.amount_capturable_updated": (Intent, held),
    "payment_intent.succeeded": (Intent, taken),
    "payment_intent.canceled": (Intent, canceled),
    "checkout.session.expired": (Page, page_expired),
    "refund.created": (Refund, refunded),
    "refund.updated": (Refund, refunded),
    "refund.failed": (Refund, refunded),
    "charge.dispute.created": (Dispute, disputed),
    "charge.dispute.funds_withdrawn": (Dispute, disputed),
    "charge.dispute.funds_reinstated": (Dispute, won),
}
"""Each type of event that means something to us. The webhook at Stripe is set up for these."""


def meaning(event: StripeEvent) -> Said | None:
    """Return what an event means; None: nothing to us. Raises `msgspec.ValidationError` for what no event of its type is."""
    if event.type not in MEANINGS:
        return None
    shape, read = MEANINGS[event.type]
    return read(msgspec.json.decode(event.data.object, type=shape))


def whose(said: Said) -> Named | None:
    """Return whose payment it is, if what was said names one of ours."""
    return named(said.metadata)


def answered(event: StripeEvent, said: Said, of: Named) -> ProviderAnswered:
    """Return what is posted to the account."""
    return ProviderAnswered(
        at=event.at,
        tenant=of.tenant,
        account=of.account,
        payment=of.payment,
        operation=said.operation,
        kind=said.kind,
        outcome=said.outcome,
        amount=said.amount,
        reference=said.reference,
        reason=said.reason,
    )
