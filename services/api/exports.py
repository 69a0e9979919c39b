"""Exports: whole tables of the past as files, streamed, so that no answer is held in memory here."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from services.api import analytic_examples as examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.problems import answers
from services.api.revenue import From, To, span
from services.api.sheets import MEDIA, Column, Form, selected, sheet

router = APIRouter(prefix="/v1/exports", tags=["reports"], responses=answers(400, 401, 403, 422, 503))

What = Literal["cdrs", "sessions"]

CDRS = (
    Column("id", "id"),
    Column("kind", "if(credits = '', 'CDR', 'CREDIT_CDR')"),
    Column("session", "session"),
    Column("station", "station", "text"),
    Column("site", "site", "text"),
    Column("token_id", "token"),
    Column("account", "account", "text"),
    Column("tariff", "tariff", "text"),
    Column("tariff_version", "tariff_version"),
    Column("started_at", "started_at"),
    Column("ended_at", "ended_at"),
    Column("issued_at", "issued_at"),
    Column("currency", "currency"),
    Column("net", "net_said", "amount"),
    Column("gross", "gross_said", "amount"),
    Column("energy_wh", "energy_wh"),
    Column("corrects", "corrects"),
    Column("credits", "credits"),
)
SESSIONS = (
    Column("id", "session"),
    Column("station", "station", "text"),
    Column("site", "site", "text"),
    Column("evse", "evse"),
    Column("connector", "connector"),
    Column("token_id", "token"),
    Column("transaction", "transaction", "text"),
    Column("state", "state"),
    Column("started_at", "started_at"),
    Column("ended_at", "ended_at"),
    Column("meter_start_wh", "meter_start_wh"),
    Column("meter_stop_wh", "meter_stop_wh"),
    Column("energy_wh", "energy_wh"),
    Column("final", "toBool(final)"),
    Column("reason", "reason", "text"),
)
_CDRS = """
SELECT {columns} FROM documents FINAL
WHERE tenant = {tenant:String} AND toDate(issued_at) BETWEEN {first:Date} AND {last:Date}
ORDER BY documents.issued_at, documents.id
"""
_SESSIONS = """
SELECT {columns} FROM sessions AS one
WHERE tenant = {tenant:String} AND toDate(assumeNotNull(one.started_at)) BETWEEN {first:Date} AND {last:Date} AND one.started_at IS NOT NULL
ORDER BY one.started_at, one.session
"""
EXPORTS = {"cdrs": (_CDRS, CDRS), "sessions": (_SESSIONS, SESSIONS)}

FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "examples": {"a CDR": {"value": examples.CDRS_CSV}}},
            MEDIA["parquet"]: {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"a file": {"summary": "binary", "value": "PAR1…PAR1"}},
            },
        },
    }
}


@router.get("/{what}", operation_id="export", response_class=Response, responses=FILES)
async def export(
    what: What,
    caller: Reader,
    behind: Behind,
    first: From = None,
    last: To = None,
    format: Annotated[Form, Query(description="csv for spreadsheets, parquet for programs")] = "csv",
) -> Response:
    """Return all CDRs and credits that were issued, or all sessions that began, on these days, in UTC.

    Amounts are exact. In CSV, texts that a spreadsheet would take for a formula begin with an apostrophe.
    """
    days = span(first, last)
    sql, columns = EXPORTS[what]
    asked = {"tenant": caller.tenant, "first": days[0], "last": days[1]}
    return await sheet(
        behind.clickhouse, sql.replace("{columns}", selected(columns, format)), asked, format, named(what, days)
    )


def named(what: str, days: tuple[date, date]) -> str:
    """Return the name of a file."""
    return f"{what}-{days[0]}-{days[1]}"
