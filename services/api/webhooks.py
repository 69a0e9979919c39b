"""What the payment provider tells us by itself. It has no API key: it signs (PAY-05).

Answered as soon as Kafka has what it means. The same event again is written under the same id, and accounts count it once.
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field

from chassis import clock
from chassis.kafka import new_traceparent
from chassis.stripe_wire import Forged, Named, verify
from contracts.event import derived_id
from contracts.topics import POSTINGS
from services.api import examples, stripe_events
from services.api.backends import Backends, Behind
from services.api.examples import like
from services.api.problems import Problem, answers
from services.api.stripe_events import Said, StripeEvent

router = APIRouter(prefix="/v1/webhooks", tags=["payments"], responses=answers(400, 409, 413, 422, 503))


class Taken(BaseModel):
    """An event was taken."""

    model_config = like(examples.TAKEN)

    written: bool = Field(description="whether it means something to an account here")


@router.post("/stripe", operation_id="hear_stripe")
async def hear_stripe(
    request: Request,
    behind: Behind,
    stripe_signature: Annotated[str, Header(max_length=4096, description="`t=…,v1=…`, of the raw body")] = "",
) -> Taken:
    """Take an event of Stripe's. Wrongly signed ones are refused, and those that mean nothing here are passed over."""
    event = await heard(request, behind, stripe_signature)
    said = meaning(event)
    named = None if said is None else await whose(behind, said)
    if said is None or named is None:
        return Taken(written=False)
    posting = stripe_events.answered(event, said, named)
    await behind.journal.append(POSTINGS, posting, derived_id(f"stripe/{event.id}", "api", 0), new_traceparent())
    return Taken(written=True)


async def heard(request: Request, behind: Backends, signature: str) -> StripeEvent:
    """Return what Stripe says, or raise what is wrong with it."""
    secrets = [
        one.strip() for one in behind.settings.stripe_webhook_secrets.get_secret_value().split(",") if one.strip()
    ]
    if not secrets:
        raise Problem(
            "payments_not_set_up", "set VOLTSTREAM_STRIPE_WEBHOOK_SECRETS: docs/payments.md says where to find them"
        )
    body = await request.body()
    try:
        verify(body, signature, secrets, clock.now().timestamp())
    except Forged as forged:
        raise Problem("bad_signature", str(forged)) from None
    try:
        return msgspec.json.decode(body, type=StripeEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem("bad_json", f"signed, but no event of Stripe's: {error}") from None


def meaning(event: StripeEvent) -> Said | None:
    try:
        return stripe_events.meaning(event)
    except msgspec.MsgspecError as error:
        raise Problem("bad_json", f"signed, but not what {event.type} looks like: {error}") from None


async def whose(behind: Backends, said: Said) -> Named | None:
    """Return whose payment an event is about: as it says itself, or as the provider's name for it is known here."""
    if (named := stripe_events.whose(said)) is not None or said.kind != "disputed":
        return named
    row = await behind.queries.paid_by(said.reference)
    return None if row is None else Named(row.tenant, row.account, row.id)
