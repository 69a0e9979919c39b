"""A real Kafka for tests: one per pytest session to share, and one of its own for a test that harms it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

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
def topic_prefix() -> str:
    """What sets this test's topics, groups and transactional ids apart from all others'."""
    return f"t{uuid4().hex[:12]}."


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running broker of the test's own, to kill and to start again."""
    async with build(tmp_path / "kafka") as running:
        yield running
