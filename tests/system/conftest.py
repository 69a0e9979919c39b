"""One running system for all system tests: its processes are real, and its users speak OCPP and REST."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.payments.till import Till
from tests.system.network import Driver, Network, Yard, arrived, boot, paying_at, run_network, stop_network


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def till(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    """Where the system has payments held and taken. Whoever needs it starts it."""
    there = Till(tmp_path_factory.mktemp("stripe"), secret="whsec_system")
    yield there
    await there.client.aclose()
    if there.child is not None:
        await there.child.stop(patience=5)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def network(tmp_path_factory: pytest.TempPathFactory, till: Till) -> AsyncIterator[Network]:
    running = await run_network(tmp_path_factory.mktemp("system"), **paying_at(till.url, till.secret))
    till.webhook = f"{running.system.api_url}/v1/webhooks/stripe"
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
