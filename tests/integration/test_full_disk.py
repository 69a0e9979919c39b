"""A full disk under Kafka, under SQLite and under ClickHouse: what was acknowledged stays, what was not is said, and work goes on with room."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from structlog.testing import capture_logs

from chassis import clickhouse, sql
from chassis.broker import DiskFull, build
from chassis.kafka import Log, create_topics
from chassis.progress import NEEDS
from chassis.settings import Settings
from contracts import tables
from contracts.stations import ConnectionOpened, DataTransferred
from contracts.topics import SESSIONS
from services.analytics.worker import Archive
from services.views.worker import MIGRATIONS
from tests.clickhouse_fixture import Embedded
from tests.gateway.stage import closed, refused, settings_for, stage
from tests.sql_fixture import engine_at
from tests.views.given import chunk, delivered, ended, started
from tests.views.test_worker import views_on

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


class Disk:
    """A small file system, and what takes up all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room on it while it is entered."""
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            with suppress(OSError):  # there is no room left
                while os.write(file, bytes(4096)):
                    pass
            yield
        finally:
            os.close(file)
            self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "voltstream-tests", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"who may not mount a small file system cannot fill it: {mounted.stderr.decode().strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def large(number: int) -> str:
    """A call that takes up some pages of the log, however it is compressed."""
    return f'[2,"{number}","DataTransfer",{{"vendorId":"volt","data":"{os.urandom(20_000).hex()}"}}]'


async def test_kafkas_disk_is_full(disk: Disk) -> None:
    broker = build(disk.folder / "kafka")
    await broker.start()
    settings = settings_for(broker.bootstrap)
    await create_topics(settings)
    async with stage(settings, append_within=1) as at:
        socket, opened = await at.connected()
        answered = []
        for number in range(3):
            await socket.send(large(number))
            answered.append((await socket.recv(decode=True))[:7])
        with disk.full():
            await socket.send(large(7))
            code, _, frames = await closed(socket)
            assert (code, frames) == (1012, []), "nothing is acknowledged that is not in the log"
            response = await refused(at, opened.station)
            assert (response.status_code, "Retry-After" in response.headers) == (503, True)
            assert "Kafka" in NEEDS.missing(), "the gateway is not ready"
            async with asyncio.timeout(30):
                assert await broker.ended() == 1
            with pytest.raises(DiskFull, match=rf"{broker.folder} is full.* make room on it"):
                await broker.start()
        await broker.start()
        await at.until(lambda: at.gateway.is_acknowledged)
        assert "Kafka" not in NEEDS.missing()
        socket = await at.connect(opened.station)
        await at.said(ConnectionOpened, opened.station, 2)
        await socket.send(large(7))
        assert (await socket.recv(decode=True)).startswith('[3,"7"')
        said = [event.message_id for event in at.all(DataTransferred) if event.station == opened.station]
        assert {'"0"', '"1"', '"2"', '"7"'} <= set(said), "what was acknowledged is there"
        await socket.close()
    await broker.stop()
    assert len(answered) == 3


async def test_the_disk_of_sqlite_is_full(disk: Disk) -> None:
    engine = engine_at(f"sqlite+aiosqlite:///{disk.folder}/views.sqlite")
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    views = await views_on(engine)
    await views.apply([chunk(SESSIONS, [started()])])
    with capture_logs() as logs:
        with disk.full():
            rest = [chunk(SESSIONS, [delivered(number) for number in range(1, 300)] + [ended()], first=1)]
            applying = asyncio.create_task(views.apply(rest))
            await _until(lambda: any("full" in str(line.get("why")) for line in logs))
            assert "SQL" in NEEDS.missing(), "views is not ready"
            newcomer = engine_at(str(engine.url))
            async with sql.reading(newcomer) as connection:  # who only reads goes on
                assert [row.state for row in await connection.execute(select(tables.sessions.c.state))] == ["pending"]
            await newcomer.dispose()
        await asyncio.wait_for(applying, 90)
    assert "SQL" not in NEEDS.missing()
    async with sql.reading(engine) as connection:
        rows = (await connection.execute(select(tables.sessions.c.state, tables.sessions.c.revision))).all()
    assert [tuple(row) for row in rows] == [("ended", 301)]
    assert not any(line["log_level"] == "error" for line in logs)
    await engine.dispose()


async def test_clickhouses_disk_is_full(kafka: str, topic_prefix: str, disk: Disk) -> None:
    server = Embedded(disk.folder / "clickhouse").ready()
    url = SecretStr(f"{server.url}/volt")
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=1, clickhouse=url, session_timeout_ms=6000)
    await create_topics(settings)
    db = clickhouse.connect(url.get_secret_value(), threads=2)
    stopping, ready = asyncio.Event(), asyncio.Event()
    archive = asyncio.create_task(Archive(settings, db, stopping).run(ready.set))
    log = Log(settings)
    await log.start()

    async def say(first: int, count: int) -> None:
        for number in range(first, first + count):
            event = delivered(number)
            await log.append(SESSIONS, event, id=f"e-{number}", source="/test", timeout=30)

    async def stored(count: int) -> None:
        async with asyncio.timeout(90):
            while (await db.query("SELECT uniqExact(id) AS n FROM events"))[0]["n"] < count:
                await asyncio.sleep(0.1)

    await asyncio.wait_for(ready.wait(), 90)
    await say(1, 20)
    await stored(20)
    with capture_logs() as logs:
        with disk.full():
            await say(21, 20)
            await _until(lambda: any("not enough space" in str(line.get("why")) for line in logs))
            assert "ClickHouse" in NEEDS.missing(), "analytics is not ready"
            assert (await db.query("SELECT uniqExact(id) AS n FROM events"))[0]["n"] == 20, "who only reads goes on"
        await stored(40)
    stopping.set()
    await asyncio.wait_for(archive, 90)
    assert (await db.query("SELECT count() AS n FROM events"))[0]["n"] == 40
    await log.stop()
    await db.close()
    assert server.stop() == 0


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not fact():
            await asyncio.sleep(0.05)
