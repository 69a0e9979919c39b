"""A ClickHouse with all tables and nothing in them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio

from chassis import clickhouse as chassis_clickhouse
from chassis.clickhouse import ClickHouse
from services.analytics.worker import SCHEMA


@pytest.fixture(scope="package")
def tables(clickhouse: str) -> Iterator[ClickHouse]:
    """One database for all tests that leave the tables as they are."""
    db = chassis_clickhouse.connect(f"{clickhouse}/t{uuid4().hex[:12]}")
    loop = asyncio.new_event_loop()  # asyncio.run would take away the one that pytest-asyncio has set
    try:
        loop.run_until_complete(chassis_clickhouse.migrate(db, SCHEMA))
        yield db
        loop.run_until_complete(db.close())
    finally:
        loop.close()


@pytest_asyncio.fixture
async def db(tables: ClickHouse) -> AsyncIterator[ClickHouse]:
    yield tables
    for table in (
        "events",
        "readings",
        "energy_accounts",
        "documents",
        "money",
        "positions",
    ):  # their deduplication tokens go with them
        await tables.command(f"TRUNCATE TABLE {table}")
