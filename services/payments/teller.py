"""Asks the provider for what accounts have decided, and writes what came of it.

One attempt is made. Whoever does not answer is `unreachable`, and accounts ask again later: so no payment waits for another's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from chassis import clock
from chassis.follow import Follower
from chassis.logs import log
from contracts.event import Message
from contracts.ledger import ProviderAsked
from contracts.postings import Operation, ProviderAnswered
from contracts.topics import LEDGER, POSTINGS
from services.payments.provider import Answer, Provider

REMEMBERED = timedelta(hours=20)
"""How long after it was asked an operation may simply be asked again: Stripe remembers idempotency keys for 24 hours."""

NOT_SET_UP = "no payment provider is set up: see VOLTSTREAM_STRIPE_KEY"

Ask = Callable[[ProviderAsked], Awaitable[Answer]]


def asks(provider: Provider) -> Mapping[Operation, Ask]:
    """Return how each kind of operation is asked for."""
    return {
        "authorise": provider.authorise,
        "increase": provider.increase,
        "charge": provider.charge,
        "capture": provider.capture,
        "release": provider.release,
        "refund": provider.refund,
    }


def build(provider: Provider | None) -> Follower:
    """Return the teller, not yet started. Without a provider every operation fails, and says why."""

    async def carry_out(message: Message[Any]) -> Sequence[ProviderAnswered]:
        answer = Answer("failed", reason=NOT_SET_UP) if provider is None else await answer_to(message, provider)
        return [told(message.event, answer)]

    return Follower("payments.teller", LEDGER, (POSTINGS,), carry_out, hears=(ProviderAsked,), brings_answers=True)


async def answer_to(message: Message[ProviderAsked], provider: Provider) -> Answer:
    """Ask, but look first if it may have been done by an attempt of which nobody knows."""
    asked = message.event
    if asked.attempt > 1 or clock.now() - message.recorded_at > REMEMBERED:
        found = await provider.fetch(asked)
        if found is not None:
            return found
    return await asks(provider)[asked.kind](asked)


def told(asked: ProviderAsked, answer: Answer) -> ProviderAnswered:
    log.info(
        "the provider was asked", payment=asked.payment, kind=asked.kind, outcome=answer.outcome, why=answer.reason
    )
    return ProviderAnswered(
        at=clock.now(),
        tenant=asked.tenant,
        account=asked.account,
        payment=asked.payment,
        operation=asked.operation,
        kind=asked.kind,
        outcome=answer.outcome,
        amount=answer.amount,
        reference=answer.reference or asked.reference,
        url=answer.url,
        reason=answer.reason,
    )
