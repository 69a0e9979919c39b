"""A rule that raises for one station of fifty: the others are served, and after the repair that one's sessions are complete."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.system.network import Charge, Driver, Network, is_shown_exactly, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@asynccontextmanager
async def sessions_broken_for(network: Network, identity: str) -> AsyncIterator[None]:
    """Run sessions with a defect that one station meets; on leaving it is repaired."""
    part = network.system.parts["sessions"]
    true_command, true_environment = part.command, part.environment
    async with network.killed_later("sessions") as kill:
        kill()
        part.command = [sys.executable, "-m", "tests.system.broken_sessions"]
        part.environment = {**true_environment, "BROKEN": identity}
        try:
            await network.system.start_again("sessions")
            yield
        finally:
            await part.stop()
            part.command, part.environment = true_command, true_environment


async def test_a_rule_that_raises_for_one_station_keeps_no_other_waiting(network: Network, fleet: list[Driver]) -> None:
    unlucky, others = fleet[7], [driver for driver in fleet if driver is not fleet[7]]
    before = len(await network.rest.sessions(unlucky.station.identity))
    async with sessions_broken_for(network, unlucky.station.identity):
        charges = [charge_at(driver) for driver in fleet]
        await asyncio.gather(*(driver.station.delivered() for driver in others))
        for driver in others:
            await is_shown_exactly(network, driver)
        # It is answered all the same, by its gateway.
        await asyncio.wait_for(unlucky.station.delivered(), 60)
        assert unlucky.station.lost == []
        assert charges[7].transaction.status == "Accepted"
        assert len(await network.rest.sessions(unlucky.station.identity)) == before
        assert unlucky.station.identity in await network.run("chassis.dead_letters", "list")
    parked = [record for record in await network.records("sessions.parked") if record.value is not None]
    assert {record.key for record in parked} == {f"default/{unlucky.station.identity}".encode()}
    assert all("frame" in json.loads(record.value or b"") for record in parked if is_a_report(record.headers))
    await network.run("chassis.dead_letters", "replay", unlucky.station.identity)
    await is_shown_exactly(network, unlucky)
    await until(lambda: nothing_is_parked(network), "nothing is parked any more")
    # And it goes on as any other.
    charge_at(unlucky)
    await unlucky.station.delivered()
    await is_shown_exactly(network, unlucky)


def is_a_report(headers: dict[str, bytes]) -> bool:
    return headers["ce_type"] in {
        b"voltstream.TransactionStarted",
        b"voltstream.MetersRead",
        b"voltstream.TransactionEnded",
    }


async def nothing_is_parked(network: Network) -> bool | None:
    listed = await network.run("chassis.dead_letters", "list")
    return True if "FLEET" not in listed else None


def charge_at(driver: Driver) -> Charge:
    charge = driver.plug_in()
    driver.read(charge, 6)
    driver.unplug(charge)
    return charge
