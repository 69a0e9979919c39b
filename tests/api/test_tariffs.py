from typing import Any

import pytest
from httpx import AsyncClient

from contracts.requests import ChangeRequested
from services.api import examples
from tests.api.network import Network

AC: dict[str, Any] = {"tariff": examples.TARIFF}
DEARER: dict[str, Any] = {
    "tariff": {
        **examples.TARIFF,
        "elements": [{"price_components": [{"type": "ENERGY", "price": "5.00", "vat": "25"}]}],
    }
}


async def test_a_tariff_that_was_put_can_be_read(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/tariffs/AC", json={**AC, "policy": {"idle_grace_s": 900}})
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["id"], shown["version"], shown["policy"]) == ("AC", 1, {"idle_grace_s": 900})
    assert shown["tariff"]["elements"][0]["price_components"][0]["price"] == "4.50"
    assert (await admin.get("/v1/tariffs/AC")).json() == shown


async def test_another_price_is_another_version_and_the_first_stays(admin: AsyncClient) -> None:
    await admin.put("/v1/tariffs/AC", json=AC)
    answer = await admin.put("/v1/tariffs/AC", json={**DEARER, "valid_from": "2030-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["version"], answer.headers["etag"]) == (200, 2, '"v2"')
    versions = (await admin.get("/v1/tariffs/AC/versions")).json()["items"]
    assert [each["version"] for each in versions] == [2, 1]
    assert versions[0]["valid_from"] == "2030-01-01T00:00:00Z"
    assert versions[1]["tariff"]["elements"][0]["price_components"][0]["price"] == "4.50"


async def test_a_tariff_that_is_put_as_it_is_stays_as_it_is(admin: AsyncClient) -> None:
    first = await admin.put("/v1/tariffs/AC", json=AC)
    again = await admin.put("/v1/tariffs/AC", json=AC)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_tariff_is_never_deleted(admin: AsyncClient) -> None:
    await admin.put("/v1/tariffs/AC", json=AC)
    assert (await admin.delete("/v1/tariffs/AC")).status_code == 405


async def test_a_tariff_says_what_is_perhaps_not_meant(admin: AsyncClient) -> None:
    night = {"price_components": [{"type": "ENERGY", "price": "1"}], "restrictions": {"start_time": "22:00"}}
    fast = {"price_components": [{"type": "FLAT", "price": "1"}, {"type": "TIME", "price": "1", "step_size": 60}]}
    never = {"price_components": [{"type": "TIME", "price": "2"}]}
    said = {"currency": "EUR", "type": "AD_HOC_PAYMENT", "elements": [night, fast, never]}
    answer = await admin.put("/v1/tariffs/DC", json={"tariff": said})
    rules = [each["rule"] for each in answer.json()["warnings"]]
    assert rules == ["unpriced_dimension", "step_size", "unreachable", "AFIR_50KW", "AFIR_50KW"]


async def test_a_policy_that_nobody_knows_is_refused(admin: AsyncClient) -> None:
    """It would otherwise count as left out, and the driver would pay for it."""
    answer = await admin.put("/v1/tariffs/AC", json={"tariff": examples.TARIFF, "policy": {"idle_grace": 900}})
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["detail"]) == ("#/policy", "idle_grace: no policy of that name is known here")


@pytest.mark.parametrize(
    ("said", "pointer", "why"),
    [
        ({"currency": "XXQ", "elements": []}, "#/tariff/elements", "'XXQ' is no currency"),
        ({"currency": "EUR", "elements": []}, "#/tariff/elements", "at least one element"),
        ({"currency": "EUR"}, "#/tariff", "missing required field `elements`"),
        ({**DEARER["tariff"], "id": "DC"}, "#/tariff/id", "called AC"),
        (
            {"currency": "EUR", "elements": [{"price_components": [{"type": "ENERGY", "price": "-1"}]}]},
            "#/tariff/elements",
            "negative",
        ),
        (
            {
                "currency": "EUR",
                "elements": [{"price_components": [{"type": "ENERGY", "price": "1"}], "restrictions": {"max_kw": 5}}],
            },
            "#/tariff/elements",
            "elements[0].restrictions: 'max_kw' is no restriction that is known here",
        ),
    ],
)
async def test_a_tariff_that_prices_nothing_says_why(
    admin: AsyncClient, said: dict[str, Any], pointer: str, why: str
) -> None:
    answer = await admin.put("/v1/tariffs/AC", json={"tariff": said})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert why in error["detail"]


async def test_a_tariff_counts_where_it_is_assigned(admin: AsyncClient) -> None:
    await admin.put("/v1/tariffs/AC", json=AC)
    for wish, scope in [
        ({"tariff": "AC"}, "tenant"),
        ({"tariff": "AC", "site": "harbour"}, "site/harbour"),
        ({"free": True, "station": "RDAM 123", "group": "FLEET"}, "station/RDAM 123/group/FLEET"),
        ({"tariff": "AC", "station": "CP", "evse": 1, "connector": 2}, "connector/CP/1/2"),
    ]:
        answer = await admin.put("/v1/tariff-assignments", json=wish)
        assert (answer.status_code, answer.json()["id"]) == (201, scope), answer.text
    listed = (await admin.get("/v1/tariff-assignments", params={"limit": 2})).json()
    more = (await admin.get("/v1/tariff-assignments", params={"cursor": listed["next_cursor"]})).json()
    scopes = [each["id"] for each in (*listed["items"], *more["items"])]
    assert scopes == ["connector/CP/1/2", "site/harbour", "station/RDAM 123/group/FLEET", "tenant"]
    assert (await admin.delete("/v1/tariff-assignments/station/RDAM%20123/group/FLEET")).status_code == 204
    assert (await admin.delete("/v1/tariff-assignments/station/RDAM%20123/group/FLEET")).status_code == 404


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"tariff": "NONE"}, "there is no tariff NONE"),
        ({}, "name a tariff, or say that charging is free"),
        ({"tariff": "AC", "free": True}, "name a tariff, or say that charging is free"),
        ({"tariff": "AC", "site": "a", "station": "b"}, "name a site or a station"),
        ({"tariff": "AC", "evse": 1, "connector": 1}, "a connector is named by its station, evse and connector"),
    ],
)
async def test_an_assignment_that_means_nothing_says_why(admin: AsyncClient, wish: dict[str, Any], why: str) -> None:
    answer = await admin.put("/v1/tariff-assignments", json=wish)
    assert answer.status_code == 422
    assert why in answer.text


async def test_tenants_do_not_see_each_others_tariffs(admin: AsyncClient, acme: AsyncClient) -> None:
    await admin.put("/v1/tariffs/AC", json=AC)
    assert (await acme.get("/v1/tariffs/AC")).status_code == 404
    assert (await acme.put("/v1/tariff-assignments", json={"tariff": "AC"})).status_code == 422


async def test_a_put_under_an_idempotency_key_is_one_request(admin: AsyncClient, network: Network) -> None:
    for _ in range(2):
        answer = await admin.put("/v1/tariffs/AC", json=AC, headers={"Idempotency-Key": "once"})
        assert answer.json()["version"] == 1
    assert len([event for event in network.written if isinstance(event, ChangeRequested)]) == 1
