"""What the provider's answers mean, in whatever order they come.

What once was done stays done: a success counts whenever it is heard, and once; a failure only of what is still waited for.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from contracts.ledger import (
    ChargingAllowed,
    LedgerEvent,
    MoneyReturned,
    MoneyTaken,
    PaymentActionRequired,
    PaymentAuthorised,
    PostingRefused,
    ProviderRefused,
    ProviderSilent,
)
from contracts.postings import ProviderAnswered
from services.accounts.balance import about, entry
from services.accounts.ending import let_go, settled
from services.accounts.state import Account, Asked, Payment

START_WITHIN = timedelta(minutes=15)
"""So long after a hold is there its session may begin."""
HELD_FOR = timedelta(days=6)
"""A hold can be taken for so long, if the provider does not say: a day less than most cards grant (PAY-03)."""
ATTEMPTS = (10, 30, 120, 600, 3600, 21_600)
"""Seconds until an operation of which nobody knows what came of it is asked for again."""
LOOKS = (15, 15, 30, 60, 120, 300)
"""Seconds until the provider is asked whether the payer has done what is required: its webhook may be lost."""
HOLD_ATTEMPTS = 3


def answered(state: Account, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return what an answer means. One to what nobody asked for, or that has counted before, means nothing."""
    payment = state.payment(said.payment)
    if payment is None:
        return _of_nobody(state, said)
    if said.kind in {"expired", "disputed"}:
        return _by_itself(state, payment, said)
    asked = payment.asked(said.operation)
    if asked is None or asked.undone:
        return []
    if asked.state == "done":
        return _come_back(state, payment, asked, said) if asked.kind == "refund" else []
    if said.outcome == "done":
        return _done(state, payment, asked, said)
    if asked.state == "refused":
        return []
    return _undone(payment, asked, said)


def _of_nobody(state: Account, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return that a person is to enter a dispute: its payment was so long ago that nobody remembers it."""
    is_dispute = said.kind == "disputed" and said.outcome == "done" and said.operation
    if not is_dispute or state.request(said.operation) is not None:
        return []
    detail = (
        f"{said.amount} of payment {said.payment} ({said.reference}) is disputed, and that payment is not remembered"
    )
    return [PostingRefused(**about(said), request=said.operation, reason="payment_forgotten", detail=detail)]


def _by_itself(state: Account, payment: Payment, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return what it means that a hold has lapsed, or that a payer disputes what was taken."""
    if said.kind == "expired":
        return _lapsed(payment, said)
    if (known := payment.asked(said.operation)) is not None:
        return [] if known.undone else _come_back(state, payment, known, said)
    if (left := payment.taken - payment.returned) <= 0 or said.outcome != "done":
        return []
    lost = min(left, said.amount or left)
    back = payment.returned + lost
    return [
        MoneyReturned(**about(said), payment=payment.id, operation=said.operation, **entry(state, -lost, "provider")),
        settled(about(said), payment, "disputed", taken=payment.taken, returned=back, reason=said.reason),
    ]


def _come_back(state: Account, payment: Payment, asked: Asked, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return that what was given back has come back, if a webhook says so: a bank has refused a refund after all, or a dispute was won.

    An answer of ours that fails says no amount: it comes late, of an attempt that was one too many.
    """
    if said.outcome != "failed" or said.amount is None:
        return []
    back = payment.returned - asked.amount
    how = "captured" if back <= 0 else "partially_refunded"
    what: dict[str, Any] = {**about(said), "payment": payment.id, "operation": asked.id}
    return [
        MoneyReturned(**what, **entry(state, asked.amount, "provider")),
        ProviderRefused(**what, kind="refund", reason=said.reason),
        settled(about(said), payment, how, taken=payment.taken, returned=back, reason=said.reason),
    ]


def _lapsed(payment: Payment, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return that a hold is no more, and neither is what was asked for it that nobody has answered."""
    if payment.stage == "over":
        return []
    over = settled(about(said), payment, "failed", reason="expired")
    if (asked := payment.pending) is None or asked.kind not in {"authorise", "increase"}:
        return [over]
    return [
        ProviderRefused(**about(said), payment=payment.id, operation=asked.id, kind=asked.kind, reason="expired"),
        over,
    ]


def _done(state: Account, payment: Payment, asked: Asked, said: ProviderAnswered) -> list[LedgerEvent]:
    what: dict[str, Any] = {**about(said), "payment": payment.id, "operation": asked.id}
    amount = asked.amount if said.amount is None else said.amount
    match asked.kind:
        case "authorise" | "increase":
            return _authorised(payment, asked, said, amount)
        case "capture" | "charge":
            taken = payment.taken + amount
            return [
                MoneyTaken(**what, **entry(state, amount, "provider"), reference=said.reference),
                settled(about(said), payment, "captured", taken=taken, returned=payment.returned, operation=asked.id),
            ]
        case "release":
            return [let_go(about(said), payment, asked.id, said.reason)]
        case "refund":  # pragma: no branch
            back = payment.returned + amount
            how = "refunded" if back >= payment.taken else "partially_refunded"
            return [
                MoneyReturned(**what, **entry(state, -amount, "provider")),
                settled(about(said), payment, how, taken=payment.taken, returned=back, operation=asked.id),
            ]


def _authorised(payment: Payment, asked: Asked, said: ProviderAnswered, amount: Decimal) -> list[LedgerEvent]:
    """Return that so much is held, and for a hold nobody has given up that the station may start."""
    if asked.kind == "increase" and payment.stage != "held":
        return _too_late(asked, said)
    held = PaymentAuthorised(
        **about(said),
        payment=payment.id,
        operation=asked.id,
        held=amount,
        reference=said.reference or payment.reference,
        capture_before=said.capture_before or payment.capture_before or said.at + HELD_FOR,
    )
    if (
        payment.stage != "asked"
        or payment.finished
        or payment.station is None
        or payment.evse is None
        or payment.token is None
    ):
        return [held]
    return [
        held,
        ChargingAllowed(
            **about(said),
            payment=payment.id,
            station=payment.station,
            evse=payment.evse,
            token=payment.token,
            until=said.at + START_WITHIN,
        ),
    ]


def _too_late(asked: Asked, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return that more for a payment that is over is nothing; nobody waits for it any more."""
    if asked.state == "refused":
        return []
    reason = "payment_over"
    return [
        ProviderRefused(**about(said), payment=said.payment, operation=asked.id, kind=asked.kind, reason=reason),
    ]


def _undone(payment: Payment, asked: Asked, said: ProviderAnswered) -> list[LedgerEvent]:
    what: dict[str, Any] = {**about(said), "payment": payment.id, "operation": asked.id}
    match said.outcome:
        case "action_required":
            if asked.state == "pending" and asked.again_at is not None:
                return []
            again_at = said.at + _pause(LOOKS, asked)
            return [PaymentActionRequired(**what, url=said.url, reference=said.reference, again_at=again_at)]
        case "unreachable" if not _is_given_up(payment, asked):
            if asked.state == "silent":
                return []
            pauses = ATTEMPTS if asked.waits_until is None else LOOKS
            return [ProviderSilent(**what, again_at=said.at + _pause(pauses, asked))]
        case _:
            return [
                ProviderRefused(**what, kind=asked.kind, reason=said.reason),
                *_ended(payment, asked, said),
            ]


def _pause(pauses: Sequence[int], asked: Asked) -> timedelta:
    """Return how long after so many attempts the next is made."""
    return timedelta(seconds=pauses[min(asked.attempt, len(pauses)) - 1])


def _is_given_up(payment: Payment, asked: Asked) -> bool:
    """Tell whether whoever waits at a station has waited long enough. Should the hold be there all the same, it is released."""
    if asked.waits_until is not None:  # the payer is on the provider's page, and has until then
        return False
    return payment.kind == "hold" and asked.kind == "authorise" and asked.attempt >= HOLD_ATTEMPTS


def _ended(payment: Payment, asked: Asked, said: ProviderAnswered) -> list[LedgerEvent]:
    """Return how a payment ends by an operation that was refused; an increase or a refund ends none."""
    if asked.kind in {"authorise", "charge", "capture"}:
        how = "declined" if said.outcome == "declined" else "failed"
        return [settled(about(said), payment, how, reason=said.reason)]
    if asked.kind == "release":
        return [let_go(about(said), payment, asked.id, said.reason)]
    return []
