"""How fast views takes sessions in, beside bare SQLAlchemy upserts of rows of the same shape."""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.harness import Figure, Ground, Mark, compared
from chassis import sql
from chassis.kafka import Chunk, Record
from chassis.settings import Settings
from contracts import tables
from contracts.authorizations import TokenInfo
from contracts.cloudevents import Attributes, to_headers
from contracts.event import SessionId, SiteId, StationId, TenantId, TokenId, TransactionId
from contracts.sessions import EnergyDelivered, SessionAuthorized, SessionEnded, SessionEvent, SessionStarted
from contracts.topics import SESSIONS
from services.views import rows, worker

SESSIONS_AT_ONCE, DELIVERIES, BATCH, EVENTS = 2_500, 17, 2_000, 50_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def history(first: int) -> Iterator[SessionEvent]:
    """Yield all events of sessions that go on at the same time."""
    whose: list[Any] = [
        {
            "tenant": TenantId("default"),
            "station": StationId(f"station-{number % 5000}"),
            "session": SessionId(str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))),
        }
        for number in range(first, first + SESSIONS_AT_ONCE)
    ]
    at = BEGIN + timedelta(minutes=first)
    token, transaction = TokenId("0123456789abcdef" * 2), TransactionId("4711")
    site = SiteId("harbour")
    for who in whose:
        start: dict[str, Any] = {"evse": 1, "connector": 1, "masked_uid": "04…8F", "meter_wh": 100}
        yield SessionStarted(at=at, report="r", transaction=transaction, token=token, site=site, **start, **who)
    for who in whose:
        yield SessionAuthorized(at=at, info=TokenInfo("Accepted"), **who)
    for number in range(DELIVERIES):
        for who in whose:
            yield EnergyDelivered(at=at, energy_wh=number * 100, meter_wh=100 + number * 100, **who)
    for who in whose:
        yield SessionEnded(at=at, report="r", reason="Local", meter_wh=5000, energy_wh=4900, **who)


def record(offset: int, event: SessionEvent) -> Record:
    kind = f"voltstream.{type(event).__name__}"
    headers = to_headers(Attributes("id", kind, "/voltstream/sessions", "north/x", event.at, event.at))
    return Record(SESSIONS, 0, offset, SESSIONS.key_of(event), SESSIONS.encode(event), headers, 0)


def batches(events: int) -> list[Chunk]:
    rounds = events // (SESSIONS_AT_ONCE * (DELIVERIES + 3))
    records = [
        record(offset, event)
        for offset, event in enumerate(e for number in range(rounds) for e in history(number * SESSIONS_AT_ONCE))
    ]
    slices = [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
    return [Chunk(SESSIONS, 0, slice, slice[-1].offset + 1) for slice in slices]


async def bare(engine: AsyncEngine, whole: list[rows.Row]) -> float:
    """Return upserts per second of whole rows that are ready: BATCH of them a transaction."""
    new = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert(tables.sessions)
    keys = [column.name for column in tables.sessions.primary_key.columns]
    others = {c.name: new.excluded[c.name] for c in tables.sessions.columns if c.name not in keys}
    upsert = new.on_conflict_do_update(index_elements=keys, set_=others)
    begun = perf_counter()
    for start in range(0, len(whole), BATCH):
        async with sql.writing(engine) as connection:
            await connection.execute(upsert, whole[start : start + BATCH])
    return len(whole) / (perf_counter() - begun)


async def taken_in(engine: AsyncEngine, chunks: list[Chunk]) -> float:
    """Return events per second that views takes in."""
    views = worker.Views(engine)
    await views.positions({(SESSIONS.name, 0)})
    begun = perf_counter()
    for chunk in chunks:
        await views.apply([chunk])
    return sum(len(chunk.records) for chunk in chunks) / (perf_counter() - begun)


def as_rows(chunks: list[Chunk]) -> list[rows.Row]:
    """Return the row after each event, as views would write it were there no batches."""
    now: dict[str, rows.Row] = {}
    every = []
    for chunk in chunks:
        for said in chunk.records:
            event = said.message().event
            mark = rows.Mark(said.attributes().recorded_time, 0, said.offset)
            step = rows.Step(tables.sessions, (event.tenant, event.session), event, mark)
            now[event.session] = rows.stepped(now.get(event.session), step)
            every.append(now[event.session])
    return every


async def fresh(folder: Path) -> AsyncEngine:
    """Return an empty SQLite database with today's tables."""
    file = folder / f"{uuid4().hex}.sqlite"
    engine = sql.build(Settings(sql=SecretStr(f"sqlite+aiosqlite:///{file}")))
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, worker.MIGRATIONS, tables.REVISION)
    return engine


async def measure(ground: Ground) -> list[Figure]:
    """Return events per second that views takes in, beside bare upserts of the same rows by SQLAlchemy."""
    chunks = batches(EVENTS)
    whole = as_rows(chunks)
    gc.collect()
    gc.freeze()  # a service does not hold the whole log in memory

    async def floor() -> float:
        engine = await fresh(ground.folder)
        try:
            return await bare(engine, whole)
        finally:
            await engine.dispose()

    async def ours() -> float:
        engine = await fresh(ground.folder)
        try:
            return await taken_in(engine, chunks)
        finally:
            await engine.dispose()

    floors, measured = await ground.alternate(floor, ours, "upserts/s")
    return [compared("views", "upserts/s (SQLite)", measured, floors, Mark(at_least=0.5))]
