"""Revenue: what sessions were billed after all corrections, by local day, site and tariff. From ClickHouse."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from chassis import clock
from chassis.clickhouse import ClickHouse
from contracts.currencies import unit
from services.api import analytic_examples as examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.identities import Text
from services.api.problems import answers, invalid
from services.api.reports import EARLIEST, LATEST, MOST_DAYS, MOST_ROWS
from services.api.sheets import table

router = APIRouter(prefix="/v1/reports", tags=["reports"], responses=answers(400, 401, 403, 422, 503))

Decimals = str
Part = Literal["day", "site", "tariff"]
PARTS: tuple[Part, ...] = ("day", "site", "tariff")

_REVENUE = """
SELECT {parts} currency, sum(part.sessions) AS sessions, sum(part.energy_wh) AS energy_wh, sum(part.net) AS net,
    sum(part.gross) AS gross, sum(part.credited) AS credited, sum(part.without_total) AS without_total
FROM revenue AS part
WHERE tenant = {tenant:String} AND day BETWEEN {first:Date} AND {last:Date} AND (NOT {one:Bool} OR site = {site:String})
GROUP BY {parts} currency
ORDER BY {parts} currency
LIMIT {limit:UInt32}
"""


class RevenueRow(BaseModel):
    """What counts of one group. The parts that were not asked for are null."""

    day: date | None = Field(description="on which the sessions ended, in the site's time zone")
    site: str | None = Field(description="null: all of them, or none")
    tariff: str | None
    currency: str
    sessions: int
    energy_wh: int | None
    net: Decimals | None = Field(description="with what was credited taken away")
    gross: Decimals | None
    credited: Decimals | None = Field(description="how much of gross was taken back: 0 or less")
    without_total: int = Field(
        description="CDRs whose tariff does not say the taxes: their net or gross is missing here"
    )


class Revenue(BaseModel):
    """Revenue of sites, days and tariffs."""

    model_config = like(examples.REVENUE)

    first_day: date
    last_day: date
    by: list[Part]
    items: list[RevenueRow]


CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/csv": {"schema": {"type": "string"}, "examples": {"a day": {"value": examples.REVENUE_CSV}}}}
    }
}


def span(first: date | None, last: date | None) -> tuple[date, date]:
    """Return the days that are meant: the last month, if nobody says."""
    last = last or clock.now().date()
    first = first or max(EARLIEST, last - timedelta(days=30))
    if first > last:
        raise invalid("to", "the last day is before the first", where="query")
    if (last - first).days >= MOST_DAYS:
        raise invalid("from", f"at most {MOST_DAYS} days at once", where="query")
    return first, last


def parts_of(text: str) -> list[Part]:
    """Return what a revenue is divided by."""
    said = [each.strip() for each in text.split(",") if each.strip()]
    if any(each not in PARTS for each in said):
        raise invalid("by", "day, site and tariff, or some of them with commas between", where="query")
    return [part for part in PARTS if part in said]


From = Annotated[
    date | None, Query(alias="from", ge=EARLIEST, le=LATEST, description="the first day; default: 30 before the last")
]
To = Annotated[
    date | None, Query(alias="to", ge=EARLIEST, le=LATEST, description="the last day, included; default: today")
]
OfSite = Annotated[Text | None, Query(max_length=48, description="only this site; empty: what is of none")]


@router.get("/revenue", operation_id="revenue", response_model=Revenue, responses=CSV)
async def revenue(
    caller: Reader,
    behind: Behind,
    first: From = None,
    last: To = None,
    by: Annotated[str, Query(max_length=50, description="day, site, tariff, or some of them")] = "day,site,tariff",
    site: OfSite = None,
    format: Literal["json", "csv"] = "json",
) -> Revenue | Response:
    """Say what sessions were billed, with energy and taxes, credits subtracted, by the local day on which they ended.

    A credit is taken from the day, site and tariff of the CDR that it takes back, so a day shows what counts of it now.
    """
    days, parts = span(first, last), parts_of(by)
    rows = await earned(behind.clickhouse, caller.tenant, days, parts, site)
    if len(rows) > MOST_ROWS:
        raise invalid("from", f"more than {MOST_ROWS} rows: ask for fewer days, or for one site", where="query")
    return _file(rows, parts) if format == "csv" else Revenue(first_day=days[0], last_day=days[1], by=parts, items=rows)


async def earned(
    db: ClickHouse, tenant: str, days: tuple[date, date], parts: Sequence[Part], site: str | None
) -> list[RevenueRow]:
    """Return the revenue of these days by these parts."""
    asked = {"tenant": tenant, "first": days[0], "last": days[1], "one": site is not None, "site": site or ""}
    sql = _REVENUE.replace("{parts}", "".join(f"{part}, " for part in parts))
    rows = await db.query(sql, asked | {"limit": MOST_ROWS + 1})
    return [RevenueRow(**dict.fromkeys(PARTS) | row | _written(row)) for row in rows]


def _written(row: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: money(row[name], row["currency"]) for name in ("net", "gross", "credited")}
    return amounts | ({"site": row["site"] or None} if "site" in row else {})


def money(amount: Decimal | None, currency: str) -> str | None:
    """Return an amount with the decimals of its currency."""
    return None if amount is None else f"{amount.quantize(unit(currency)):f}"


def _file(rows: Sequence[RevenueRow], parts: Sequence[Part]) -> Response:
    names = [name for name in RevenueRow.model_fields if name not in PARTS or name in parts]
    return table((row.model_dump(include=set(names)) for row in rows), names, "revenue")
