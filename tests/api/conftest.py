import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Thread

import pytest
import pytest_asyncio
from httpx import AsyncClient

from chassis import sql
from contracts.tables import REVISION
from services.api.app import Api
from services.views.worker import MIGRATIONS
from tests.api.network import Network, app_of, client_of, key_of
from tests.sql_fixture import engine_at, migrated, postgres, postgres_url, sql_url, sqlite_url

__all__ = ["migrated", "postgres", "postgres_url", "sql_url", "sqlite_url"]


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with today's tables and nothing in them, to copy."""
    file = tmp_path_factory.mktemp("api") / "empty.sqlite"
    migrating = Thread(target=lambda: asyncio.run(_migrate(file)))  # the loop of this thread is pytest's
    migrating.start()
    migrating.join()
    return file


async def _migrate(file: Path) -> None:
    engine = engine_at(f"sqlite+aiosqlite:///{file}")
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, REVISION)
    network = Network(engine)
    await network.begin()
    async with engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await engine.dispose()


@pytest_asyncio.fixture
async def network(empty: Path, tmp_path: Path) -> AsyncIterator[Network]:
    """A network of the test's own, in SQLite."""
    engine = engine_at(f"sqlite+aiosqlite:///{shutil.copy(empty, tmp_path)}")
    network = Network(engine)
    await network.begin()
    yield network
    await engine.dispose()


@pytest_asyncio.fixture
async def app(network: Network) -> AsyncIterator[Api]:
    app = app_of(network)
    yield app
    await app.state.backends.clickhouse.close()


@pytest_asyncio.fixture
async def admin(app: Api) -> AsyncIterator[AsyncClient]:
    """A client with the deployment's first key."""
    async with client_of(app) as client:
        yield client


@pytest_asyncio.fixture
async def acme(app: Api, admin: AsyncClient) -> AsyncIterator[AsyncClient]:
    """An administrator of another tenant."""
    async with client_of(app, await key_of(admin, ["admin", "tokens:read"], "acme")) as client:
        yield client
