"""What is asked of an account's money, and what has been entered: each request once, answered when the view shows what came of it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from contracts import money_tables
from contracts.currencies import decimals, unit
from contracts.event import AccountId, PaymentId, RequestId, derived_id
from contracts.postings import AdjustmentAsked, OfAccount, TopUpAsked
from contracts.topics import POSTINGS
from services.api import examples
from services.api.access import Admin, Operator, Reader
from services.api.accounts import Amount, known
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, of_request
from services.api.changes import shown as until_shown
from services.api.examples import like
from services.api.identities import Text
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import Problem, answers, invalid
from services.api.queries import Offset

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], responses=answers(400, 401, 403, 404, 422, 503))


def above_0(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("should be above 0")
    return value


def _not_0(value: Decimal) -> Decimal:
    if value == 0:
        raise ValueError("should not be 0")
    return value


class Adjustment(BaseModel):
    """An amount that a person gives the account, or takes if it is below 0."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"amount": "5.00", "reason": "sorry for the broken cable"}]}
    )

    amount: Annotated[Amount, AfterValidator(_not_0)] = Field(description="in the account's currency")
    reason: Text = Field(min_length=1, max_length=500, description="why, for whoever audits it")


class TopUp(BaseModel):
    """An amount that is to be put on a prepaid account."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"amount": "20.00"}]})

    amount: Annotated[Amount, AfterValidator(above_0)] = Field(description="in the account's currency")


class Entry(BaseModel):
    """A movement of an account's money. An account's entries are numbered from 1 without a gap."""

    model_config = like(examples.ENTRY)

    entry: int
    kind: str = Field(
        description="session, credit, subscription, allowance, allowance_returned, money_in, money_out, adjustment or"
        " written_off"
    )
    at: datetime
    currency: str
    amount: str = Field(description="what the account gets; below 0: gives")
    balance: str = Field(description="what it has then")
    place: str | None = Field(description="where it comes from or goes to: revenue, provider, adjustments or losses")
    cdr: str | None
    credits: str | None = Field(description="the CDR that is taken back")
    session: str | None
    station: str | None
    site: str | None
    energy_wh: int | None
    name: str | None = Field(description="of a subscription, whose month started and ended then")
    started_at: datetime | None
    ended_at: datetime | None
    net: str | None
    gross: str | None
    invoice: str | None = Field(description="of which it is a line, or will be")
    payment: str | None
    request: str | None
    reason: str | None
    requested_by: str | None


class Begun(BaseModel):
    """A top-up has begun: its payment says what becomes of it."""

    model_config = like(examples.BEGUN)

    payment: str
    account: str


class Place(Struct, frozen=True):
    """A place in an account's entries: the one before was this."""

    entry: Offset


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.model_fields})


@router.get("/{id}/entries", operation_id="list_entries")
async def list_entries(
    id: str,
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Entry]:
    """List an account's entries, the newest first. Those of an ad-hoc payment are under `adhoc-` and its id."""
    after = decode(cursor, Place)
    rows = await behind.queries.entries(caller.tenant, id, after.entry if after else None, limit + 1)
    if not rows and after is None:
        await known(behind, caller, id)
    page, then = cut(rows, limit, lambda row: Place(row.entry))
    return Page(items=[_entry(row) for row in page], next_cursor=linked(request, response, then))


@router.post(
    "/{id}/adjustments",
    operation_id="adjust_account",
    status_code=201,
    dependencies=JSON_ONLY,
    responses=answers(409, 413, 415),
)
async def adjust_account(id: str, wish: Adjustment, caller: Admin, act: Acting, behind: Behind) -> Entry:
    """Give an account something, or take it, outside any payment provider: such as a bank transfer that came."""
    account = await known(behind, caller, id)
    request = RequestId(act.id("adjustment"))
    asked = AdjustmentAsked(
        at=clock.now(),
        tenant=caller.tenant,
        account=AccountId(id),
        request=request,
        amount=exact(wish.amount, account.currency),
        currency=account.currency,
        reason=wish.reason,
        requested_by=caller.key,
        fingerprint=act.fingerprint,
    )
    outcome = await decided(behind, act, request, asked)
    row = await until_shown(behind, lambda: behind.queries.entry(caller.tenant, id, outcome.entry))
    return _entry(row)


@router.post(
    "/{id}/top-ups",
    operation_id="top_up_account",
    status_code=202,
    dependencies=JSON_ONLY,
    responses=answers(409, 413, 415),
)
async def top_up_account(
    id: str, wish: TopUp, caller: Operator, act: Acting, behind: Behind, response: Response
) -> Begun:
    """Put money on a prepaid account. Its payment, at `Location`, says what the payer has to do, and what becomes of it."""
    account = await known(behind, caller, id)
    payment = PaymentId(act.id("top_up"))
    asked = TopUpAsked(
        at=clock.now(),
        tenant=caller.tenant,
        account=AccountId(id),
        payment=payment,
        amount=exact(wish.amount, account.currency),
        currency=account.currency,
        requested_by=caller.key,
        fingerprint=act.fingerprint,
    )
    await decided(behind, act, payment, asked)
    response.headers["Location"] = f"/v1/payments/{quote(payment)}"
    return Begun(payment=payment, account=id)


def exact(amount: Decimal, currency: str) -> Decimal:
    """Return the amount with the currency's decimals; more than it has are a problem."""
    if amount != (rounded := amount.quantize(unit(currency))):
        raise invalid("#/amount", f"{currency} has {decimals(currency)} decimals")
    return rounded


async def decided(behind: Backends, act: Act, id: str, asked: OfAccount) -> Row[Any]:
    """Ask something of an account, and return what came of it; what was refused is a problem."""
    tenant = act.caller.tenant
    outcome = await _outcome(behind, act, id) if act.key else None
    if outcome is None:
        await behind.journal.append(POSTINGS, asked, derived_id(f"{tenant}/{id}", "api", act.fingerprint), act.trace)
        outcome = await until_shown(behind, lambda: _outcome(behind, act, id))
    if not outcome.done:
        raise Problem("posting_refused", outcome.detail or outcome.reason)
    return outcome


async def _outcome(behind: Backends, act: Act, id: str) -> Row[Any] | None:
    return await of_request(behind, act, money_tables.posting_outcomes, id)
