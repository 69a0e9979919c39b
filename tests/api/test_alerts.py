from typing import Any

import pytest
from httpx import AsyncClient

from contracts.topics import ALERTS
from services.api.told import TOPIC_OF
from tests.api.network import Network
from tests.views.given import cleared, raised

DEFAULT: Any = {"tenant": "default"}


@pytest.fixture
async def alerted(network: Network) -> None:
    """Two alerts of a station, the first of them over, and one of another."""
    flapping: Any = {"rule": "flapping_connection", "evse": None, "connector": None, "station": "st-2"}
    await network.says(ALERTS, raised(**DEFAULT), cleared(**DEFAULT), raised("a-2", 2000, **DEFAULT))
    await network.says(ALERTS, raised("b-1", 2000, **DEFAULT | flapping), part=1)


async def ids(client: AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/v1/alerts", params=query)
    assert answer.status_code == 200, answer.text
    return [alert["id"] for alert in answer.json()["items"]]


@pytest.mark.usefixtures("alerted")
async def test_alerts_are_listed_the_newest_first_page_by_page(admin: AsyncClient) -> None:
    page = (await admin.get("/v1/alerts", params={"limit": 2})).json()
    rest = (await admin.get("/v1/alerts", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [alert["id"] for alert in page["items"] + rest["items"]] == ["b-1", "a-2", "a-1"]
    assert rest["next_cursor"] is None
    assert (await admin.get("/v1/alerts", params={"cursor": "nonsense"})).json()["type"] == "/problems/bad_cursor"


@pytest.mark.usefixtures("alerted")
async def test_alerts_are_found_by_state_station_and_rule(admin: AsyncClient) -> None:
    assert await ids(admin, state="open") == ["b-1", "a-2"]
    assert await ids(admin, state="cleared") == ["a-1"]
    assert await ids(admin, station="st-1") == ["a-2", "a-1"]
    assert await ids(admin, rule="flapping_connection", state="open") == ["b-1"]
    for wrong in ({"state": "closed"}, {"rule": "bad_weather"}):
        assert (await admin.get("/v1/alerts", params=wrong)).status_code == 422


@pytest.mark.usefixtures("alerted")
async def test_an_alert_says_what_was_counted_and_how_it_ended(admin: AsyncClient, acme: AsyncClient) -> None:
    alert = (await admin.get("/v1/alerts/a-1")).json()
    assert (alert["count"], alert["within_s"], alert["detail"], alert["connector"]) == (3, 900, "GroundFailure", 2)
    assert (alert["state"], alert["cleared_reason"]) == ("cleared", "quiet")
    assert (alert["since"], alert["raised_at"]) == ("2026-01-01T12:00:10Z", "2026-01-01T12:01:00Z")
    assert alert["cleared_at"] == "2026-01-01T12:16:00Z"
    assert (await admin.get("/v1/alerts/none")).status_code == 404
    assert (await acme.get("/v1/alerts/a-1")).status_code == 404
    assert await ids(acme) == []


async def test_an_alert_of_which_only_the_end_was_heard_is_not_shown_yet(admin: AsyncClient, network: Network) -> None:
    await network.says(ALERTS, cleared(**DEFAULT))
    assert await ids(admin) == []
    assert (await admin.get("/v1/alerts/a-1")).status_code == 404


def test_alerts_can_be_streamed() -> None:
    assert {TOPIC_OF["AlertRaised"], TOPIC_OF["AlertCleared"]} == {ALERTS}
