"""One running system for all system tests: its processes are real, and its users speak OCPP and REST."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.network import Driver, Network, Yard, arrived, boot, run_network, stop_network


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(network: Network) -> AsyncIterator[list[Driver]]:
    """50 stations that stay, and somebody who charges at each of them."""
    yard = Yard(network)

    async def driver(number: int) -> Driver:
        station, token = await yard.registered(f"FLEET-{number:02}"), await yard.token()
        station.same_ids = number % 2 == 0
        await arrived(station, network.urls[number // 2 % 2])
        await boot(station)
        return Driver(station, token, number)

    drivers: list[Driver] = []
    for first in range(0, 50, 10):
        drivers += await asyncio.gather(*(driver(number) for number in range(first, first + 10)))
    yield drivers
    await yard.close()
