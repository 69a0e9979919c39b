"""The migrated, real in both kinds: SQLite and PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.settings import Settings
from contracts import tables
from services.views.worker import MIGRATIONS
from tests.sql_fixture import (  # noqa: F401 - fixtures
    PASSWORD,
    Postgres,
    engine_at,
    migrated,
    postgres,
    postgres_url,
    sql_url,
    sqlite_url,
)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, tables.metadata))


async def revision_of(engine: AsyncEngine) -> str:
    async with sql.reading(engine) as connection:
        return str((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one())


async def test_migrations_make_exactly_the_tables_that_the_contracts_describe(migrated: AsyncEngine) -> None:  # noqa: F811
    async with sql.reading(migrated) as connection:
        assert await connection.run_sync(differences) == []
    assert await revision_of(migrated) == tables.REVISION


async def test_migrating_twice_keeps_what_is_there(migrated: AsyncEngine) -> None:  # noqa: F811
    async with sql.writing(migrated) as connection:
        await connection.execute(tables.positions.insert(), {"topic": "sessions", "partition": 3, "next": 7})
    await sql.migrate(migrated, MIGRATIONS, tables.REVISION)
    async with sql.reading(migrated) as connection:
        assert (await connection.execute(select(tables.positions.c.next))).scalar_one() == 7


async def test_several_may_migrate_at_once(sql_url: str) -> None:  # noqa: F811
    engines = [engine_at(sql_url) for _ in range(4)]

    async def start(engine: AsyncEngine) -> None:
        await sql.until_there(engine, patience=30)
        await sql.migrate(engine, MIGRATIONS, tables.REVISION)

    await asyncio.gather(*(start(engine) for engine in engines))
    assert await revision_of(engines[0]) == tables.REVISION
    for engine in engines:
        await engine.dispose()


async def test_a_migration_that_fails_leaves_nothing_behind(sql_url: str, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    (folder / "versions" / "0001_half.py").write_text(
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (id INTEGER)')\n    op.execute('CREATE nonsense')\n"
    )
    engine = engine_at(sql_url)
    await sql.until_there(engine, patience=30)
    with pytest.raises(DBAPIError):
        await sql.migrate(engine, folder, "0001")
    async with sql.reading(engine) as connection:
        with pytest.raises(DBAPIError, match="half"):
            await connection.execute(text("SELECT * FROM half"))
    await engine.dispose()


async def test_a_database_of_a_newer_program_is_refused(migrated: AsyncEngine) -> None:  # noqa: F811
    async with sql.writing(migrated) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(sql.Newer, match="newer than this program: it has revision 9999"):
        await sql.migrate(migrated, MIGRATIONS, tables.REVISION)
    with pytest.raises(sql.Newer, match="Start the newer release"):
        await sql.until_migrated(migrated, tables.REVISION, patience=30)


async def test_who_only_reads_waits_for_the_tables(sql_url: str) -> None:  # noqa: F811
    engine, waiting = engine_at(sql_url), asyncio.Event()
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        waiting.set()

    reader = asyncio.create_task(sql.until_migrated(engine, tables.REVISION, report=report, patience=30))
    async with asyncio.timeout(30):
        await waiting.wait()
    assert "views makes them when it starts" in lines[0]
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    await reader
    await engine.dispose()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://voltstream:hunter2hunter2@db/voltstream",
        "postgresql+asyncpg://voltstream:hunter2:hunter2@db:hunter2/voltstream",
        "mysql+aiomysql://voltstream:hunter2@db/voltstream",
        "sqlite+aiosqlite://",
        "hunter2",
    ],
)
def test_a_wrong_address_is_a_message_without_the_password(address: str) -> None:
    with pytest.raises(sql.Unusable, match="VOLTSTREAM_SQL should be") as caught:
        sql.build(Settings(sql=SecretStr(address)))
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}"


async def test_a_wrong_password_is_not_waited_for(postgres: Postgres) -> None:  # noqa: F811
    engine = engine_at(postgres.url("postgres", password="hunter2hunter2"))
    with pytest.raises(sql.Unusable, match="password authentication failed") as caught:
        await sql.until_there(engine, patience=30)
    assert "hunter2" not in str(caught.value)
    await engine.dispose()


async def test_a_database_that_does_not_exist_is_not_waited_for(postgres: Postgres) -> None:  # noqa: F811
    engine = engine_at(postgres.url("nowhere"))
    with pytest.raises(sql.Unusable, match='"nowhere" does not exist'):
        await sql.until_there(engine, patience=30)
    await engine.dispose()


async def test_a_server_that_is_not_there_is_waited_for_and_named() -> None:
    engine, lines = engine_at(f"postgresql+asyncpg://voltstream:{PASSWORD}@127.0.0.1:1/voltstream"), list[str]()
    with pytest.raises(sql.Unusable, match=r"127\.0\.0\.1:1/voltstream has not been ready within 0\.3 s"):
        await sql.until_there(engine, report=lines.append, patience=0.3)
    assert lines[0].startswith("waiting for postgresql+asyncpg://voltstream:***@127.0.0.1:1/voltstream: ")
    assert PASSWORD not in "".join(lines)
    await engine.dispose()


async def test_what_passes_by_itself_is_told_from_what_does_not(migrated: AsyncEngine) -> None:  # noqa: F811
    with pytest.raises(IntegrityError) as twice:
        async with sql.writing(migrated) as connection:
            await connection.execute(tables.positions.insert(), [{"topic": "x", "partition": 1, "next": 0}] * 2)
    assert not sql.away(twice.value)
    with pytest.raises(DBAPIError) as unknown:
        async with sql.reading(migrated) as connection:
            await connection.execute(text("SELECT * FROM nowhere"))
    assert not sql.away(unknown.value)
    assert "nowhere" in sql.said(unknown.value)
    assert sql.away(ConnectionRefusedError())


async def test_a_server_that_goes_away_is_recognised_and_comes_back(postgres: Postgres, postgres_url: str) -> None:  # noqa: F811
    engine = engine_at(postgres_url)
    await sql.until_there(engine, patience=30)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        postgres.stop()
        with pytest.raises((DBAPIError, OSError)) as gone:
            await connection.execute(text("SELECT 1"))
    assert sql.away(gone.value)
    with pytest.raises((DBAPIError, OSError)) as refused:
        async with engine.connect():
            pass
    assert sql.away(refused.value)
    postgres.start()
    await sql.until_there(engine, patience=30)
    await engine.dispose()


async def test_errors_hold_no_values(migrated: AsyncEngine) -> None:  # noqa: F811
    row = {"topic": "hunter2", "partition": 1, "next": None}
    with pytest.raises(IntegrityError) as caught:
        async with sql.writing(migrated) as connection:
            await connection.execute(tables.positions.insert(), row)
    assert "hunter2" not in sql.said(caught.value)


async def test_a_read_sees_one_moment(migrated: AsyncEngine) -> None:  # noqa: F811
    async with sql.reading(migrated) as reader:
        before = (await reader.execute(select(tables.positions))).all()
        async with sql.writing(migrated) as writer:
            await writer.execute(tables.positions.insert(), {"topic": "x", "partition": 1, "next": 0})
        assert (await reader.execute(select(tables.positions))).all() == before


async def test_sqlite_survives_a_power_cut_and_lets_readers_read(sqlite_url: str) -> None:  # noqa: F811
    engine = engine_at(sqlite_url)
    await sql.until_there(engine, patience=30)
    async with engine.connect() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 2
    await engine.dispose()
