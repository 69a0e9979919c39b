"""What charging would cost at a connector now."""

from typing import Any

from httpx import AsyncClient

TARIFF: dict[str, Any] = {
    "currency": "EUR",
    "max_price": {"before_taxes": "40"},
    "elements": [
        {"price_components": [{"type": "PARKING_TIME", "price": "6", "vat": "25"}]},
        {"price_components": [{"type": "ENERGY", "price": "0.40", "vat": "25"}]},
    ],
}


async def place(admin: AsyncClient) -> None:
    evses = [{"id": 1, "connectors": [{"id": 1}, {"id": 2}]}]
    assert (await admin.put("/v1/stations/CP1", json={"evses": evses})).is_success


async def assign(admin: AsyncClient, tariff: dict[str, Any] | None = TARIFF, **scope: Any) -> None:
    if tariff is not None:
        assert (await admin.put("/v1/tariffs/AC", json={"tariff": tariff})).is_success
    what = {"free": True} if tariff is None else {"tariff": "AC"}
    assert (await admin.put("/v1/tariff-assignments", json={**scope, **what})).is_success


async def asked(admin: AsyncClient, **query: Any) -> Any:
    return (await admin.get("/v1/prices", params={"station": "CP1", **query})).json()


async def test_the_prices_of_a_connector_are_those_of_the_tariff_that_a_start_would_be_bound_to(
    admin: AsyncClient,
) -> None:
    await place(admin)
    await assign(admin, station="CP1")
    found = await asked(admin)
    assert (found["tariff"], found["tariff_version"], found["assignment"]) == ("AC", 1, "station/CP1")
    assert found["max_price"] == {"excl": "40", "incl": None}
    assert [(each["per"], each["price_excl"], each["price_incl"]) for each in found["prices"]] == [
        ("kWh", "0.40", "0.50"),
        ("min", "0.10", "0.125"),
    ]
    assert found["text"] == "energy 0.50 EUR/kWh; parking after charging 0.125 EUR/min"


async def test_a_group_and_a_connector_may_have_prices_of_their_own(admin: AsyncClient) -> None:
    await place(admin)
    await assign(admin, station="CP1")
    await assign(admin, None, station="CP1", group="FLEET")
    answer = await admin.post("/v1/tokens", json={"uid": "04AABBCC", "group": "FLEET"})
    token = answer.json()["id"]
    free = await asked(admin, token=token)
    assert (free["free"], free["text"], free["prices"]) == (True, "free", [])
    await assign(admin, None, station="CP1", evse=1, connector=2)
    assert (await asked(admin, connector=2))["free"]
    assert not (await asked(admin))["free"]


async def test_where_no_tariff_counts_there_is_no_price(admin: AsyncClient) -> None:
    await place(admin)
    assert (await asked(admin))["type"] == "/problems/no_tariff"
    assert (await asked(admin, station="CP2"))["type"] == "/problems/not_found"
    assert (await asked(admin, token="nobody"))["type"] == "/problems/not_found"
    assert (await asked(admin, evse=2))["type"] == "/problems/invalid"
