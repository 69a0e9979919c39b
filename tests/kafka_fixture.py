"""A real Kafka for tests: one per pytest session to share, and one of its own for a test that harms it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from chassis.broker import Broker, build


def _run(step: Coroutine[None, None, None]) -> None:
    """Like asyncio.run, but leaves the loop that pytest-asyncio has set as it is."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(step)
    finally:
        loop.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the session's broker. It is everyone's: name topics, groups and transactions by `topic_prefix`."""
    broker = build(tmp_path_factory.mktemp("kafka"))
    _run(broker.start())
    yield broker.bootstrap
    _run(broker.stop())


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """What sets this test's topics, groups and transactional ids apart from all others'."""
    shared = request.getfixturevalue("kafka") if "kafka" in request.fixturenames else None
    prefix = f"t{uuid4().hex[:12]}."
    yield prefix
    if shared:
        _run(delete_topics(shared, prefix))


async def delete_topics(kafka: str, prefix: str) -> None:
    """Delete a test's topics: every client that connects reads the names and partitions of all there are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        if names := [name for name in await admin.list_topics() if name.startswith(prefix)]:
            await admin.delete_topics(names)
    finally:
        await admin.close()


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running broker of the test's own, to kill and to start again."""
    async with build(tmp_path / "kafka") as running:
        yield running
