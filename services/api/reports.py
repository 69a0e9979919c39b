"""Reports: sums over the past, from ClickHouse."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from chassis import clock
from services.api import examples, history
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.identities import Text
from services.api.problems import answers, invalid
from services.api.sheets import table

router = APIRouter(prefix="/v1/reports", tags=["reports"], responses=answers(400, 401, 403, 422, 503))

EARLIEST = date(2000, 1, 1)
LATEST = date(2100, 1, 1)
MOST_DAYS = 366
MOST_ROWS = 100_000
COLUMNS = ("delivered_wh", "attributed_wh", "quarantined_wh", "unattributed_wh")


class Energy(BaseModel):
    """Where energy went: delivered is exactly the sum of the other three."""

    delivered_wh: int = Field(description="what the meters show to have flowed")
    attributed_wh: int = Field(description="in sessions")
    quarantined_wh: int = Field(description="in stops that fit no session")
    unattributed_wh: int = Field(description="in none of them; below 0: sessions have more than the meters show")


class LedgerDay(Energy):
    """The energy of one site and local day."""

    site: str | None = Field(description="null: of stations without a site")
    day: date = Field(description="in the site's time zone")


class EnergyLedger(BaseModel):
    """The energy of sites and days, and the sum of it all."""

    model_config = like(examples.ENERGY_LEDGER)

    first_day: date
    last_day: date
    items: list[LedgerDay]
    total: Energy


CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}, "examples": {"a day": {"value": examples.ENERGY_LEDGER_CSV}}}
        }
    }
}


@router.get("/energy-ledger", operation_id="energy_ledger", response_model=EnergyLedger, responses=CSV)
async def energy_ledger(
    caller: Reader,
    behind: Behind,
    first: Annotated[
        date | None,
        Query(alias="from", ge=EARLIEST, le=LATEST, description="the first day; default: 30 before the last"),
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", ge=EARLIEST, le=LATEST, description="the last day, included; default: today")
    ] = None,
    site: Annotated[
        Text | None, Query(max_length=48, description="only this site; empty: stations without one")
    ] = None,
    format: Literal["json", "csv"] = "json",
) -> EnergyLedger | Response:
    """Say where every watt-hour went, by site and local day. In every row delivered is exactly the sum of the others."""
    last = last or clock.now().date()
    first = first or max(EARLIEST, last - timedelta(days=30))
    if first > last:
        raise invalid("to", "the last day is before the first", where="query")
    if (last - first).days >= MOST_DAYS:
        raise invalid("from", f"at most {MOST_DAYS} days at once", where="query")
    rows = await history.energy_ledger(behind.clickhouse, caller.tenant, first, last, site, MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise invalid("from", f"more than {MOST_ROWS} rows: ask for fewer days, or for one site", where="query")
    return table(rows, ["site", "day", *COLUMNS], "energy-ledger") if format == "csv" else _json(first, last, rows)


def _json(first: date, last: date, rows: Sequence[dict[str, Any]]) -> EnergyLedger:
    return EnergyLedger(
        first_day=first,
        last_day=last,
        items=[LedgerDay(**row | {"site": row["site"] or None}) for row in rows],
        total=Energy(**{column: sum(row[column] for row in rows) for column in COLUMNS}),
    )
