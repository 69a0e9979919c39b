"""Tables as files, most of them streamed from ClickHouse: CSV for people's spreadsheets, Parquet for programs.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and runs it. Where a text comes from a user or a
station, such a cell of a CSV file begins with an apostrophe. In Parquet everything is as it is.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fastapi.responses import Response, StreamingResponse

from chassis.clickhouse import ClickHouse, Settings

Form = Literal["csv", "parquet"]
FORMATS = {"csv": "CSVWithNames", "parquet": "Parquet"}
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
FORMULAS = "=+@\t\r-"
"""A spreadsheet takes what begins so for a formula."""
_NUMBERS = frozenset("-0123456789.")
SETTINGS: Settings = {
    "date_time_output_format": "iso",
    "format_csv_null_representation": "",
    "output_format_parquet_string_as_string": 1,
}


class Column(NamedTuple):
    """A column of a file: its name, and what it holds, in ClickHouse's words."""

    name: str
    value: str
    kind: Literal["ours", "text", "amount"] = "ours"
    """text: anybody may have written it. amount: a decimal number as text, which CSV shows as it was said."""


def selected(columns: Sequence[Column], form: Form) -> str:
    """Return what a SELECT says of these columns."""
    return ", ".join(f"{_written(column, form)} AS `{column.name}`" for column in columns)


def _written(column: Column, form: Form) -> str:
    if form == "csv":
        return guarded(column.value) if column.kind == "text" else column.value
    return f"toDecimal128OrNull({column.value}, 4)" if column.kind == "amount" else column.value


def guarded(value: str) -> str:
    """Return in ClickHouse's words a text that no spreadsheet takes for a formula."""
    return f"if(match({value}, '^[{FORMULAS}]'), concat('\\'', {value}), {value})"


def plain(value: Any) -> Any:
    """Return what no spreadsheet takes for a formula; numbers are as they are."""
    is_formula = isinstance(value, str) and value[:1] in set(FORMULAS) and not set(value) <= _NUMBERS
    return f"'{value}" if is_formula else value


def table(rows: Iterable[Mapping[str, Any]], names: Sequence[str], name: str) -> Response:
    """Return an answer that is a CSV file of these columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows({column: plain(row[column]) for column in names} for row in rows)
    named = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), media_type=MEDIA["csv"], headers=named)


async def sheet(db: ClickHouse, sql: str, parameters: Mapping[str, Any], form: Form, name: str) -> StreamingResponse:
    """Return an answer that is a file. Raises `Unavailable` and `Refused` before it begins."""
    pieces = aiter(db.stream(sql, parameters, fmt=FORMATS[form], settings=SETTINGS))
    first = await anext(pieces, b"")
    named = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return StreamingResponse(_from(first, pieces), media_type=MEDIA[form], headers=named)


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
