"""CDRs, what a session costs now, and why."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from contracts import tables
from services.api import examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.pages import After, Limit, Page, after_id, cut, decode, linked
from services.api.problems import answers, not_found
from services.api.queries import Asked

router = APIRouter(prefix="/v1", tags=["prices"], responses=answers(400, 401, 403, 422, 503))

Decimals = str


class Tax(BaseModel):
    """What part of a CDR bears one rate of VAT, in percent. Null: the tariff says nothing of VAT."""

    rate: Decimals | None
    net: Decimals
    gross: Decimals


class Cdr(BaseModel):
    """What a session is billed, or the credit of that. Neither ever changes; `credited_by` says that it counts no more."""

    model_config = like(examples.CDR)

    id: str
    kind: str = Field(description="CDR or CREDIT_CDR, whose totals are negative")
    session: str
    station: str
    site: str | None
    token_id: str | None
    number: int | None = Field(description="the how-manieth CDR of its session")
    account: str | None = Field(description="who pays")
    tariff: str | None
    tariff_version: int | None
    started_at: datetime | None
    ended_at: datetime | None
    issued_at: datetime
    currency: str
    total_excl: Decimals | None
    total_incl: Decimals | None
    taxes: list[Tax] | None = Field(description="per rate of VAT; they add up to the totals. Null: said by no CDR then")
    energy_wh: int | None
    signed: list[dict[str, Any]] | None = Field(
        description="what the meter signed at the begin and the end: its digest, and whether it is genuine"
    )
    corrects: str | None
    credits: str | None
    credited_by: str | None
    details: dict[str, Any] | None = Field(description="lines, periods, flags and the hash of what it follows from")


def _cdr(row: Row[Any]) -> Cdr:
    fields = {name: getattr(row, name) for name in Cdr.model_fields if name not in {"token_id", "details"}}
    return Cdr(**fields, token_id=row.token, details=row.priced)


class Cost(BaseModel):
    """What a session costs as far as is known, and why: each line names its element, restrictions and quantities."""

    model_config = like(examples.COST)

    session: str
    station: str
    account: str | None = Field(description="who pays")
    state: str = Field(
        description="no_tariff, free, running, measured (billed when `due`), held, billed, waived or discarded"
    )
    tariff: str | None
    tariff_version: int | None
    assignment: str | None = Field(description="the scope by which the tariff counts")
    currency: str | None
    total_excl: Decimals | None
    total_incl: Decimals | None
    energy_wh: int | None
    due: datetime | None
    held_because: list[str] | None
    cdr: str | None
    updated_at: datetime
    details: dict[str, Any] | None


def _cost(row: Row[Any]) -> Cost:
    fields = {name: getattr(row, name) for name in Cost.model_fields if name != "details"}
    return Cost(**fields, details=row.priced)


@router.get("/cdrs", operation_id="list_cdrs")
async def list_cdrs(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    session: Text | None = None,
    station: Text | None = None,
    site: Text | None = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Cdr]:
    """List CDRs and credits, the newest first."""
    rows = await behind.queries.cdrs(
        caller.tenant, decode(cursor, Asked), limit + 1, session=session, station=station, site=site
    )
    page, after = cut(rows, limit, lambda row: Asked(row.issued_at, row.id))
    return Page(items=[_cdr(row) for row in page], next_cursor=linked(request, response, after))


@router.get("/cdrs/{id}", operation_id="get_cdr", responses=answers(404))
async def get_cdr(id: str, caller: Reader, behind: Behind) -> Cdr:
    """Return one CDR or credit."""
    row = await behind.queries.thing(tables.cdrs, caller.tenant, existing("CDR", id))
    if row is None:
        raise not_found(f"CDR {id}")
    return _cdr(row)


@router.get("/cdr-reviews", operation_id="list_cdr_reviews")
async def list_cdr_reviews(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[Cost]:
    """List sessions that are not billed before somebody has looked, and why."""
    rows = await behind.queries.costs_held(caller.tenant, after_id(cursor), limit + 1)
    page, after = cut(rows, limit, lambda row: row.session)
    return Page(items=[_cost(row) for row in page], next_cursor=linked(request, response, after))


@router.get("/sessions/{id}/price-explanation", operation_id="explain_price", responses=answers(404))
async def explain_price(id: str, caller: Reader, behind: Behind) -> Cost:
    """Return what a session costs, and why."""
    row = await behind.queries.cost(caller.tenant, existing("session", id))
    if row is None:
        raise not_found(f"price of a session {id}")
    return _cost(row)
