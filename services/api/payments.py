"""Payments: what is held for somebody without an account, and what becomes of it, of top-ups and of what is collected."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from chassis.secrets import Secrets
from contracts import money_tables
from contracts.event import AccountId, PaymentId, StationId
from contracts.postings import AD_HOC, HoldAsked
from services.api import examples
from services.api.access import Operator, Reader
from services.api.accounts import Amount
from services.api.ad_hoc import hold_for, place_of, tariff_at, token_for
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, reused, rounds
from services.api.changes import shown as until_shown
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.postings import above_0, decided, exact
from services.api.problems import Problem, answers, not_found
from services.api.queries import Asked
from services.api.receipts import path_of

router = APIRouter(prefix="/v1/payments", tags=["payments"], responses=answers(400, 401, 403, 422, 503))

State = Literal[
    "asked",
    "action_required",
    "authorised",
    "captured",
    "released",
    "declined",
    "failed",
    "refunded",
    "partially_refunded",
    "disputed",
]
SET_UP = (
    "set VOLTSTREAM_STRIPE_KEY, VOLTSTREAM_STRIPE_WEBHOOK_SECRETS and VOLTSTREAM_PAYMENT_RETURN_URL: docs/payments.md"
)


class PaymentWish(BaseModel):
    """Where somebody without an account wants to charge."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"station": "RDAM 123", "evse": 1, "amount": "40.00"}]}
    )

    station: Text = Field(min_length=1, max_length=48)
    evse: int = Field(ge=1, le=1000)
    amount: Annotated[Amount, AfterValidator(above_0)] | None = Field(
        default=None,
        description="what is held, in the tariff's currency; null: the tariff's max_price, or VOLTSTREAM_PAYMENT_HOLD",
    )


class Payment(BaseModel):
    """A payment. While it is `action_required`, the payer has something to do at `url`."""

    model_config = like(examples.PAYMENT)

    id: str
    account: str
    kind: str = Field(description="hold (before an ad-hoc start), top_up or collection")
    state: State
    amount: str = Field(description="what was asked for")
    currency: str
    held: str | None
    taken: str | None
    returned: str | None
    url: str | None = Field(description="a page of the payment provider's; no card data is ever sent to us")
    reference: str | None = Field(description="the payment provider's name for it")
    station: str | None
    evse: int | None
    session: str | None = Field(description="that it pays for, once it has begun")
    reason: str | None = Field(description="why it was declined or failed")
    receipt_url: str | None = Field(
        description="of a hold: where its receipt is, at this API, for whoever has the address; no key is asked for there"
    )
    created_at: datetime
    updated_at: datetime


def shown(row: Row[Any], secrets: Secrets) -> Payment:
    fields = {name: getattr(row, name) for name in Payment.model_fields if name != "receipt_url"}
    return Payment(**fields, receipt_url=path_of(secrets, row.tenant, row.id) if row.kind == "hold" else None)


@router.post(
    "",
    operation_id="begin_payment",
    status_code=201,
    dependencies=JSON_ONLY,
    responses=answers(404, 409, 413, 415),
)
async def begin_payment(
    wish: PaymentWish, caller: Operator, act: Acting, behind: Behind, response: Response
) -> Payment:
    """Let somebody without an account pay: once the money is held, the station starts by itself, and what it costs is taken."""
    settings = behind.settings
    if not (settings.stripe_webhook_secrets.get_secret_value() and settings.payment_return_url):
        raise Problem("payments_not_set_up", SET_UP)
    payment = PaymentId(act.id("payment"))
    if act.key is None or await _row(behind, caller.tenant, payment) is None:
        asked = await _hold(behind, act, wish, payment)
        await decided(behind, act, payment, asked)
    response.headers["Location"] = f"/v1/payments/{quote(payment)}"
    row = await _known_to_the_provider(behind, caller.tenant, payment)
    if row.fingerprint != act.fingerprint:
        raise reused()
    return shown(row, behind.secrets)


async def _hold(behind: Backends, act: Act, wish: PaymentWish, payment: PaymentId) -> HoldAsked:
    tenant, account = act.caller.tenant, AccountId(f"{AD_HOC}{payment}")
    place = await place_of(behind, tenant, wish.station, wish.evse)
    tariff = await tariff_at(behind, tenant, place)
    amount = hold_for(tariff, behind.settings.payment_hold) if wish.amount is None else wish.amount
    return HoldAsked(
        at=clock.now(),
        tenant=tenant,
        account=account,
        payment=payment,
        amount=exact(amount, tariff.currency),
        currency=tariff.currency,
        station=StationId(place.station),
        evse=place.evse,
        token=await token_for(behind, act, payment, account),
        requested_by=act.caller.key,
        fingerprint=act.fingerprint,
    )


async def _known_to_the_provider(behind: Backends, tenant: str, payment: str) -> Row[Any]:
    """Return the payment once the provider has said something of it, or as it is after a while."""
    row: Row[Any] = await until_shown(behind, lambda: _row(behind, tenant, payment))
    async for _ in rounds(behind, behind.patience_s):
        if row.state != "asked":
            break
        row = await _row(behind, tenant, payment) or row
    return row


async def _row(behind: Backends, tenant: str, id: str) -> Row[Any] | None:
    return await behind.queries.thing(money_tables.payments, tenant, id)


@router.get("", operation_id="list_payments")
async def list_payments(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    account: Text | None = None,
    station: Text | None = None,
    state: Annotated[State | None, Query(description="only those in this state")] = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Payment]:
    """List payments, the newest first."""
    after = decode(cursor, Asked)
    rows = await behind.queries.payments(caller.tenant, after, limit + 1, account=account, station=station, state=state)
    page, then = cut(rows, limit, lambda row: Asked(row.created_at, row.id))
    return Page(items=[shown(row, behind.secrets) for row in page], next_cursor=linked(request, response, then))


@router.get("/{id}", operation_id="get_payment", responses=answers(404))
async def get_payment(id: str, caller: Reader, behind: Behind) -> Payment:
    """Return one payment."""
    row = await _row(behind, caller.tenant, existing("payment", id))
    if row is None:
        raise not_found(f"payment {id}")
    return shown(row, behind.secrets)
