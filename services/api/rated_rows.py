"""The report of a re-rating: its rows, from ClickHouse."""

from typing import Any

from fastapi import Response
from sqlalchemy import Row

from chassis.clickhouse import ClickHouse
from services.api import analytic_examples as examples
from services.api.problems import Problem
from services.api.sheets import Column, selected, sheet

CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report",
        "content": {"text/csv": {"schema": {"type": "string"}, "examples": {"a row": {"value": examples.RATED_CSV}}}},
    }
}


def _said(name: str) -> str:
    return f"JSONExtractString(row, '{name}')"


def _number(name: str) -> str:
    return f"JSONExtractInt(row, '{name}')"


COLUMNS = (
    Column("session", _said("session")),
    Column("station", _said("station"), "text"),
    Column("site", _said("site"), "text"),
    Column("started_at", _said("started_at")),
    Column("ended_at", _said("ended_at")),
    Column("energy_wh", _number("energy_wh")),
    Column("cdr", _said("cdr")),
    Column("tariff", _said("tariff"), "text"),
    Column("tariff_version", _number("tariff_version")),
    Column("new_tariff", _said("new_tariff"), "text"),
    Column("new_version", _number("new_version")),
    Column("currency", _said("currency")),
    Column("net_before", _said("net_before"), "amount"),
    Column("net_after", _said("net_after"), "amount"),
    Column("gross_before", _said("gross_before"), "amount"),
    Column("gross_after", _said("gross_after"), "amount"),
    Column("state", _said("state")),
)
_PIECES = """
SELECT toInt64(JSONExtractInt(body, 'part')) AS part, toInt64(JSONExtractInt(body, 'first')) AS first,
    any(JSONExtractArrayRaw(body, 'rows')) AS rows
FROM events
WHERE tenant = {tenant:String} AND station = '' AND topic = 'rated' AND key = {key:String}
GROUP BY part, first
"""
_COUNT = f"SELECT sum(length(rows)) AS found FROM ({_PIECES})"  # noqa: S608 - ours
_ROWS = """
SELECT {columns} FROM ({pieces}) ARRAY JOIN rows AS row, arrayEnumerate(rows) AS number ORDER BY part, first, number
"""


async def report(db: ClickHouse, tenant: str, job: Row[Any], rows: int) -> Response:
    """Return the rows of a job as CSV, once ClickHouse has them all: the same piece written twice counts once."""
    asked = {"tenant": tenant, "key": f"{tenant}/{job.id}"}
    [found] = await db.query(_COUNT, asked)
    if int(found["found"]) < rows:
        raise Problem("unavailable", f"ClickHouse has {found['found']} of {rows} rows yet: ask again in some seconds")
    sql = _ROWS.replace("{columns}", selected(COLUMNS, "csv")).replace("{pieces}", _PIECES)
    return await sheet(db, sql, asked, "csv", f"re-rating-{job.id}")
