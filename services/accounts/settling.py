"""What follows of itself for payments: what is taken, given back, let go or asked for again, and when.

An ad-hoc driver pays what is owed at the end and nothing else: what is too much is given back, what is too little is waived.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from contracts.ledger import LedgerEvent, ProviderRefused, WrittenOff
from services.accounts.balance import entry
from services.accounts.ending import TOO_LONG
from services.accounts.opening import ask
from services.accounts.state import NOTHING, Account, Asked, Payment

START_HEARD_WITHIN = timedelta(minutes=15)
"""So long after a session should have begun we have heard of it."""
STOP_BEFORE = timedelta(hours=24)
TAKE_BEFORE = timedelta(hours=1)
"""So long before a hold lapses its session is stopped, and what it comes to so far is taken (PAY-03)."""
CORRECTED_WITHIN = timedelta(minutes=10)
"""So long after a credit the CDR that takes its place may come; only then is money given back."""
HOLDS_AT_MOST = 4
"""A hold grows to at most so many times what it was."""
NEARLY = Decimal("0.9")
"""What is held is used up when a session comes to so much of it (PAY-02)."""
TOO_SMALL = Decimal(1)
"""Less than this is not worth asking for (PAY-06)."""


def next_step(state: Account, at: datetime) -> list[LedgerEvent]:
    """Return the next thing that is to be done for a payment, if there is one."""
    for payment in state.payments:
        if payment.pending is None and (step := _step(state, payment, at)):
            return step
    return []


def _step(state: Account, payment: Payment, at: datetime) -> list[LedgerEvent]:
    who: dict[str, Any] = {"at": at, "tenant": state.tenant, "account": state.account}
    match payment.kind, payment.stage:
        case "top_up", "held":
            if payment.finished:
                return [ask(who, payment, "release", payment.held, state.currency)]
            return [ask(who, payment, "capture", payment.held, state.currency)]
        case "hold", "held" if payment.finished:
            return _closing(state, payment, who)
        case "hold", "held":
            return _more(state, payment, who)
        case "hold", "over":
            return _afterwards(state, payment, who)
        case _:
            return []


def _closing(state: Account, payment: Payment, who: dict[str, Any]) -> list[LedgerEvent]:
    """Return what is taken of a hold whose session is over; where nothing is owed it is released."""
    if state.owed > 0:
        return [ask(who, payment, "capture", min(payment.held, state.owed), state.currency)]
    if awaits_correction(state, who["at"]):
        return []
    return [ask(who, payment, "release", payment.held, state.currency)]


def _more(state: Account, payment: Payment, who: dict[str, Any]) -> list[LedgerEvent]:
    """Return that more should be held when a session has nearly used up what is (PAY-02)."""
    total = payment.held + payment.amount
    if not is_nearly_used_up(state, payment) or total > payment.amount * HOLDS_AT_MOST or _was_refused_more(payment):
        return []
    return [ask(who, payment, "increase", total, state.currency)]


def is_nearly_used_up(state: Account, payment: Payment) -> bool:
    return state.reserved > 0 and state.reserved >= NEARLY * payment.held


def _was_refused_more(payment: Payment) -> bool:
    return any(each.kind == "increase" and each.state == "refused" for each in payment.operations)


def _afterwards(state: Account, payment: Payment, who: dict[str, Any]) -> list[LedgerEvent]:
    """Return what is given back of what was taken, or what is too little to be asked for (PAY-06). What was waived is no payer's."""
    left = payment.taken - payment.returned
    if _was_not_captured(payment):
        return [ask(who, payment, "release", payment.held, state.currency)]
    if NOTHING < state.owed < TOO_SMALL and not state.charging:
        return [WrittenOff(**who, **entry(state, state.owed, "losses"), payment=payment.id, reason="too_small")]
    refused = any(each.kind == "refund" and each.state == "refused" for each in payment.operations)
    if state.balance <= 0 or state.charging or awaits_correction(state, who["at"]):
        return []
    if payment.waived > 0:
        back = min(payment.waived, state.balance)
        return [WrittenOff(**who, **entry(state, -back, "losses"), payment=payment.id, reason="owed_no_more")]
    if left <= 0 or refused:
        return []
    return [ask(who, payment, "refund", min(left, state.balance), state.currency)]


def _was_not_captured(payment: Payment) -> bool:
    """Tell whether the provider would not take what was held, so that it is held for nothing: it may have been too little."""
    asked = {each.kind: each.state for each in payment.operations}
    return asked.get("capture") == "refused" and payment.taken == 0 and "release" not in asked


def awaits_correction(state: Account, at: datetime) -> bool:
    return state.credited_at is not None and at < state.credited_at + CORRECTED_WITHIN


# ---- what time brings -----------------------------------------------------------------------------------------------


def deadlines(payment: Payment) -> list[datetime | None]:
    """Return when something of a payment is due."""
    asked = payment.pending
    moments = [asked.again_at, asked.waits_until] if asked is not None else []
    if payment.stage != "held" or payment.kind != "hold" or asked is not None or payment.finished:
        return moments
    if not payment.used:
        return [given_up_at(payment)]
    return [payment.capture_before - TAKE_BEFORE if payment.capture_before else None]


def given_up_at(payment: Payment) -> datetime | None:
    return payment.until + START_HEARD_WITHIN if payment.until else None


def timed(state: Account, payment: Payment, at: datetime) -> list[LedgerEvent]:
    """Return what the time that has passed means for a payment."""
    who: dict[str, Any] = {"at": at, "tenant": state.tenant, "account": state.account}
    asked = payment.pending
    if asked is not None and asked.waits_until is not None and asked.waits_until <= at:
        return _given_up(state, payment, asked, who)
    if asked is not None and asked.again_at is not None and asked.again_at <= at:
        again = ask(who, payment, asked.kind, asked.amount, state.currency)
        return [replace(again, operation=asked.id, attempt=asked.attempt + 1)]
    if all(moment is None or moment > at for moment in deadlines(payment)) or asked is not None:
        return []
    if payment.used and (sum_so_far := max(state.owed, state.reserved)) > 0:
        return [ask(who, payment, "capture", min(payment.held, sum_so_far), state.currency)]
    return [ask(who, payment, "release", payment.held, state.currency)]


def _given_up(state: Account, payment: Payment, asked: Asked, who: dict[str, Any]) -> list[LedgerEvent]:
    """Return that the payer took too long. They may have paid all the same, or do so yet: whatever is there is let go."""
    return [
        ProviderRefused(**who, payment=payment.id, operation=asked.id, kind=asked.kind, reason=TOO_LONG),
        ask(who, payment, "release", asked.amount, state.currency),
    ]
