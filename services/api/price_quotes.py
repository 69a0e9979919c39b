"""Price quotes: what a session would cost. The same pure function that billing bills by, and no call to billing."""

import json
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from services.api import examples
from services.api.access import Reader
from services.api.bodies import JSON_ONLY
from services.api.examples import like
from services.api.problems import answers, invalid
from services.billing import cases
from services.billing.tariff import Unpriceable

router = APIRouter(prefix="/v1/price-quotes", tags=["prices"], responses=answers(400, 401, 403, 413, 415, 422, 503))

Decimals = str
"""A decimal number, as text."""


class QuoteWish(BaseModel):
    """A tariff in OCPI's shape, or a list of them, and a session as it is measured or imagined."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"tariff": examples.TARIFF, "session": examples.MEASURED}]},
    )

    tariff: dict[str, Any] | list[dict[str, Any]]
    session: dict[str, Any]


class ChargingPeriod(BaseModel):
    """A stretch with the same prices: kWh and hours in it."""

    start_date_time: str
    state: str = Field(description="CHARGING, PARKING (the car asks for nothing) or GRACE (that costs nothing)")
    dimensions: dict[str, Decimals]
    tariff_id: str


class LineItem(BaseModel):
    """One price: what was measured, what is billed, in Wh, s or pieces, and what it comes to."""

    dimension: str
    element_index: int
    tariff_id: str
    quantity: Decimals
    billed_quantity: Decimals
    unit: str
    unit_price: Decimals
    vat_percent: Decimals | None
    net_exact: Decimals
    gross_exact: Decimals
    reservation: str | None = None


class Explanation(BaseModel):
    """Why a line is there, and its amounts, rounded so that they add up to the totals but for a limit."""

    dimension: str
    tariff_id: str
    element_index: int
    component_index: int
    restrictions: dict[str, Any]
    measured: Decimals
    billed: Decimals
    unit: str
    step_size: int
    discount_percent: Decimals
    net: Decimals
    gross: Decimals


class PriceQuote(BaseModel):
    """What a session costs. A total is null where the tariff does not say the taxes: unknown, not 0."""

    model_config = like(examples.QUOTE)

    currency: str
    total_excl: Decimals | None
    total_incl: Decimals | None
    total_excl_exact: Decimals | None
    total_incl_exact: Decimals | None
    limit_applied: str | None
    flags: list[str]
    charging_periods: list[ChargingPeriod]
    line_items: list[LineItem]
    explanation: list[Explanation]


@router.post("", operation_id="quote_price", dependencies=JSON_ONLY)
async def quote_price(wish: Annotated[QuoteWish, Body()], _: Reader) -> PriceQuote:
    """Return what a session costs by a tariff. Nothing is kept."""
    said = json.loads(wish.model_dump_json(), parse_float=Decimal)
    if "deliveries" in said["session"]:
        raise invalid("#/session/deliveries", "a quote is for one session, as it is known now")
    try:
        found = await run_in_threadpool(cases.priced, said)
    except Unpriceable as error:
        raise invalid("#/session" if str(error).startswith("samples") else "#", str(error)) from error
    return PriceQuote.model_validate(found)
