"""What charging would cost at a connector now: the tariff that a start would be bound to, as a driver is to read it (TAR-42)."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Row

from contracts import tables
from contracts.tariffs import PriceLimit, Tariff
from services.api import ad_hoc, examples
from services.api.access import Reader
from services.api.backends import Backends, Behind
from services.api.examples import like
from services.api.identities import existing
from services.api.problems import Problem, answers, not_found
from services.billing.scopes import scopes
from services.billing.shown import Per, Shown, line, shown, text_of

router = APIRouter(prefix="/v1/prices", tags=["prices"], responses=answers(400, 401, 403, 404, 409, 422, 503))

Decimals = str
"""A decimal number, as text."""


class Price(BaseModel):
    """A price, without and with taxes; null: the tariff does not say them."""

    what: str = Field(description="energy, charging, parking after charging, start, or reservation")
    per: Per
    price_excl: Decimals | None
    price_incl: Decimals | None
    vat_percent: Decimals | None
    step_size: int = Field(description="what is used is rounded up to this many Wh or seconds")
    conditions: list[str] = Field(description="when it counts, in words: all of them must hold")
    text: str


class Limit(BaseModel):
    """The least or most that a session costs."""

    excl: Decimals | None
    incl: Decimals | None


class PriceList(BaseModel):
    """What charging costs at a connector now. Of several prices for the same, the first counts whose conditions hold."""

    model_config = like(examples.PRICES)

    station: str
    evse: int
    connector: int
    assignment: str = Field(description="the scope by which the tariff counts")
    free: bool
    tariff: str | None
    tariff_version: int | None
    currency: str | None
    tax_included: str | None = Field(description="YES, NO, N/A: whether the tariff's own prices include the taxes")
    min_price: Limit | None
    max_price: Limit | None
    prices: list[Price] = Field(description="by kWh, by minute, by session, then the rest (AFIR Art. 5)")
    text: str
    valid_from: datetime | None


@router.get("", operation_id="get_prices")
async def get_prices(
    caller: Reader,
    behind: Behind,
    station: str,
    evse: Annotated[int, Query(ge=1)] = 1,
    connector: Annotated[int | None, Query(ge=1, description="the evse's first, if left out")] = None,
    token: Annotated[str | None, Query(description="the id of the token: its group may have prices of its own")] = None,
) -> PriceList:
    """Return the tariff to which a start would be bound now; a problem of type no_tariff if there is none."""
    place = await ad_hoc.place_of(behind, caller.tenant, station, evse)
    place = place if connector is None else replace(place, connector=connector)
    group = None if token is None else await _group(behind, caller.tenant, token)
    ids = list(scopes(place, group))
    rows = {row.id: row for row in await behind.queries.assignments(caller.tenant, ids)}
    for row in (rows[id] for id in ids if id in rows):
        if row.tariff is None:
            return _free(place, row.id)
        if (version := await ad_hoc.valid_now(behind, caller.tenant, row.tariff)) is not None:
            return _priced(place, row.id, version)
    raise Problem("no_tariff", f"nobody has said what charging costs at {station}: assign a tariff first")


async def _group(behind: Backends, tenant: str, token: str) -> str | None:
    row = await behind.queries.thing(tables.tokens, tenant, existing("token", token))
    if row is None:
        raise not_found(f"token {token}")
    group: str | None = row.token_group
    return group


def _free(place: ad_hoc.Place, assignment: str) -> PriceList:
    return PriceList(
        **_where(place, assignment),
        free=True,
        tariff=None,
        tariff_version=None,
        currency=None,
        tax_included=None,
        min_price=None,
        max_price=None,
        prices=[],
        text="free",
        valid_from=None,
    )


def _priced(place: ad_hoc.Place, assignment: str, version: Row[Any]) -> PriceList:
    tariff = msgspec.convert(version.tariff, Tariff, strict=False)
    return PriceList(
        **_where(place, assignment),
        free=False,
        tariff=version.id,
        tariff_version=version.version,
        currency=tariff.currency,
        tax_included=tariff.tax_included,
        min_price=_limit(tariff.min_price),
        max_price=_limit(tariff.max_price),
        prices=[_price(each, tariff.currency) for each in shown(tariff)],
        text=text_of(tariff),
        valid_from=version.valid_from,
    )


def _where(place: ad_hoc.Place, assignment: str) -> dict[str, Any]:
    return {"station": place.station, "evse": place.evse, "connector": place.connector, "assignment": assignment}


def _price(price: Shown, currency: str) -> Price:
    return Price(
        what=price.what,
        per=price.per,
        price_excl=_text(price.excl),
        price_incl=_text(price.incl),
        vat_percent=_text(price.vat),
        step_size=price.step_size,
        conditions=list(price.conditions),
        text=line(price, currency),
    )


def _limit(limit: PriceLimit | None) -> Limit | None:
    return None if limit is None else Limit(excl=_text(limit.net), incl=_text(limit.gross))


def _text(amount: Any) -> str | None:
    return None if amount is None else f"{amount:f}"
