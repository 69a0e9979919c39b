from collections.abc import AsyncIterator

import pytest_asyncio
from httpx import AsyncClient

from chassis import sql
from contracts.tables import REVISION
from services.api.app import Api
from services.views.worker import MIGRATIONS
from tests.api.network import Network, app_of, client_of, key_of
from tests.sql_fixture import engine_at, migrated, postgres, postgres_url, sql_url, sqlite_url

__all__ = ["migrated", "postgres", "postgres_url", "sql_url", "sqlite_url"]


@pytest_asyncio.fixture
async def network(sqlite_url: str) -> AsyncIterator[Network]:
    """A network of the test's own, in SQLite."""
    engine = engine_at(sqlite_url)
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, REVISION)
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
