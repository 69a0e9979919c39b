"""Replay of the tables: the log read into an empty database, and every row compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis import replay, sql
from chassis.replay import Verdict
from chassis.settings import Settings
from contracts import shown, tables
from services.views import worker
from services.views.rows import Row
from services.views.store import Partition

Rows = dict[tuple[object, ...], Row]


async def compared(settings: Settings, folder: Path) -> list[Verdict]:
    """Compare the database with one that is built anew in `folder`, as far as the former has come by now."""
    engine = sql.build(settings)
    fresh = sql.build(settings.model_copy(update={"sql": SecretStr(f"sqlite+aiosqlite:///{folder / 'replay.sqlite'}")}))
    try:
        await sql.until_there(engine)
        async with sql.reading(engine) as connection:  # one moment
            reached = await _reached(connection)
            kept = {table: await _rows(connection, table) for table in _tables()}
        await _build(settings, fresh, reached)
        async with sql.reading(fresh) as connection:
            replayed = {table: await _rows(connection, table) for table in _tables()}
    finally:
        await engine.dispose()
        await fresh.dispose()
    return [_verdict(table, kept[table], replayed[table]) for table in _tables()]


def _tables() -> list[Table]:
    return [table for table in tables.metadata.tables.values() if table is not tables.positions]


async def _reached(connection: AsyncConnection) -> dict[Partition, int]:
    positions = tables.positions.c
    found = await connection.execute(select(positions.topic, positions.partition, positions.next))
    return {(row.topic, row.partition): row.next for row in found}


async def _rows(connection: AsyncConnection, table: Table) -> Rows:
    keys = [column.name for column in table.primary_key.columns]
    found = await connection.execute(select(table))
    return {tuple(row[key] for key in keys): _seen(row) for row in found.mappings()}


def _seen(row: Mapping[Any, Any]) -> Row:
    """Return the row as whoever asks sees it: of what a release wrote that keeps nothing shown, that is worked out."""
    seen = dict(row)
    if "shown_revision" in seen and seen["shown_revision"] != seen["revision"]:
        return seen | {"shown": shown.session(seen), "shown_revision": seen["revision"]}
    return seen


async def _build(settings: Settings, fresh: AsyncEngine, reached: dict[Partition, int]) -> None:
    await sql.until_there(fresh)
    await sql.migrate(fresh, worker.MIGRATIONS, tables.REVISION)
    views = worker.Views(fresh)
    await views.positions(set(reached))
    async for chunks in replay.chunks(settings, worker.TOPICS, reached):
        await views.apply(chunks)


def _verdict(table: Table, kept: Rows, replayed: Rows) -> Verdict:
    verdict = Verdict(f"sql.{table.name}")
    for key in sorted(kept.keys() | replayed.keys(), key=str):
        before, after = kept.get(key), replayed.get(key)
        if before and after:  # only what differs is worth showing
            differing = [name for name in before if before[name] != after[name]]
            before, after = ({name: row[name] for name in differing} for row in (before, after))
        verdict.compare("/".join(map(str, key)), before, after)
    return verdict
