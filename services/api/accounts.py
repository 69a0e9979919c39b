"""Accounts: who pays for what tokens charge, and what they have. Whose they are is personal, and shown only to whom it may be."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from chassis.persons import opened, sealed
from chassis.secrets import CannotOpen
from contracts import money_tables, reference
from contracts.currencies import decimals, unit
from contracts.event import AccountId, Sealed, derived_id
from contracts.postings import AD_HOC, TermsChanged
from contracts.requests import Delete, PutAccount
from contracts.tariffs import TaxIncluded
from contracts.topics import POSTINGS
from services.api import examples
from services.api.access import Caller, Operator, Reader
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Currency, Identity, Text, TimeZone, existing
from services.api.pages import After, Limit, Page, after_id, cut, linked
from services.api.problems import answers, invalid, not_found
from services.api.versions import UNCHANGED, Conditioned, stamp, tag, unchanged

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], responses=answers(400, 401, 403, 422, 503))

PERSON = ("name", "email", "address", "vat_id")

Amount = Annotated[Decimal, Field(max_digits=18, decimal_places=4, allow_inf_nan=False)]


class Address(BaseModel):
    """Where somebody is, for an invoice."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(default="", max_length=200)
    street: Text = Field(default="", max_length=200)
    postal_code: Text = Field(default="", max_length=20)
    city: Text = Field(default="", max_length=100)
    country: str = Field(default="", pattern="^([A-Z]{2})?$", description="ISO 3166-1 alpha-2")


class Subscription(BaseModel):
    """What an account pays each month beside its sessions. What is changed counts from the next month on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.SUBSCRIPTION]})

    name: Text = Field(min_length=1, max_length=100, description="as invoices say it")
    monthly_fee: Annotated[Amount, Field(ge=0)] = Field(description="in the account's currency")
    tax_included: TaxIncluded = Field(default="NO", description="whether the fee includes VAT; N/A: nobody says")
    vat: Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)] | None = Field(
        default=None, description="in percent"
    )
    allowance_kwh: Annotated[Decimal, Field(gt=0, lt=10**9, decimal_places=3)] | None = Field(
        default=None, description="so much energy of a month's sessions need not be paid for; null: none"
    )


class AccountWish(BaseModel):
    """What an account should be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "postpaid", "currency": "EUR", "name": "Fleet Ltd"}]},
    )

    kind: Literal["prepaid", "postpaid"] = Field(
        description="prepaid charges while its balance lasts; postpaid up to `credit_limit`, and is billed monthly"
    )
    currency: Currency
    credit_limit: Annotated[Amount, Field(ge=0)] | None = Field(
        default=None, description="how far below 0 its balance may go; null: 0 if prepaid, any if postpaid"
    )
    name: Text = Field(default="", max_length=200)
    email: Text = Field(default="", max_length=254)
    address: Address = Address()
    vat_id: Text = Field(default="", max_length=20)
    mandate: Text = Field(
        default="", max_length=200, description="the payment provider's name for what money is taken from"
    )
    time_zone: TimeZone = Field(default="UTC", description="in which its months begin")
    closed: bool = False
    subscription: Subscription | None = None


class Balance(BaseModel):
    """What an account has. Below 0: it owes."""

    amount: str = Field(examples=["-12.40"])
    currency: str
    entry: int = Field(description="the newest entry that is in it")
    updated_at: datetime


class Standing(BaseModel):
    """Whether whoever charges on the account may."""

    may_charge: bool
    why: str = Field(description="no_money, owes, closed or no_hold; empty if it may charge")
    since: datetime


class SubscriptionShown(BaseModel):
    """What an account pays each month, as it was put."""

    model_config = like(examples.SUBSCRIPTION)

    name: str
    monthly_fee: str
    tax_included: TaxIncluded
    vat: str | None
    allowance_kwh: str | None


class Month(BaseModel):
    """The newest month of a subscription that was charged: by the terms of then, whatever they are now."""

    name: str
    start: datetime
    end: datetime = Field(description="the first moment that is no more of it")
    currency: str
    net: str = Field(description="the fee without VAT", examples=["8.32"])
    gross: str = Field(examples=["9.90"])
    allowance_kwh: str | None = Field(description="null: there is none", examples=["100.000"])
    left_kwh: str | None = Field(description="what of it is left", examples=["68.500"])


class Account(BaseModel):
    """An account. The fields about its holder are null without the scope tokens:read."""

    model_config = like(examples.ACCOUNT)

    id: str
    kind: str
    currency: str
    credit_limit: str | None
    name: str | None
    email: str | None
    address: Address | None
    vat_id: str | None
    mandate: str | None
    time_zone: str
    closed: bool
    subscription: SubscriptionShown | None
    version: int
    changed_at: datetime
    balance: Balance | None = Field(description="null: nothing has been entered yet")
    standing: Standing | None = Field(description="null: nothing has been said of it; postpaid may charge then")
    month: Month | None = Field(description="of the subscription; null: none has been charged yet")


async def shown(behind: Backends, row: Row[Any], caller: Caller) -> Account:
    """Return the account with what it has now."""
    balance = await behind.queries.of_account(money_tables.balances, row.tenant, row.id)
    standing = await behind.queries.of_account(money_tables.standings, row.tenant, row.id)
    month = await behind.queries.subscription_month(row.tenant, row.id)
    may_see = caller.may("tokens:read")
    hidden = (*PERSON, "mandate", "subscription")
    plain = {name: getattr(row, name) for name in Account.model_fields if name in row._fields and name not in hidden}
    return Account(
        **plain,
        **(_person(behind, row) if may_see else dict.fromkeys(PERSON)),
        mandate=row.mandate if may_see else None,
        subscription=None if row.subscription is None else _subscription(row.subscription),
        month=None if month is None else _month(month),
        balance=None
        if balance is None
        else Balance(
            amount=balance.balance, currency=balance.currency, entry=balance.entry, updated_at=balance.updated_at
        ),
        standing=None
        if standing is None
        else Standing(may_charge=standing.may_charge, why=standing.why, since=standing.since),
    )


def _subscription(kept: dict[str, Any]) -> SubscriptionShown:
    terms = msgspec.convert(kept, reference.Subscription)
    vat = None if terms.vat is None else f"{terms.vat:f}"
    return SubscriptionShown(
        name=terms.name,
        monthly_fee=f"{terms.monthly_fee:f}",
        tax_included=terms.tax_included,
        vat=vat,
        allowance_kwh=_kwh(terms.allowance_wh),
    )


def _month(row: Row[Any]) -> Month:
    return Month(
        name=row.name,
        start=row.month_start,
        end=row.month_end,
        currency=row.currency,
        net=row.net,
        gross=row.gross,
        allowance_kwh=_kwh(row.allowance_wh),
        left_kwh=_kwh(row.left_wh),
    )


def _kwh(wh: int | None) -> str | None:
    return None if wh is None else f"{Decimal(wh).scaleb(-3):.3f}"


def _person(behind: Backends, row: Row[Any]) -> dict[str, Any]:
    """Return whose an account is; nulls if it was sealed with another deployment's secret."""
    if row.person is None:
        return {name: getattr(row, name) for name in PERSON}
    try:
        person = opened(behind.secrets, Sealed(row.person))
    except CannotOpen:
        return dict.fromkeys(PERSON)
    return {name: msgspec.to_builtins(getattr(person, name)) for name in PERSON}


@router.get("", operation_id="list_accounts")
async def list_accounts(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[Account]:
    """List accounts in the order of their ids."""
    rows = await behind.queries.page(money_tables.accounts, caller.tenant, after_id(cursor), limit + 1)
    page, after = cut(rows, limit, lambda row: row.id)
    items = [await shown(behind, row, caller) for row in page]
    return Page(items=items, next_cursor=linked(request, response, after))


@router.get("/{id}", operation_id="get_account", response_model=Account, responses=answers(404) | UNCHANGED)
async def get_account(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Any:
    """Return one account, with what it has and whether it may charge."""
    account = await shown(behind, await known(behind, caller, id), caller)
    return unchanged(request, response, tag(account.version, account)) or account


async def known(behind: Backends, caller: Caller, id: str) -> Row[Any]:
    """Return an account that the directory knows."""
    row = await behind.queries.thing(money_tables.accounts, caller.tenant, existing("account", id))
    if row is None:
        raise not_found(f"account {id}")
    return row


@router.put(
    "/{id}",
    operation_id="put_account",
    dependencies=JSON_ONLY,
    responses=answers(409, 412, 413, 415) | {201: {"model": Account, "description": "It is new"}},
)
async def put_account(
    id: Identity,
    wish: AccountWish,
    caller: Operator,
    act: Acting,
    behind: Behind,
    expects: Conditioned,
    response: Response,
) -> Account:
    """Make an account so. What it has stays."""
    if id.startswith(AD_HOC):
        raise invalid("id", f"accounts whose names begin with {AD_HOC} are those of ad-hoc payments", where="path")
    said = wish.model_dump(include=set(PERSON)) | {"address": reference.Address(**wish.address.model_dump())}
    account = reference.CustomerAccount(
        at=clock.now(),
        tenant=caller.tenant,
        version=0,
        id=AccountId(id),
        person=sealed(behind.secrets, caller.tenant, id, reference.Person(**said)),
        **wish.model_dump(exclude={*PERSON, "subscription"}),
        subscription=_agreed(wish),
    )
    asked = Wish(caller.tenant, "account", id, PutAccount(account), expects)
    made = await put(behind, act, asked)
    row = await row_of(behind, asked, made.version, lambda: _row(behind, caller, id))
    terms = replace(account, at=row.changed_at, version=made.version, person=None)
    changed = TermsChanged(at=row.changed_at, tenant=caller.tenant, account=AccountId(id), terms=terms)
    cause = derived_id(f"{caller.tenant}/{id}", "api", f"terms-{made.version}")
    await behind.journal.append(POSTINGS, changed, cause, act.trace)
    stamp(response, tag(row.version), created=made.created)
    return await shown(behind, row, caller)


def _agreed(wish: AccountWish) -> reference.Subscription | None:
    """Return the subscription that is wished; a fee with more decimals than its currency has is a problem."""
    if (terms := wish.subscription) is None:
        return None
    if terms.monthly_fee != (fee := terms.monthly_fee.quantize(unit(wish.currency))):
        raise invalid("#/subscription/monthly_fee", f"{wish.currency} has {decimals(wish.currency)} decimals")
    allowance_wh = None if terms.allowance_kwh is None else int(terms.allowance_kwh * 1000)
    kept = terms.model_dump(exclude={"monthly_fee", "allowance_kwh"})
    return reference.Subscription(monthly_fee=fee, allowance_wh=allowance_wh, **kept)


async def _row(behind: Backends, caller: Caller, id: str) -> Row[Any] | None:
    return await behind.queries.thing(money_tables.accounts, caller.tenant, id)


@router.delete("/{id}", operation_id="delete_account", status_code=204, responses=answers(404, 412))
async def delete_account(id: str, caller: Operator, act: Acting, behind: Behind, expects: Conditioned) -> None:
    """Forget an account and whose it is. What it owed stays in the ledger."""
    await delete(behind, act, Wish(caller.tenant, "account", existing("account", id), Delete(), expects))
