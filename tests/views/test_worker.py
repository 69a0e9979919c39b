"""Views against real databases, SQLite and PostgreSQL: everything exactly once, whatever is repeated or broken off."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Row, Select, literal_column, select, text, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.kafka import Chunk
from chassis.patience import Interrupted
from contracts import tables
from contracts.event import SiteId
from contracts.reference import AccessKeyForgotten, SiteForgotten, StationForgotten, TokenForgotten
from contracts.topics import ACCESS, AUTHORIZATIONS, DIRECTORY, OPERATIONS, REGISTRY, SESSIONS, SITES, TOKENS
from services.views import store
from services.views.worker import MIGRATIONS, TOPICS, Rewound, Views
from tests.sql_fixture import Postgres, engine_at
from tests.views.given import (
    NORTH,
    accepted_change,
    access_key,
    at,
    authorized,
    chunk,
    connected,
    delivered,
    ended,
    everything,
    evse,
    of,
    record,
    refused_change,
    site,
    started,
    station,
    status,
    token,
    unknown,
)

PARTITIONS = 2
ALL = {(topic.name, number) for topic in TOPICS for number in range(PARTITIONS)}


async def views_on(engine: AsyncEngine) -> Views:
    views = Views(engine)
    await views.positions(ALL)
    return views


async def rows_of(engine: AsyncEngine, table: Any) -> list[dict[str, Any]]:
    async with sql.reading(engine) as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def raw(engine: AsyncEngine) -> dict[str, list[Row[Any]]]:
    """Return all that the database holds, byte for byte as its driver hands it over."""
    everything_there: dict[str, list[Row[Any]]] = {}
    async with sql.reading(engine) as connection:
        for table in tables.metadata.tables.values():
            columns: list[ColumnElement[Any]] = [literal_column(f'"{column.name}"') for column in table.columns]
            order: list[ColumnElement[Any]] = [
                literal_column(f'"{column.name}"') for column in table.primary_key.columns
            ]
            found = await connection.execute(select(*columns).select_from(table).order_by(*order))
            everything_there[table.name] = list(found.all())
    return everything_there


async def empty(engine: AsyncEngine) -> None:
    await sql.change(engine, store.empty)


async def test_every_topic_fills_its_tables(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply(everything())
    counts = {name: len(rows) for name, rows in (await raw(migrated)).items() if rows}
    assert counts == {
        "positions": len(ALL),
        "sites": 1,
        "stations": 1,
        "evses": 2,
        "connectors": 2,
        "tokens": 1,
        "unknown_tokens": 5,
        "sessions": 4,
        "commands": 1,
        "changes": 2,
        "access_keys": 1,
        "tariffs": 1,
        "tariff_versions": 2,
        "tariff_assignments": 1,
        "costs": 2,
        "cdrs": 3,
        "re_ratings": 1,
        "cdr_reviews": 1,
        "alerts": 2,
        "invoices": 1,
        "papers": 1,
    }
    (there,) = await rows_of(migrated, tables.stations)
    assert (there["declared"], there["version"], there["tags"], there["online"]) == (True, 2, ["fast"], False)
    assert (there["since"], there["model"], there["status"]) == (at(5), "One", "Available")
    first = (await rows_of(migrated, tables.sessions))[0]
    assert (first["state"], first["revision"], first["energy_wh"], first["flags"]) == ("ended", 4, 7500, [])
    assert (await rows_of(migrated, tables.commands))[0]["history"][3]["state"] == "fulfilled"


async def test_hearing_everything_twice_changes_nothing(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply(everything())
    once = await raw(migrated)
    await views.apply(everything())
    assert await raw(migrated) == once
    await (await views_on(migrated)).apply(everything())
    assert await raw(migrated) == once


async def test_of_a_batch_that_overlaps_only_the_rest_counts(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    events = [started(), authorized(), delivered(100), delivered(200)]
    await views.apply([chunk(SESSIONS, events[:3])])
    await views.apply([chunk(SESSIONS, events)])
    (row,) = await rows_of(migrated, tables.sessions)
    assert (row["revision"], row["energy_wh"], row["place"]) == (4, 200, 3)


async def test_a_zombie_changes_nothing_that_its_successor_has_done(migrated: AsyncEngine) -> None:
    zombie, successor = await views_on(migrated), await views_on(migrated)
    events = [started(), delivered(100), delivered(200), delivered(300), ended()]
    await zombie.apply([chunk(SESSIONS, events[:1])])
    await successor.apply([chunk(SESSIONS, events)])
    done = await raw(migrated)
    await zombie.apply([chunk(SESSIONS, events[1:4], first=1)])
    assert await raw(migrated) == done


async def test_a_zombie_that_is_ahead_is_not_repeated_by_its_successor(migrated: AsyncEngine) -> None:
    first, second = await views_on(migrated), await views_on(migrated)
    events = [started(), *(delivered(100 * number) for number in range(1, 8)), ended()]
    await first.apply([chunk(SESSIONS, events[:2])])
    await second.apply([chunk(SESSIONS, events[:4])])  # and keeps the row in memory
    await first.apply([chunk(SESSIONS, events[:6])])
    await second.apply([chunk(SESSIONS, events)])
    (row,) = await rows_of(migrated, tables.sessions)
    assert (row["revision"], row["state"], row["place"]) == (9, "ended", 8)


async def test_two_at_once_take_everything_in_once(migrated: AsyncEngine) -> None:
    one, other = await views_on(migrated), await views_on(migrated)
    batches = [chunk(SESSIONS, [started(f"s-{n}"), delivered(100, f"s-{n}")], first=2 * n) for n in range(20)]

    async def read(views: Views) -> None:
        for batch in batches:
            await views.apply([batch])

    await asyncio.gather(read(one), read(other))
    rows = await rows_of(migrated, tables.sessions)
    assert [row["revision"] for row in rows] == [2] * 20


async def test_a_rebuild_writes_the_same_bytes_again(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    for number in range(PARTITIONS):
        await views.apply(everything(number))
    before = await raw(migrated)
    await empty(migrated)
    again = await views_on(migrated)
    for number in reversed(range(PARTITIONS)):  # another order of topics and partitions, and other batches
        for batch in reversed(everything(number)):
            for said in batch.records:
                await again.apply([Chunk(batch.topic, batch.partition, [said], said.offset + 1)])
    assert await raw(migrated) == before


async def test_a_rebuild_from_compacted_topics_writes_the_same_bytes(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    history = [
        station(1, evse(1, 1, 2), evse(2, 1)),
        station(2, evse(3, 1)),
        station(3, evse(1, 1), site=SiteId("quay")),
    ]
    await views.apply([chunk(OPERATIONS, [connected(), status(2), status(7)]), chunk(REGISTRY, history)])
    before = await raw(migrated)
    await empty(migrated)
    again = await views_on(migrated)
    await again.apply([chunk(REGISTRY, history[2:], first=2)])
    await again.apply([chunk(OPERATIONS, [connected(), status(2), status(7)])])
    assert await raw(migrated) == before


async def test_emptied_tables_are_noticed_by_the_next_batch(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(SESSIONS, [started()])])
    await empty(migrated)
    with pytest.raises(Rewound, match="sessions, partition 0, is not at 1"):
        await views.apply([chunk(SESSIONS, [ended()], first=1)])
    assert await rows_of(migrated, tables.sessions) == []


async def test_emptied_tables_are_noticed_where_no_record_comes(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(SESSIONS, [started()])])
    watch = asyncio.create_task(views._watch())
    await empty(migrated)
    await views_on(migrated)  # another member has begun anew
    with pytest.raises(Rewound):
        await asyncio.wait_for(watch, 30)


async def test_emptied_tables_are_noticed_by_who_is_assigned_anew(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(SESSIONS, [started()])])
    await empty(migrated)
    with pytest.raises(Rewound):
        await views.positions(ALL)


async def test_positions_are_where_to_go_on(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    assert await views.positions({("sessions", 0), ("sites", 1)}) == {}
    await views.apply([replace(chunk(SESSIONS, [started()], first=5), after=9)])
    assert await Views(migrated).positions({("sessions", 0), ("sites", 1)}) == {("sessions", 0): 9}


# ---- the directory's things ----------------------------------------------------------------------------------------


async def test_what_the_directory_forgets_is_gone(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(SITES, [site()]), chunk(TOKENS, [token()]), chunk(ACCESS, [access_key()])])
    whose: dict[str, Any] = {"at": at(9), "tenant": NORTH}
    await views.apply(
        [
            chunk(SITES, [SiteForgotten(id="harbour", **whose)], first=1),
            chunk(TOKENS, [TokenForgotten(id="tok-1", **whose)], first=1),
            chunk(ACCESS, [AccessKeyForgotten(id="key-1", **whose), access_key(2, digest="e" * 64)], first=1),
        ]
    )
    assert await rows_of(migrated, tables.sites) == []
    assert await rows_of(migrated, tables.tokens) == []
    assert [row["digest"] for row in await rows_of(migrated, tables.access_keys)] == ["e" * 64]


async def test_a_forgotten_station_that_was_never_there_leaves_nothing(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(REGISTRY, [station(1, evse(1, 1))])])
    await views.apply([chunk(REGISTRY, [StationForgotten(at=at(9), tenant=NORTH, id="st-1")], first=1)])
    for table in (tables.stations, tables.evses, tables.connectors):
        assert await rows_of(migrated, table) == []


async def test_a_forgotten_station_keeps_what_it_did(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(REGISTRY, [station(1, evse(1, 1), evse(2, 1))])])
    await views.apply([chunk(OPERATIONS, [connected(), status(1, "Charging")])])
    await views.apply([chunk(REGISTRY, [StationForgotten(at=at(9), tenant=NORTH, id="st-1")], first=1)])
    (there,) = await rows_of(migrated, tables.stations)
    assert (there["declared"], there["version"], there["site"], there["online"]) == (False, None, None, True)
    (plug,) = await rows_of(migrated, tables.connectors)
    assert (plug["declared"], plug["type"], plug["status"]) == (False, None, "Charging")


async def test_a_change_of_evses_leaves_those_of_which_nothing_was_heard(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(REGISTRY, [station(1, evse(1, 1, 2), evse(2, 1))])])
    await views.apply([chunk(OPERATIONS, [status(2)])])
    await views.apply([chunk(REGISTRY, [station(2, evse(1, 1))], first=1)])
    found = [(row["evse"], row["id"], row["declared"]) for row in await rows_of(migrated, tables.connectors)]
    assert found == [(1, 1, True), (2, 1, False)]


async def test_tenants_do_not_meet(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    south: Any = {"tenant": "south"}
    await views.apply([chunk(SITES, [site(), site(2, name="Hafen", **south)])])
    await views.apply([chunk(SESSIONS, [started(), started(tenant="south"), ended()])])
    assert [(row["tenant"], row["name"]) for row in await rows_of(migrated, tables.sites)] == [
        ("north", "Harbour"),
        ("south", "Hafen"),
    ]
    assert [row["state"] for row in await rows_of(migrated, tables.sessions)] == ["ended", "pending"]


# ---- bounds --------------------------------------------------------------------------------------------------------


async def test_only_the_newest_unknown_tokens_are_kept(
    migrated: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "UNKNOWN_TOKENS_KEPT", 3)
    views = await views_on(migrated)
    await views.apply([chunk(AUTHORIZATIONS, [unknown(f"tok-{number}") for number in range(5)])])
    await views.apply([chunk(AUTHORIZATIONS, [unknown("tok-2"), unknown("other", tenant="south")], first=5)])
    found = [(row["tenant"], row["token"]) for row in await rows_of(migrated, tables.unknown_tokens)]
    assert found == [("north", "tok-2"), ("north", "tok-3"), ("north", "tok-4"), ("south", "other")]


async def test_the_newest_sight_of_a_token_counts_whichever_partition_is_read_first(migrated: AsyncEngine) -> None:
    older = chunk(AUTHORIZATIONS, [unknown("tok-1", station="st-1")], first=1)
    newer = chunk(AUTHORIZATIONS, [unknown("tok-1", station="st-2")], first=2, partition=1)
    seen = []
    for batches in ([older, newer], [newer, older]):
        await empty(migrated)
        views = await views_on(migrated)
        for batch in batches:
            await views.apply([batch])
        seen.append([(row["station"], row["part"]) for row in await rows_of(migrated, tables.unknown_tokens)])
    assert seen == [[("st-2", 1)], [("st-2", 1)]]


async def test_outcomes_are_kept_for_as_long_as_their_log_says(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    old = record(DIRECTORY, accepted_change("old"), offset=0)
    late = record(DIRECTORY, accepted_change("new"), offset=1, recorded=at(86_400 * (tables.CHANGES_KEPT_DAYS + 1)))
    await views.apply([Chunk(DIRECTORY, 0, [old], 1), chunk(DIRECTORY, [accepted_change("elsewhere")], partition=1)])
    await views.apply([Chunk(DIRECTORY, 0, [late], 2)])
    assert [row["request"] for row in await rows_of(migrated, tables.changes)] == ["elsewhere", "new"]


async def test_an_outcome_stays_when_its_key_is_used_for_another_request(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    again = refused_change(reason="idempotency_key_reused", fingerprint="g")
    await views.apply([chunk(DIRECTORY, [accepted_change()])])
    await views.apply([chunk(DIRECTORY, [again], first=1)])
    (row,) = await rows_of(migrated, tables.changes)
    assert (row["accepted"], row["fingerprint"]) == (True, "f")


# ---- what is broken ------------------------------------------------------------------------------------------------


async def test_what_nobody_can_read_is_left_out_and_counted(
    migrated: AsyncEngine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    views = await views_on(migrated)
    good = chunk(SESSIONS, [started(), delivered(2**70), ended()])
    garbled = replace(good.records[2], offset=3, value=b'{"type":')
    headless = replace(good.records[2], offset=4, headers=[])
    nameless = replace(good.records[2], offset=5, headers=[("ce_recordedtime", b"yesterday")])
    batch = Chunk(SESSIONS, 0, [*good.records, garbled, headless, nameless], 6)
    await views.apply([batch])
    (row,) = await rows_of(migrated, tables.sessions)
    assert (row["state"], row["revision"]) == ("ended", 2)
    assert capsys.readouterr().out.count("left out of the tables") == 4
    null = replace(record(SITES, site(), offset=0), key=b"harbour", value=None)
    await views.apply([Chunk(SITES, 0, [null], 1)])
    assert (await views.positions(ALL))["sites", 0] == 1


async def test_what_postgresql_cannot_hold_is_replaced(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    await views.apply([chunk(OPERATIONS, [status(1, info="a\x00b")])])
    (plug,) = await rows_of(migrated, tables.connectors)
    assert plug["info"] == "a\ufffdb"


async def test_a_clock_at_the_edge_of_time_is_no_obstacle(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    said = record(OPERATIONS, connected())
    assert said.value is not None
    for number, moment in enumerate((b"0001-01-01T00:00:00+05:00", b"9999-12-31T23:59:59-05:00")):
        value = said.value.replace(b"2026-01-01T12:00:00Z", moment)
        await views.apply([Chunk(OPERATIONS, 0, [replace(said, offset=number, value=value)], number + 1)])
        (there,) = await rows_of(migrated, tables.stations)
        assert there["since"].year in {1, 9999}


async def test_sql_away_is_waited_for_and_nothing_is_lost(postgres: Postgres, postgres_url: str) -> None:
    engine = engine_at(postgres_url)
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    views = await views_on(engine)
    await views.apply([chunk(SESSIONS, [started()])])
    postgres.stop()
    applying = asyncio.create_task(views.apply([chunk(SESSIONS, [delivered(100), ended()], first=1)]))
    done, _ = await asyncio.wait([applying], timeout=0.5)
    assert not done
    postgres.start()
    await asyncio.wait_for(applying, 30)
    (row,) = await rows_of(engine, tables.sessions)
    assert (row["state"], row["revision"]) == ("ended", 3)
    await engine.dispose()


async def test_a_database_in_use_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "LOCK_WAIT_S", 0)
    engine = engine_at(sqlite_url)
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    views = await views_on(engine)
    async with sql.writing(engine):
        applying = asyncio.create_task(views.apply([chunk(SESSIONS, [started()])]))
        done, _ = await asyncio.wait([applying], timeout=0.3)
        assert not done
    await asyncio.wait_for(applying, 30)
    assert len(await rows_of(engine, tables.sessions)) == 1
    await engine.dispose()


async def test_who_waits_for_the_database_can_be_stopped(postgres: Postgres, postgres_url: str) -> None:
    engine = engine_at(postgres_url)
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    stopping = asyncio.Event()
    views = Views(engine, stopping)
    await views.positions(ALL)
    postgres.stop()
    try:
        applying = asyncio.create_task(views.apply([chunk(SESSIONS, [started()])]))
        stopping.set()
        with pytest.raises(Interrupted):
            await asyncio.wait_for(applying, 30)
    finally:
        postgres.start()
        await engine.dispose()


async def test_a_database_that_is_wrong_stops_the_service(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    async with sql.writing(migrated) as connection:
        await connection.execute(text("DROP TABLE sessions"))
    with pytest.raises(DBAPIError):
        await views.apply([chunk(SESSIONS, [started()])])


# ---- paging --------------------------------------------------------------------------------------------------------

Cursor = dict[int, tuple[datetime, int]]


def page(cursor: Cursor, size: int) -> Select[Any]:
    """The question that `contracts.tables` describes."""
    s = tables.sessions.c
    parts = []
    for number in range(PARTITIONS):
        since, place = cursor.get(number, (at(-1), -1))
        new = (s.tenant == "north", s.part == number, s.updated_at >= since, s.place > place)
        parts.append(select(select(tables.sessions).where(*new).order_by(s.updated_at, s.place).limit(size).subquery()))
    every = union_all(*parts).subquery()
    return select(every).order_by(every.c.updated_at, every.c.part, every.c.place).limit(size)


async def follow(engine: AsyncEngine, cursor: Cursor, size: int) -> list[tuple[str, int]]:
    """Read pages to the end, moving the cursor; return the ids and revisions they gave."""
    given = []
    while True:
        async with sql.reading(engine) as connection:
            found = (await connection.execute(page(cursor, size))).all()
        for row in found:
            cursor[row.part] = (row.updated_at, row.place)
            given.append((row.id, row.revision))
        if len(found) < size:
            return given


def lagging() -> tuple[list[Chunk], list[Chunk]]:
    """Two partitions with the same times, and a clock that goes back in each."""
    batches = []
    for number in range(PARTITIONS):
        events = [
            event
            for n in range(6)
            for event in (started(f"s-{number}-{n}", **of(f"st-{number}")), delivered(n, f"s-{number}-{n // 2}"))
        ]
        records = [
            record(SESSIONS, event, partition=number, offset=offset, recorded=at(offset - 3 * (offset % 4 == 3)))
            for offset, event in enumerate(events)
        ]
        batches.append([Chunk(SESSIONS, number, [said], said.offset + 1) for said in records])
    return batches[0], batches[1]


async def finals(engine: AsyncEngine) -> dict[str, int]:
    return {row["id"]: row["revision"] for row in await rows_of(engine, tables.sessions)}


@pytest.mark.parametrize("order", ["one after the other", "in turn", "the other first"])
@pytest.mark.parametrize("size", [1, 3, 100])
async def test_who_follows_the_cursor_misses_no_change(migrated: AsyncEngine, order: str, size: int) -> None:
    views = await views_on(migrated)
    one, other = lagging()
    batches: Iterable[Chunk] = {
        "one after the other": [*one, *other],
        "in turn": [batch for pair in zip(one, other, strict=True) for batch in pair],
        "the other first": [*other, *one],
    }[order]
    cursor: Cursor = {}
    given: list[tuple[str, int]] = []
    for number, batch in enumerate(batches):
        await views.apply([batch])
        if number % 3 == 2:
            given += await follow(migrated, cursor, size)
    given += await follow(migrated, cursor, size)
    assert dict(given) == await finals(migrated)  # the last that was given of each is what it is now
    assert len(set(given)) == len(given)


async def test_updated_at_never_falls_within_a_partition(migrated: AsyncEngine) -> None:
    views = await views_on(migrated)
    for batch in lagging()[0]:
        await views.apply([batch])
    rows = sorted(await rows_of(migrated, tables.sessions), key=lambda row: row["place"])
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)
    standing = await sql.ask(migrated, lambda connection: store.look(connection, [("sessions", 0)]))
    assert standing["sessions", 0].newest == at(10)
