"""Batches against a real ClickHouse: once each, whatever is repeated or cut short."""

from collections.abc import Sequence

import pytest

from chassis.clickhouse import ClickHouse, placeholders, render, statements
from chassis.kafka import Record
from contracts.topics import STATIONS
from services.analytics.rows import encode, line
from services.analytics.sink import Partition, Plan, Sink, Span, plan
from services.analytics.worker import SCHEMA, span_of
from tests.analytics.given import (
    CLASSES,
    bodies,
    counts,
    filled,
    heartbeat,
    heartbeats,
    number,
    readings,
    record,
    stored,
)


def lines(records: Sequence[Record]) -> bytes:
    return encode([line(record) for record in records])


async def write(db: ClickHouse, records: Sequence[Record]) -> Plan:
    """Store records of one partition as a batch."""
    sink, batch = Sink(db), plan([span_of(records)])
    await sink.begin(batch)
    await sink.store(batch, lines(records))
    await sink.end(batch)
    return batch


async def test_every_event_of_the_catalogue_lands_once_with_its_exact_bytes(db: ClickHouse) -> None:
    records = [record(topic, filled(cls), offset=offset) for offset, (topic, cls) in enumerate(CLASSES)]
    sink, batch = Sink(db), plan([span_of([each]) for each in records])
    for _ in range(2):
        await sink.store(batch, lines(records))
    assert await stored(db) == bodies(records)
    assert await number(db, "count() FROM events") == len(CLASSES)
    assert await number(db, "countIf(deleted) FROM events") == sum(each.value is None for each in records)
    types = await db.query("SELECT DISTINCT type FROM events")
    assert {row["type"] for row in types} == {f"voltstream.{cls.__name__}" for _, cls in CLASSES}


@pytest.mark.parametrize(
    "value", [b"\xff\x00\"\\\n'", b"", "\U0001f600 žluťoučký\r\n\t\x7f".encode(), bytes(range(256))]
)
async def test_any_bytes_come_back_as_they_were(db: ClickHouse, value: bytes) -> None:
    await write(db, [record(STATIONS, heartbeat("[]"), value=value, key=value)])
    assert await db.query("SELECT hex(body) AS body, hex(key) AS key FROM events") == [
        {"body": value.hex().upper(), "key": value.hex().upper()}
    ]


async def test_a_record_that_nobody_can_read_is_stored_too(db: ClickHouse) -> None:
    await write(db, [*heartbeats(1), record(STATIONS, heartbeat("[]"), offset=1, headers=[("x", b"\xff")])])
    (row,) = await db.query("SELECT id, unread, headers, hex(body) AS body FROM events WHERE unread != ''")
    assert (row["id"], row["headers"]) == ("stations/0/1", {"x": "�"})
    assert bytes.fromhex(row["body"]).startswith(b"{")


async def test_a_batch_that_is_repeated_changes_nothing(db: ClickHouse) -> None:
    for _ in range(3):
        await write(db, readings(5))
    assert await counts(db) == (5, 5, 10, 10)
    assert await number(db, "count() FROM positions FINAL") == 1


async def test_batches_that_overlap_are_one_as_final_shows_them(db: ClickHouse) -> None:
    await write(db, readings(6))
    await write(db, readings(8, first=3))
    assert await counts(db) == (14, 11, 28, 22)
    assert await number(db, "sum(value) FROM readings FINAL") == sum(n + n + 1 for n in range(11))


async def test_the_same_event_at_two_places_is_one_row(db: ClickHouse) -> None:
    twice = [record(STATIONS, heartbeat("[]"), offset=offset, id="e1", recorded=None) for offset in (0, 0)]
    await write(db, twice)
    assert await number(db, "count() FROM events FINAL") == 1


async def test_a_batch_may_reach_over_many_months(db: ClickHouse) -> None:
    records = [
        record(STATIONS, heartbeat("[]"), offset=n, headers=[], timestamp_ms=n * 31 * 86_400_000) for n in range(150)
    ]
    for _ in range(2):
        await write(db, records)
    assert await number(db, "count() FROM events") == 150


async def test_nothing_has_been_reached_at_first(db: ClickHouse) -> None:
    standing = await Sink(db).standing()
    assert (standing.next, standing.begun) == ({}, [])


async def test_a_batch_is_open_until_its_end_is_noted(db: ClickHouse) -> None:
    sink, batch = Sink(db), plan([Span("stations", 0, 5, 9), Span("sessions", 0, 2, 3)])
    await sink.begin(batch)
    standing = await sink.standing()
    assert standing.begun == [batch]
    assert standing.next == {Partition("stations", 0): 5, Partition("sessions", 0): 2}
    await sink.end(batch)
    standing = await sink.standing()
    assert standing.begun == []
    assert standing.next == {Partition("stations", 0): 9, Partition("sessions", 0): 3}


async def test_the_newest_batch_of_each_partition_counts(db: ClickHouse) -> None:
    sink = Sink(db)
    first, second = plan([Span("stations", 0, 0, 5), Span("stations", 1, 0, 5)]), plan([Span("stations", 1, 5, 9)])
    for each in (first, second):
        await sink.begin(each)
        await sink.end(each)
    await sink.begin(first)  # late news of an earlier batch
    assert (await sink.standing()).next == {Partition("stations", 0): 5, Partition("stations", 1): 9}
    assert (await sink.standing()).begun == []


async def test_late_news_of_a_batch_that_others_went_beyond_is_passed_over(db: ClickHouse) -> None:
    sink = Sink(db)
    late, ahead = plan([Span("stations", 0, 0, 5), Span("stations", 1, 0, 5)]), plan([Span("stations", 1, 0, 7)])
    await sink.begin(ahead)
    await sink.end(ahead)
    await sink.begin(late)
    (begun,) = (await sink.standing()).begun
    assert (begun.token, begun.spans) == (late.token, (Span("stations", 0, 0, 5),))


def test_a_plan_is_named_by_what_it_takes() -> None:
    one, other = Span("stations", 0, 0, 5), Span("stations", 1, 0, 5)
    assert plan([one, other]) == plan([other, one])
    assert len({plan(spans).token for spans in ([one], [other], [one, other], [Span("stations", 0, 0, 6)])}) == 4
    assert str(one) == "stations-0-0-4"


async def without_readings(db: ClickHouse) -> None:
    """Let ClickHouse store events as if it died before it came to their readings."""
    await db.command("DROP VIEW IF EXISTS readings_of_events")


async def with_readings(db: ClickHouse) -> None:
    for statement in statements(render((SCHEMA / "0002_readings.sql").read_text(), placeholders())):
        await db.command(statement)


async def test_readings_that_a_crash_has_cut_off_are_added_by_the_repetition(db: ClickHouse) -> None:
    await write(db, readings(2))
    await without_readings(db)
    batch, cut_short = plan([Span("readings", 0, 2, 6)]), lines(readings(4, first=2))
    await Sink(db).begin(batch)
    await Sink(db).store(batch, cut_short)
    await with_readings(db)
    assert await counts(db) == (6, 6, 4, 4)
    for _ in range(2):
        await Sink(db).store(batch, cut_short)
    assert await counts(db) == (6, 6, 12, 12)


async def test_the_tables_of_a_cluster_are_replicated() -> None:
    texts = [statements(render(file.read_text(), placeholders("volt"))) for file in sorted(SCHEMA.glob("*.sql"))]
    created = [statement for text in texts for statement in text if not statement.startswith("INSERT")]
    assert all("ON CLUSTER `volt`" in statement for statement in created)
    tables = [statement for statement in created if "ENGINE" in statement]
    assert len(tables) == 6
    assert all("ENGINE = ReplicatedReplacingMergeTree" in table for table in tables)
    assert all(" replicated_deduplication_window = 10000" in table for table in tables)
    assert not any("TTL" in statement for statement in created)
