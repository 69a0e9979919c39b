"""The whole service on a real Kafka: reads, is emptied and reads anew, stops."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.kafka import Log, create_topics
from chassis.service import Service
from chassis.settings import Settings
from contracts import tables
from contracts.event import Event
from contracts.topics import OPERATIONS, REGISTRY, SESSIONS, SITES, Topic
from services.views import worker
from tests.views.given import command, connected, delivered, ended, evse, site, started, station, status

SAID: list[tuple[Topic[Any], Event]] = [
    (SITES, site()),
    (REGISTRY, station(1, evse(1, 1))),
    (OPERATIONS, connected()),
    (OPERATIONS, status(1)),
    *((OPERATIONS, step) for step in command()),
    (SESSIONS, started()),
    (SESSIONS, delivered(100)),
]


async def says(settings: Settings, *said: tuple[Topic[Any], Event]) -> None:
    log = Log(settings)
    await log.start()
    for topic, event in said:
        await log.append(topic, event, id=str(id(event)), source="/voltstream/test", timeout=30)
    await log.stop()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    service = Service("views")
    serving = asyncio.create_task(worker.serve(settings, service))
    try:
        yield
    finally:
        service.stopping.set()
        await asyncio.wait_for(serving, 30)


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await fact():
            await asyncio.sleep(0.05)


async def session(engine: AsyncEngine) -> tuple[str, int] | None:
    async with sql.reading(engine) as connection:
        row = (await connection.execute(select(tables.sessions.c.state, tables.sessions.c.revision))).one_or_none()
    return None if row is None else (row.state, row.revision)


async def counted(engine: AsyncEngine) -> dict[str, int]:
    async with sql.reading(engine) as connection:
        return {
            table.name: len((await connection.execute(select(table))).all())
            for table in tables.metadata.tables.values()
            if table is not tables.positions
        }


async def test_the_service_keeps_the_tables_current_and_rebuilds_them_while_it_runs(
    kafka: str,
    topic_prefix: str,
    sql_url: str,
    migrated: AsyncEngine,
) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, sql=SecretStr(sql_url), member="v-0")
    await create_topics(settings)
    await says(settings, *SAID)

    async def charging() -> bool:
        return await session(migrated) == ("charging", 2)

    async def over() -> bool:
        return await session(migrated) == ("ended", 3)

    async def all_there() -> bool:
        return await counted(migrated) == before

    async with running(settings):
        await until(charging)
        await says(settings, (SESSIONS, ended()))
        await until(over)
        before = await counted(migrated)
        await worker.rebuild(settings)
        await until(all_there)
        assert await session(migrated) == ("ended", 3)
    async with running(settings):  # goes on where it was: nothing is counted again
        await says(settings, (SESSIONS, started("s-2", station="st-2")))
        await until(lambda: _sessions(migrated, 2))
    assert before | {"sessions": 2} == await counted(migrated)


async def _sessions(engine: AsyncEngine, number: int) -> bool:
    return (await counted(engine))["sessions"] == number


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {f"VOLTSTREAM_{name.upper()}": value for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-m", "services.views", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | settings,
    )


async def test_the_process_is_ready_soon_and_stops_when_asked(kafka: str, topic_prefix: str, sqlite_url: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    environment = {"KAFKA": kafka, "TOPIC_PREFIX": topic_prefix, "PARTITIONS": "2", "SQL": sqlite_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.views"),
        env=os.environ | {f"VOLTSTREAM_{name}": value for name, value in environment.items()},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b'"ready"' not in await process.stdout.readline():
            assert process.returncode is None
        process.terminate()
        said, _ = await process.communicate()
    assert process.returncode == 0
    assert b'"stopped"' in said
    assert b"Traceback" not in said


def test_the_commands_say_what_they_do(sqlite_url: str) -> None:
    assert "rebuild" in run("--help").stdout
    for word in ("migrate", "migrate", "rebuild"):
        done = run(word, sql=sqlite_url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "done" in done.stdout


@pytest.mark.parametrize("word", ["migrate", "rebuild"])
def test_a_command_that_cannot_says_why_and_not_the_password(word: str, postgres: Any) -> None:
    failed = run(word, sql=postgres.url("nowhere", password="hunter2hunter2"))
    assert failed.returncode == 1
    assert "password authentication failed" in failed.stdout
    assert "hunter2" not in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
