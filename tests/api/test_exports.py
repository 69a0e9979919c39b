"""Exports from a real ClickHouse: every row, exact, and nothing that a spreadsheet runs."""

import csv
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient

from chassis import clickhouse as chassis_clickhouse
from contracts.bills import CdrCredited, CdrIssued
from contracts.event import StationId, TenantId
from contracts.topics import BILLS, SESSIONS
from services.api import exports
from services.api.exports import CDRS
from tests.api.test_history import Archive, archive, client, reader
from tests.api.test_stations import OURS
from tests.billing.says import corrected, ticked
from tests.rerating.given import bills, renamed, session
from tests.views.given import ended, started

__all__ = ["archive", "client", "reader"]

DAYS = {"from": "2026-11-01", "to": "2026-11-30"}
HISTORY = bills(*session(), corrected(60, 12_345, recorded=70), ticked(76))


@pytest.fixture(autouse=True)
async def kept(client: AsyncClient, archive: Archive) -> None:
    ours: dict[str, Any] = {"tenant": TenantId("default"), "station": StationId("=HYPERLINK(1)")}
    await archive.keeps(BILLS, *renamed(HISTORY, "s-1", **ours), *renamed(HISTORY, "theirs"))
    await archive.keeps(SESSIONS, started("s-9", **OURS), ended("s-9", **OURS))


async def rows(reader: AsyncClient, what: str, **more: str) -> list[dict[str, str]]:
    answer = await reader.get(f"/v1/exports/{what}", params=DAYS | more)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(answer.text.splitlines()))


async def test_every_document_is_a_row_with_its_amounts_as_they_were_written(reader: AsyncClient) -> None:
    found = await rows(reader, "cdrs")
    amounts = {each["id"]: (each["net"], each["gross"]) for each in found}
    written = {}
    for event in HISTORY:
        if isinstance(event, CdrIssued):
            written[event.cdr] = (str(event.priced.total_excl), str(event.priced.total_incl))
        elif isinstance(event, CdrCredited):
            written[event.cdr] = (str(event.total_excl), str(event.total_incl))
    assert amounts == written
    assert [each["kind"] for each in found].count("CREDIT_CDR") == 1
    assert list(found[0]) == [column.name for column in CDRS]
    assert found[0]["started_at"] == "2026-11-23T12:00:00.000000Z"


async def test_a_text_that_is_a_formula_is_none_in_a_spreadsheet(reader: AsyncClient) -> None:
    assert {each["station"] for each in await rows(reader, "cdrs")} == {"'=HYPERLINK(1)"}


async def test_sessions_are_exported_by_the_day_on_which_they_began(reader: AsyncClient) -> None:
    assert await rows(reader, "sessions") == []
    [row] = await rows(reader, "sessions", **{"from": "2026-01-01", "to": "2026-01-01"})
    assert list(row) == [column.name for column in exports.SESSIONS]
    assert (row["id"], row["state"], row["energy_wh"], row["site"]) == ("s-9", "ended", "7500", "harbour")


async def test_what_nobody_knows_is_an_empty_cell_and_what_is_so_or_not_says_so(
    reader: AsyncClient, archive: Archive
) -> None:
    await archive.keeps(SESSIONS, started("s-10", **OURS))
    first = {"from": "2026-01-01", "to": "2026-01-01"}
    found = {each["id"]: each for each in await rows(reader, "sessions", **first)}
    known = {id: (each["ended_at"], each["energy_wh"], each["final"]) for id, each in found.items()}
    assert known["s-10"] == ("", "", "false")
    assert known["s-9"][1:] == ("7500", "true")


async def test_parquet_has_exact_decimals_and_texts_as_they_are(
    reader: AsyncClient, clickhouse: str, tmp_path: Any
) -> None:
    answer = await reader.get("/v1/exports/cdrs", params=DAYS | {"format": "parquet"})
    assert answer.headers["content-disposition"] == 'attachment; filename="cdrs-2026-11-01-2026-11-30.parquet"'
    assert answer.content[:4] == answer.content[-4:] == b"PAR1"
    file = tmp_path / "cdrs.parquet"
    file.write_bytes(answer.content)
    db = chassis_clickhouse.connect(clickhouse)
    found = await db.query(f"SELECT station, net, toTypeName(net) AS kind FROM file('{file}', Parquet)")
    await db.close()
    assert {each["station"] for each in found} == {"=HYPERLINK(1)"}
    assert sum(each["net"] for each in found) == Decimal("4.94")
    assert {each["kind"] for each in found} == {"Nullable(Decimal(38, 4))"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("cdrs", {"from": "2026-03-02", "to": "2026-03-01"}),
        ("cdrs", {"format": "xls"}),
        ("tokens", {}),
        ("sessions", {"from": "1999-01-01"}),
    ],
)
async def test_what_cannot_be_exported_is_refused(reader: AsyncClient, path: str, query: dict[str, str]) -> None:
    assert (await reader.get(f"/v1/exports/{path}", params=query)).status_code == 422
