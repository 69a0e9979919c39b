"""Stations at a gateway on a real Kafka; the test decides in the place of all other services."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from chassis.kafka import create_topics
from chassis.settings import Settings
from contracts.authorizations import TokenInfo
from contracts.gateways import AuthorizeAnswered
from contracts.stations import StationBooted, TokenPresented
from tests.gateway.stage import Stage, exchange, stage


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """A deployment of this module's own."""
    made = Settings(
        kafka=kafka, topic_prefix=f"g{uuid4().hex[:8]}.", partitions=2, secret="s" * 32, ocpp_port=0, health_port=0
    )
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


@pytest_asyncio.fixture
async def at(settings: Settings) -> AsyncIterator[Stage]:
    async with stage(settings) as shown:
        yield shown


async def test_a_station_boots_and_is_told_the_time(at: Stage) -> None:
    """TC_001."""
    socket, opened = await at.connected()
    kind, id, said = await exchange(
        socket, '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
    )
    assert (kind, id, said["status"], said["interval"]) == (3, "1", "Accepted", 300)
    booted = await at.said(StationBooted, opened.station)
    assert (booted.epoch, booted.vendor) == (opened.epoch, "V")
    await socket.close()


async def test_an_authorize_waits_for_its_decision(at: Stage) -> None:
    """TC_003, TC_023."""
    socket, opened = await at.connected()
    await socket.send('[2,"7","Authorize",{"idTag":"04A1B2C3"}]')
    asked = await at.said(TokenPresented, opened.station)
    await at.tell(AuthorizeAnswered(**at.reply(asked, info=TokenInfo("Blocked"))))
    assert await socket.recv() == '[3,"7",{"idTagInfo":{"status":"Blocked"}}]'
    await socket.close()
