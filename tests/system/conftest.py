"""One running system for all system tests: its processes are real, and its users speak OCPP and REST."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.network import Network, Yard, run_network, stop_network


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    running = await run_network(tmp_path_factory.mktemp("system"))
    yield running
    await stop_network(running)


@pytest_asyncio.fixture(loop_scope="session")
async def yard(network: Network) -> AsyncIterator[Yard]:
    """Whoever needs stations."""
    mine = Yard(network)
    yield mine
    await mine.close()
