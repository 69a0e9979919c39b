from typing import Any

import pytest
from httpx import AsyncClient

from contracts.event import TenantId
from contracts.reference import QUIRKS, Habits
from contracts.requests import ChangeRequested, PutStation
from contracts.topics import OPERATIONS
from tests.api.network import Network
from tests.api.test_sites import HARBOUR, pointers
from tests.views.given import booted, connected, disconnected, status

OURS: dict[str, Any] = {"tenant": TenantId("default")}


async def test_a_station_that_was_put_can_be_read(admin: AsyncClient) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    connectors = [{"id": 1, "type": "CHADEMO", "max_w": 50_000}, {"id": 2, "type": "IEC_62196_T2_COMBO"}]
    body = {"site": "harbour", "tags": ["dc"], "evses": [{"id": 1, "code": "NO*VST*E1", "connectors": connectors}]}
    answer = await admin.put("/v1/stations/RDAM%20123", json=body)
    assert answer.status_code == 201, answer.text
    station = (await admin.get("/v1/stations/RDAM%20123")).json()
    assert station == answer.json()
    assert (station["id"], station["site"], station["tags"], station["version"]) == ("RDAM 123", "harbour", ["dc"], 1)
    assert (station["online"], station["connection"], station["inventory"]) == (False, None, None)
    assert [connector["type"] for connector in station["evses"][0]["connectors"]] == ["CHADEMO", "IEC_62196_T2_COMBO"]
    assert station["has_password"] is False


async def test_a_station_needs_nothing_but_its_name(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/stations/CP1", json={})
    assert (answer.status_code, answer.json()["evses"]) == (201, [])


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("evses", [{"id": 1}, {"id": 1}], "#"),
        ("evses", [{"id": 0}], "#/evses/0/id"),
        ("evses", [{"id": 1, "connectors": []}], "#/evses/0/connectors"),
        ("evses", [{"id": 1, "connectors": [{"id": 1}, {"id": 1}]}], "#/evses/0/connectors"),
        ("evses", [{"id": 1, "connectors": [{"id": 1, "max_w": -1}]}], "#/evses/0/connectors/0/max_w"),
        ("evses", [{"id": 1, "code": "NO*VST*E1"}, {"id": 2, "code": "NO*VST*E1"}], "#"),
        ("evses", [{"id": 1, "code": "my evse"}], "#/evses/0/code"),
        ("tags", ["a", "a"], "#"),
        ("tags", ["a\nb"], "#/tags/0"),
        ("security_profile", 4, "#/security_profile"),
        ("protocol", "ocpp1.5", "#/protocol"),
        ("heartbeat_s", 10**30, "#/heartbeat_s"),
        ("when_undecided", "Maybe", "#/when_undecided"),
        ("habits", {"ping_s": -1}, "#/habits/ping_s"),
        ("habits", {"drain": "kick"}, "#/habits/drain"),
        ("habits", {"quiet_s": 601}, "#/habits/quiet_s"),
        ("habits", {"manners": "none"}, "#/habits/manners"),
        ("site", "nowhere", "#/site"),
        ("site", "a/b", "#/site"),
    ],
)
async def test_what_is_wrong_is_named(admin: AsyncClient, field: str, value: object, pointer: str) -> None:
    assert pointers(await admin.put("/v1/stations/CP1", json={field: value})) == [pointer]


async def test_the_habits_of_a_station_are_kept_and_shown(admin: AsyncClient, network: Network) -> None:
    habits = {"ping_s": 0, "answers_pings": False, "drain": "abort", "quiet_s": 20, "quirks": [QUIRKS[0]]}
    answer = await admin.put("/v1/stations/CP1", json={"habits": habits})
    assert (answer.status_code, answer.json()["habits"] | habits) == (201, answer.json()["habits"])
    assert (await admin.get("/v1/stations/CP1")).json()["habits"] == answer.json()["habits"]
    wished = [event.change for event in network.written if isinstance(event, ChangeRequested)]
    assert isinstance(wished[0], PutStation)
    assert wished[0].station.habits == Habits(0, answers_pings=False, drain="abort", quiet_s=20, quirks=(QUIRKS[0],))
    assert (await admin.put("/v1/stations/CP1", json={})).json()["habits"]["drain"] == "close"


async def test_an_unknown_quirk_is_refused_with_those_that_there_are(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/stations/CP1", json={"habits": {"quirks": ["bites"]}})
    assert pointers(answer) == ["#/habits/quirks/0"]
    assert all(quirk in answer.text for quirk in QUIRKS)


async def test_an_identity_belongs_to_one_tenant(admin: AsyncClient, acme: AsyncClient) -> None:
    assert (await acme.put("/v1/stations/CP1", json={})).status_code == 201
    answer = await admin.put("/v1/stations/CP1", json={})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/identity_taken")


async def test_another_tenants_station_is_not_there(admin: AsyncClient, acme: AsyncClient) -> None:
    await acme.put("/v1/stations/CP1", json={})
    assert (await admin.get("/v1/stations/CP1")).status_code == 404
    assert (await admin.delete("/v1/stations/CP1")).status_code == 404
    assert (await admin.post("/v1/stations/CP1/credentials")).status_code == 404
    assert (await admin.get("/v1/stations")).json()["items"] == []


async def test_a_station_shows_what_it_does_and_says(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/st-1", json={"evses": [{"id": 1}]})
    said = (connected(**OURS), booted(**OURS), status(0, **OURS), status(1, "Charging", **OURS), status(2, **OURS))
    await network.says(OPERATIONS, *said)
    station = (await admin.get("/v1/stations/st-1")).json()
    assert station["online"]
    assert station["connection"]["protocol"] == "ocpp1.6"
    assert station["connection"]["closed"] is None
    assert (station["inventory"]["vendor"], station["status"]["status"]) == ("ACME", "Available")
    assert [(evse["id"], evse["declared"]) for evse in station["evses"]] == [(1, True), (2, False)]
    assert [evse["connectors"][0]["status"]["status"] for evse in station["evses"]] == ["Charging", "Available"]


async def test_a_lost_connection_says_how_it_ended(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/st-1", json={})
    await network.says(OPERATIONS, connected(**OURS), disconnected(**OURS))
    connection = (await admin.get("/v1/stations/st-1")).json()["connection"]
    assert (connection["online"], connection["closed"]["inferred"]) == (False, True)


async def test_a_station_that_speaks_is_not_the_same_as_before(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/st-1", json={})
    before = (await admin.get("/v1/stations/st-1")).headers["etag"]
    same = await admin.get("/v1/stations/st-1", headers={"If-None-Match": before})
    assert same.status_code == 304
    await network.says(OPERATIONS, connected(**OURS))
    after = await admin.get("/v1/stations/st-1", headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before


async def test_what_a_station_says_does_not_stand_in_the_way_of_a_change(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/st-1", json={})
    seen = (await admin.get("/v1/stations/st-1")).headers["etag"]
    await network.says(OPERATIONS, connected(**OURS))
    changed = await admin.put("/v1/stations/st-1", json={"name": "A"}, headers={"If-Match": seen})
    assert changed.status_code == 200
    late = await admin.put("/v1/stations/st-1", json={"name": "B"}, headers={"If-Match": seen})
    assert late.status_code == 412


async def test_a_forgotten_station_is_not_there_whatever_it_said(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/st-1", json={})
    await network.says(OPERATIONS, connected(**OURS))
    assert (await admin.delete("/v1/stations/st-1")).status_code == 204
    assert (await admin.get("/v1/stations/st-1")).status_code == 404
    assert (await admin.get("/v1/stations")).json()["items"] == []


async def test_stations_are_found_by_site_tag_and_connection(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    await admin.put("/v1/stations/st-1", json={"tags": ["ac", "public"]})
    await admin.put("/v1/stations/st-2", json={"site": "harbour", "tags": ["dc"]})
    await network.says(OPERATIONS, connected(**OURS), status(1, **OURS))

    async def found(query: str) -> list[str]:
        answer = await admin.get(f"/v1/stations?{query}")
        return [station["id"] for station in answer.json()["items"]]

    assert await found("") == ["st-1", "st-2"]
    assert await found("site=harbour") == ["st-2"]
    assert await found("tag=public") == ["st-1"]
    assert await found("tag=pub") == []
    assert await found("online=true") == ["st-1"]
    assert await found("online=false&tag=dc") == ["st-2"]


async def test_stations_come_in_pages_that_keep_their_filters(admin: AsyncClient) -> None:
    for number in range(5):
        await admin.put(f"/v1/stations/st-{number}", json={"tags": ["a b"] if number % 2 == 0 else []})
    answer = await admin.get("/v1/stations", params={"tag": "a b", "limit": 2})
    following = await admin.get(answer.links["next"]["url"])
    assert [station["id"] for station in answer.json()["items"]] == ["st-0", "st-2"]
    assert [station["id"] for station in following.json()["items"]] == ["st-4"]
