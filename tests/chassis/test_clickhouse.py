import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from chassis.broker import free_port
from chassis.clickhouse import (
    ClickHouse,
    MigrationRefused,
    Refused,
    Unavailable,
    address,
    connect,
    migrate,
    placeholders,
    render,
    statements,
)
from tests.clickhouse_fixture import Embedded

EVENTS = """
CREATE TABLE events (id UInt64, at DateTime64(3, 'UTC') DEFAULT 0, note String DEFAULT '') ENGINE = MergeTree ORDER BY id
SETTINGS non_replicated_deduplication_window = 100
"""
FIRST = """
-- What was said; to be kept.
CREATE TABLE IF NOT EXISTS said {on_cluster} (id UInt64, what String) ENGINE = {engine} ORDER BY id;

CREATE TABLE IF NOT EXISTS latest {on_cluster} (id UInt64, what String)
ENGINE = {replicated}ReplacingMergeTree ORDER BY id;
"""
SECOND = "ALTER TABLE said {on_cluster} ADD COLUMN IF NOT EXISTS who String DEFAULT 'a;b';\n"


@pytest_asyncio.fixture
async def db(clickhouse: str, database: str) -> AsyncIterator[ClickHouse]:
    connected = connect(f"{clickhouse}/{database}")
    await connected.create_database()
    yield connected
    await connected.command(f"DROP DATABASE IF EXISTS {database}")
    await connected.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "migrations"
    files.mkdir()
    (files / "0001_said.sql").write_text(FIRST)
    (files / "0002_who.sql").write_text(SECOND)
    return files


def lines(*ids: int) -> bytes:
    return b"".join(json.dumps({"id": id, "note": f"note {id}"}).encode() + b"\n" for id in ids)


async def count(db: ClickHouse, table: str) -> int:
    return int((await db.query(f"SELECT count() AS n FROM {table}"))[0]["n"])


# Queries


async def test_rows_come_back_by_name_with_their_types(db: ClickHouse) -> None:
    sql = "SELECT 1 AS one, 'a' AS word, toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC') AS at, NULL AS nothing"
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
    assert await db.query(sql) == [{"one": 1, "word": "a", "at": at, "nothing": None}]


@pytest.mark.parametrize(
    "text", ["plain", "it's; -- FORMAT CSV", "back\\slash\ttab\nline", "{x:String}", "", "žluťoučký", "x" * 9_000]
)
async def test_a_parameter_is_never_read_as_sql(db: ClickHouse, text: str) -> None:
    assert await db.query("SELECT {x:String} AS x", {"x": text}) == [{"x": text}]


async def test_parameters_may_be_lists_times_and_nothing(db: ClickHouse) -> None:
    sql = "SELECT {ids:Array(UInt64)} AS ids, {at:DateTime64(3, 'UTC')} AS at, {none:Nullable(String)} AS none"
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
    values = {"ids": [1, 2], "at": at, "none": None}
    assert await db.query(sql, values) == [values]


async def test_many_queries_run_at_once(db: ClickHouse) -> None:
    answers = await asyncio.gather(*(db.query("SELECT {n:UInt8} AS n", {"n": n}) for n in range(40)))
    assert [rows[0]["n"] for rows in answers] == list(range(40))


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELEC 1", 62),
        ("SELECT * FROM nowhere", 60),
        ("SELECT throwIf(1)", 395),
        ("SELECT 1; SELECT 2", 62),
        ("CREATE TABLE k (a UInt8) ENGINE = Kafka('h:1', 't', 'g', 'CSV')", 344),
    ],
)
async def test_what_clickhouse_refuses_has_its_code(db: ClickHouse, sql: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        await db.command(sql)
    assert refused.value.code == code


async def test_what_may_pass_is_told_from_what_will_not(db: ClickHouse) -> None:
    with pytest.raises(Unavailable):
        await db.command("SELECT count() FROM numbers(100000000000)", settings={"max_execution_time": 1})


async def test_a_setting_that_does_not_exist_is_refused(db: ClickHouse) -> None:
    with pytest.raises(Refused):
        await db.command("SELECT 1", settings={"max_nonsense": 1})


# Inserts


async def test_json_lines_become_rows(db: ClickHouse) -> None:
    await db.command(EVENTS)
    assert await db.insert_json("events", b'{"id":1,"at":"2026-01-02T03:04:05.678Z"}\n{"id":2}', token="a") == 2
    assert [row["id"] for row in await db.query("SELECT id FROM events ORDER BY id")] == [1, 2]
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
    assert await db.query("SELECT at FROM events WHERE id = 1") == [{"at": at}]


async def test_a_token_inserts_once_and_another_again(db: ClickHouse) -> None:
    await db.command(EVENTS)
    for token in ("0-99", "0-99", "100-199"):
        await db.insert_json("events", lines(1, 2, 3), token=token)
    assert await count(db, "events") == 6


async def test_a_token_counts_once_in_a_materialized_view_too(db: ClickHouse) -> None:
    await db.command(EVENTS)
    target = "CREATE TABLE counts (id UInt64, n UInt64) ENGINE = SummingMergeTree ORDER BY id"
    await db.command(f"{target} SETTINGS non_replicated_deduplication_window = 100")
    await db.command("CREATE MATERIALIZED VIEW counting TO counts AS SELECT id, count() AS n FROM events GROUP BY id")
    for token in ("a", "a", "b"):
        await db.insert_json("events", lines(1), token=token)
    assert await db.query("SELECT toUInt64(sum(n)) AS n FROM counts") == [{"n": 2}]


async def test_a_large_insert_arrives_whole(db: ClickHouse) -> None:
    await db.command(EVENTS)
    rows = lines(*range(50_000))
    assert len(rows) > 1024 * 1024
    for _ in range(2):
        assert await db.insert_json("events", rows, token="large") == 50_000
    assert await db.query("SELECT count() AS n, uniqExact(id) AS ids FROM events") == [{"n": 50_000, "ids": 50_000}]


async def test_a_bad_line_inserts_nothing(db: ClickHouse) -> None:
    await db.command(EVENTS)
    with pytest.raises(Refused) as refused:
        await db.insert_json("events", lines(1, 2) + b'{"id": oops}\n', token="a")
    assert refused.value.code in {26, 27, 117}
    assert await count(db, "events") == 0


async def test_no_rows_are_no_insert(db: ClickHouse) -> None:
    assert await db.insert_json("nowhere", b"", token="a") == 0


async def test_a_table_is_named_not_described(db: ClickHouse) -> None:
    with pytest.raises(ValueError, match="not the name of a table"):
        await db.insert_json("events SELECT 1; --", b"{}", token="a")


# Connecting


async def test_ready_waits_and_says_what_for() -> None:
    db = connect(f"http://default:planted@127.0.0.1:{free_port()}/late")
    with capture_logs() as logs, pytest.raises(Unavailable, match=r"waited 0\.5 s") as unavailable:
        await db.ready(0.5)
    await db.close()
    assert logs[0]["event"] == "waiting for ClickHouse"
    assert logs[0]["address"] == str(db.address)
    assert "planted" not in f"{logs}{unavailable.value}{unavailable.value.__cause__}{db.address!r}"


async def test_ready_returns_once_clickhouse_answers(clickhouse: str, database: str) -> None:
    db = connect(f"{clickhouse}/{database}")
    await db.ready(20)
    await db.close()


async def test_a_password_opens_and_a_wrong_one_is_refused_at_once(tmp_path: Path) -> None:
    running = Embedded(tmp_path / "clickhouse", environment={"VOLTSTREAM_CLICKHOUSE_PASSWORD": "pl@nted/"}).ready()
    host = running.url.removeprefix("http://")
    right, wrong = connect(f"http://default:pl%40nted%2F@{host}"), connect(f"http://default:guessed@{host}")
    assert await right.query("SELECT 1 AS one") == [{"one": 1}]
    with pytest.raises(Refused) as refused:
        await wrong.ready(20)
    assert refused.value.code == 516
    assert "guessed" not in str(refused.value)
    for db in (right, wrong):
        await db.close()
    assert running.stop() == 0


def test_an_address_has_a_user_a_port_and_a_database() -> None:
    found = address("https://a%40b:c%2Fd@clickhouse.example/volt")
    assert (found.user, found.password, found.port, found.database) == ("a@b", "c/d", 8443, "volt")
    assert str(found) == "https://clickhouse.example:8443/volt"
    assert str(address("http://[::1]")) == "http://[::1]:8123/default"


@pytest.mark.parametrize(
    "url", ["ftp://h", "http://", "http://u:plan/ted@h", "http://h/a/b", "http://h/a?b=c", "nonsense"]
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must look like") as error:
        address(url)
    assert "plan" not in f"{error.value}{error.value.__context__}"


# Migrations


async def test_migrations_are_applied_in_order_and_once(clickhouse: str, database: str, folder: Path) -> None:
    db = connect(f"{clickhouse}/{database}")
    assert await migrate(db, folder) == ["0001_said.sql", "0002_who.sql"]
    assert await migrate(db, folder) == []
    await db.insert_json("said", b'{"id":1}', token="a")
    assert await db.query("SELECT who FROM said") == [{"who": "a;b"}]
    assert await count(db, "latest") == 0
    await db.command(f"DROP DATABASE {database}")
    await db.close()


async def test_a_new_migration_follows_the_applied_ones(db: ClickHouse, folder: Path) -> None:
    await migrate(db, folder)
    (folder / "0003_gone.sql").write_text("DROP TABLE IF EXISTS latest;\n")
    assert await migrate(db, folder) == ["0003_gone.sql"]


async def test_many_processes_may_migrate_at_once(clickhouse: str, database: str, folder: Path) -> None:
    processes = [connect(f"{clickhouse}/{database}") for _ in range(4)]
    applied = await asyncio.gather(*(migrate(db, folder) for db in processes))
    assert sorted(applied) == [[], [], [], ["0001_said.sql", "0002_who.sql"]]
    assert await count(processes[0], "migrations") == 2
    assert (
        await count(processes[0], "system.tables WHERE name = 'migrations_running' AND database = currentDatabase()")
        == 0
    )
    for db in processes:
        await db.close()


async def test_a_turn_whose_holder_was_killed_is_taken_over(
    db: ClickHouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.clickhouse._STALE_TURN_S", -1)
    await db.command("CREATE TABLE migrations_running (holder String) ENGINE = Null")
    with capture_logs() as logs:
        assert len(await migrate(db, folder)) == 2
    assert [log["event"] for log in logs][:2] == [
        "waiting for another process to apply ClickHouse migrations",
        "taking over ClickHouse migrations from a process that has gone",
    ]


async def test_a_turn_is_waited_for(db: ClickHouse, folder: Path) -> None:
    await db.command("CREATE TABLE migrations_running (holder String) ENGINE = Null")
    with capture_logs() as logs:
        migrating = asyncio.create_task(migrate(db, folder))
        async with asyncio.timeout(20):
            while not logs:
                await asyncio.sleep(0.01)
        assert not migrating.done()
        await db.command("DROP TABLE migrations_running SYNC")
        assert len(await migrating) == 2


async def test_a_migration_that_fails_is_begun_again(db: ClickHouse, folder: Path) -> None:
    (folder / "0002_who.sql").write_text(SECOND + "ALTER TABLE nowhere ADD COLUMN IF NOT EXISTS a UInt8;\n")
    with pytest.raises(Refused):
        await migrate(db, folder)
    (folder / "0002_who.sql").write_text(SECOND)
    assert await migrate(db, folder) == ["0002_who.sql"]


async def test_a_changed_migration_is_refused(db: ClickHouse, folder: Path) -> None:
    await migrate(db, folder)
    (folder / "0001_said.sql").write_text(FIRST + "-- better\n")
    with pytest.raises(MigrationRefused, match=r"0001_said\.sql has been changed"):
        await migrate(db, folder)


async def test_a_missing_migration_is_refused(db: ClickHouse, folder: Path) -> None:
    await migrate(db, folder)
    (folder / "0001_said.sql").unlink()
    with pytest.raises(MigrationRefused, match=r"0001_said\.sql has been applied .* but is missing"):
        await migrate(db, folder)


async def test_a_migration_before_an_applied_one_is_refused(db: ClickHouse, folder: Path) -> None:
    (folder / "0001_said.sql").rename(folder / "0003_said.sql")
    (folder / "0002_who.sql").unlink()
    await migrate(db, folder)
    (folder / "0002_late.sql").write_text("DROP TABLE IF EXISTS a;\n")
    with pytest.raises(MigrationRefused, match="renumber"):
        await migrate(db, folder)


@pytest.mark.parametrize("name", ["1_short.sql", "0001_twice.sql", "0003-dash.sql"])
async def test_a_badly_numbered_folder_is_refused(db: ClickHouse, folder: Path, name: str) -> None:
    (folder / name).write_text(SECOND)
    with pytest.raises(MigrationRefused, match="a number of its own"):
        await migrate(db, folder)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a UInt8) ENGINE = Null;",
        "DROP TABLE t;",
        "ALTER TABLE t\n ADD COLUMN a UInt8;",
        "RENAME TABLE a TO b;",
    ],
)
def test_a_statement_must_bear_repetition(sql: str) -> None:
    with pytest.raises(MigrationRefused, match="bear repetition"):
        statements(sql)


def test_one_file_suits_one_machine_and_a_cluster() -> None:
    alone = statements(render(FIRST, placeholders()))
    assert alone[0] == "CREATE TABLE IF NOT EXISTS said  (id UInt64, what String) ENGINE = MergeTree ORDER BY id"
    assert alone[1].endswith("ENGINE = ReplacingMergeTree ORDER BY id")
    many = statements(render(FIRST, placeholders("volt")))
    assert many[0] == (
        "CREATE TABLE IF NOT EXISTS said ON CLUSTER `volt` (id UInt64, what String) ENGINE = ReplicatedMergeTree ORDER BY id"
    )
    assert many[1].endswith("ENGINE = ReplicatedReplacingMergeTree ORDER BY id")


def test_macros_and_parameters_stay_and_other_placeholders_are_refused() -> None:
    kept = "'/clickhouse/{shard}', '{replica}', {id:UInt64}"
    assert render(kept, placeholders()) == kept
    with pytest.raises(MigrationRefused, match=r"\{engin\} is not a placeholder"):
        render("ENGINE = {engin}", placeholders())
