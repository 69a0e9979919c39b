"""What a person should look at, from what stations say to the alert that they see, and to its end."""

from typing import Any

import pytest

from tests.system.network import Yard, status, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_connector_that_fails_again_and_again_is_an_alert_until_it_is_quiet(yard: Yard) -> None:
    station = await yard.station()

    async def alerts() -> Any:
        found: list[Any] = (await yard.rest.get("/v1/alerts", station=station.identity))["items"]
        return found

    for _ in range(3):
        await status(station, 1, "Faulted", "GroundFailure")
        await status(station, 1, "Available")

    async def raised() -> Any:
        return next((alert for alert in await alerts() if alert["rule"] == "repeated_faults"), None)

    alert = await until(raised, "an alert")
    assert (alert["evse"], alert["connector"], alert["count"]) == (1, 1, 3)
    assert "GroundFailure" in alert["detail"]

    async def cleared() -> Any:
        found = await yard.rest.get(f"/v1/alerts/{alert['id']}")
        return found if found["state"] == "cleared" else None

    over = await until(cleared, "the alert to be cleared", within=60)
    assert over["cleared_reason"] == "quiet"
    assert len([each for each in await alerts() if each["rule"] == "repeated_faults"]) == 1
