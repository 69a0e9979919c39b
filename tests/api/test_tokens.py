from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from httpx import AsyncClient

from contracts.requests import ChangeRequested, PutToken
from contracts.topics import AUTHORIZATIONS
from services.api.app import Api
from tests.api.network import Network, client_of, key_of
from tests.api.test_sites import pointers
from tests.api.test_stations import OURS
from tests.views.given import unknown

UID = "04A2B3C4D5E6F7"


@pytest_asyncio.fixture
async def operator(app: Api, admin: AsyncClient) -> AsyncIterator[AsyncClient]:
    """A client that may do much, but not see uids."""
    async with client_of(app, await key_of(admin, ["operate"])) as client:
        yield client


async def test_a_token_is_registered_by_its_uid(admin: AsyncClient) -> None:
    answer = await admin.post(
        "/v1/tokens", json={"uid": UID, "group": "FLEET-7", "valid_until": "2030-01-01T00:00:00Z"}
    )
    token = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/tokens/{token['id']}"
    assert UID.lower() not in answer.headers["location"].lower()
    assert (token["uid"], token["masked_uid"], token["has_uid"]) == (UID, "04…F7", True)
    assert (await admin.get(answer.headers["location"])).json() == token


async def test_a_uid_is_not_written_in_clear(admin: AsyncClient, network: Network) -> None:
    await admin.post("/v1/tokens", json={"uid": UID})
    request = network.written[-1]
    assert isinstance(request, ChangeRequested)
    assert isinstance(request.change, PutToken)
    assert UID.lower() not in repr(request).lower()


async def test_who_may_not_see_uids_sees_them_masked(operator: AsyncClient) -> None:
    answer = await operator.post("/v1/tokens", json={"uid": UID})
    path = answer.headers["location"]
    for seen in (answer, await operator.get(path), await operator.get("/v1/tokens")):
        assert UID not in seen.text
        assert "04…F7" in seen.text
    found = await operator.post("/v1/tokens/search", json={"uid": UID})
    assert found.json()["token"]["uid"] is None


async def test_a_token_is_registered_once_however_its_uid_is_spelt(admin: AsyncClient) -> None:
    first = await admin.post("/v1/tokens", json={"uid": UID})
    again = await admin.post("/v1/tokens", json={"uid": f" {UID.lower()}"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/exists")
    assert first.json()["id"] in again.json()["detail"]


async def test_a_repeated_registration_is_answered_the_same(admin: AsyncClient) -> None:
    once = {"Idempotency-Key": "k-1"}
    first = await admin.post("/v1/tokens", json={"uid": UID}, headers=once)
    again = await admin.post("/v1/tokens", json={"uid": UID}, headers=once)
    assert (again.status_code, again.json(), again.headers["location"]) == (
        201,
        first.json(),
        first.headers["location"],
    )


async def test_a_token_keeps_its_uid_when_it_is_put_by_its_id(admin: AsyncClient) -> None:
    id = (await admin.post("/v1/tokens", json={"uid": UID})).json()["id"]
    answer = await admin.put(f"/v1/tokens/{id}", json={"status": "blocked"})
    assert (answer.status_code, answer.json()["status"], answer.json()["uid"]) == (200, "blocked", UID)
    assert answer.json()["masked_uid"] == "04…F7"


async def test_a_token_that_is_put_as_it_is_stays_as_it_is(admin: AsyncClient) -> None:
    id = (await admin.post("/v1/tokens", json={"uid": UID})).json()["id"]
    assert (await admin.put(f"/v1/tokens/{id}", json={"uid": UID})).json()["version"] == 1


async def test_an_id_and_a_uid_must_fit(admin: AsyncClient) -> None:
    assert pointers(await admin.put(f"/v1/tokens/{'0' * 32}", json={"uid": UID})) == ["#/uid"]
    assert pointers(await admin.put(f"/v1/tokens/{UID}", json={})) == ["id"]


async def test_the_same_uid_of_two_tenants_has_two_ids(admin: AsyncClient, acme: AsyncClient) -> None:
    ours = (await admin.post("/v1/tokens", json={"uid": UID})).json()["id"]
    theirs = (await acme.post("/v1/tokens", json={"uid": UID})).json()["id"]
    assert ours != theirs
    assert (await admin.get(f"/v1/tokens/{theirs}")).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("uid", "", "#/uid"),
        ("uid", "   ", "#/uid"),
        ("uid", "x" * 37, "#/uid"),
        ("group", "g" * 21, "#/group"),
        ("valid_until", "2030-01-01T00:00:00", "#/valid_until"),
        ("valid_until", "2020-01-01T00:00:00Z", "#"),
        ("status", "lost", "#/status"),
    ],
)
async def test_what_is_wrong_is_named(admin: AsyncClient, field: str, value: object, pointer: str) -> None:
    body = {"uid": UID, "valid_from": "2025-01-01T00:00:00Z"} | {field: value}
    assert pointers(await admin.post("/v1/tokens", json=body)) == [pointer]


async def test_a_search_names_the_id_of_a_token_that_nobody_knows(admin: AsyncClient) -> None:
    found = (await admin.post("/v1/tokens/search", json={"uid": UID})).json()
    assert found["token"] is None
    assert (await admin.post("/v1/tokens", json={"uid": UID})).json()["id"] == found["token_id"]


async def test_a_deleted_token_is_not_there(admin: AsyncClient) -> None:
    path = (await admin.post("/v1/tokens", json={"uid": UID})).headers["location"]
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404


async def test_tokens_are_found_by_status_and_group(admin: AsyncClient) -> None:
    await admin.post("/v1/tokens", json={"uid": "one", "group": "G"})
    await admin.post("/v1/tokens", json={"uid": "two", "status": "blocked"})
    by_group = (await admin.get("/v1/tokens?group=G")).json()["items"]
    blocked = (await admin.get("/v1/tokens?status=blocked")).json()["items"]
    assert [token["uid"] for token in (*by_group, *blocked)] == ["one", "two"]


async def test_unknown_tokens_come_the_newest_first_until_they_are_registered(
    admin: AsyncClient, network: Network
) -> None:
    ids = [f"{number:032x}" for number in range(5)]
    for number, id in enumerate(ids):
        await network.says(AUTHORIZATIONS, unknown(id, masked_uid="04…8F", **OURS), part=number % 2)
    await network.says(AUTHORIZATIONS, unknown("f" * 32, tenant=OURS["tenant"].__class__("acme")))
    answer = await admin.put(f"/v1/tokens/{ids[3]}", json={})
    assert (answer.json()["masked_uid"], answer.json()["has_uid"]) == ("04…8F", False)
    first = await admin.get("/v1/unknown-tokens?limit=2")
    second = await admin.get(first.links["next"]["url"])
    seen = [token["token_id"] for page in (first, second) for token in page.json()["items"]]
    assert seen == [ids[4], ids[2], ids[1], ids[0]]
    assert second.json()["next_cursor"] is None
