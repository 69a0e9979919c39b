"""Price quotes: what sessions would cost. The same pure function that billing bills by, and no call to billing."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.api import examples
from services.api.access import Reader
from services.api.bodies import JSON_ONLY
from services.api.examples import like
from services.api.problems import answers, invalid
from services.billing import cases
from services.billing.said import read

router = APIRouter(prefix="/v1/price-quotes", tags=["prices"], responses=answers(400, 401, 403, 413, 415, 422, 503))

POINTERS = {
    "tariff": "#/tariff",
    **{name: f"#/session/{name}" for name in ("samples", "reservation", "policy", "timezone", "deliveries")},
    **dict.fromkeys(("session", "the session", "no sample"), "#/session"),
}

Decimals = str
"""A decimal number, as text."""


class QuoteWish(BaseModel):
    """A case: a tariff in OCPI's shape, or a list of them, and a session as it is measured or imagined; or its `deliveries`."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"tariff": examples.TARIFF, "session": examples.MEASURED}]},
    )

    tariff: dict[str, Any] | list[dict[str, Any]]
    session: dict[str, Any]


Wish = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                QuoteWish.model_json_schema(),
                {"type": "array", "items": {}, "description": "cases, each as the one above"},
            ],
        }
    ),
    Body(),
]


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

    name: str | None = Field(default=None, description="as the case says")
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


class QuotedDocument(BaseModel):
    """A CDR, or the credit of one."""

    id: str
    type: str
    total_excl: Decimals | None
    total_incl: Decimals | None
    credit: bool | None = None
    credit_reference_id: str | None = None


class QuotedDocuments(BaseModel):
    """What is known of a session and later of it (`deliveries`) comes to: its CDR, and what corrects it."""

    model_config = like(examples.QUOTED_DOCUMENTS)

    name: str | None = Field(default=None, description="as the case says")
    documents: list[QuotedDocument]
    balance_incl: Decimals


class NoQuote(BaseModel):
    """Why a case of a list has no price. The others have theirs."""

    name: str | None = Field(default=None, description="as the case says")
    error: str = Field(examples=["samples[1]: wh is no number that a meter shows"])


Quote = PriceQuote | QuotedDocuments
SHOWN: dict[str, Any] = {
    "a case": {"value": examples.QUOTE},
    "a session that was known in deliveries": {"value": examples.QUOTED_DOCUMENTS},
    "a list of cases": {"value": [examples.QUOTE, {"name": "no meter", "error": "samples[1]: wh is negative"}]},
}


@router.post(
    "",
    operation_id="quote_price",
    dependencies=JSON_ONLY,
    response_model=Quote | list[Quote | NoQuote],
    response_model_exclude_unset=True,
    responses={200: {"content": {"application/json": {"examples": SHOWN}}}},
)
async def quote_price(_: Wish, request: Request, __: Reader) -> Quote | list[Quote | NoQuote]:
    """Return what a case costs, or each of a list of them. Nothing is kept."""
    said = read((await request.body()).decode())  # anew: numbers as they are written, and no float
    results = await run_in_threadpool(lambda: [_shown(cases.result(case)) for case in cases.each(said)])
    if isinstance(said, list):
        return results
    if isinstance(results[0], NoQuote):
        raise invalid(_pointer(results[0].error), results[0].error)
    return results[0]


def _shown(result: dict[str, Any]) -> Quote | NoQuote:
    if "error" in result:
        return NoQuote.model_validate(result)
    return (QuotedDocuments if "documents" in result else PriceQuote).model_validate(result)


def _pointer(why: str) -> str:
    """Return where it is wrong: what is refused begins with its place."""
    for start, pointer in POINTERS.items():
        if why.startswith(start):
            return pointer
    return "#"
