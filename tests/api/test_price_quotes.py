import json
from typing import Any

import pytest
from httpx import AsyncClient

from services.api import examples
from services.billing import cases
from tests.api.network import client_of
from tests.billing.test_vectors import TOLD, vectors

QUOTED = {"tariff": examples.TARIFF, "session": examples.MEASURED}


async def test_a_quote_is_what_the_example_shows(admin: AsyncClient) -> None:
    answer = await admin.post("/v1/price-quotes", json=QUOTED)
    assert (answer.status_code, answer.json()) == (200, {**examples.QUOTE, "line_items": answer.json()["line_items"]})
    assert [line["gross_exact"] for line in answer.json()["line_items"]] == ["49.500000", "10.000000"]


async def test_every_worked_example_is_quoted_the_same(admin: AsyncClient) -> None:
    for vector in vectors():
        answer = await admin.post("/v1/price-quotes", json=vector)
        assert answer.status_code == 200, (vector["name"], answer.text)
        found = answer.json()
        wanted = {name: value for name, value in vector["expected"].items() if name not in TOLD}
        assert {name: found[name] for name in wanted} == wanted, vector["name"]


async def test_a_list_of_cases_is_quoted_as_the_command_prices_it(admin: AsyncClient) -> None:
    said = [*vectors(), {"name": "bad", "tariff": {}, "session": {}}, 7]
    answer = await admin.post("/v1/price-quotes", json=said)
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps([cases.result(case) for case in said]))
    assert (await admin.post("/v1/price-quotes", json=[])).json() == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"tariff": {**examples.TARIFF, "currency": "XXQ"}}, "'XXQ' is no currency of ISO 4217"),
        ({"tariff": {"id": "T"}}, "Object missing required field"),
        ({"session": {"timezone": "Europe/Oslo"}}, "neither samples nor a reservation"),
        ({"session": {"samples": [{"t": "soon", "wh": 1}]}}, "'soon' is no time"),
        ({"session": {"deliveries": [7]}}, "deliveries[0]: it is"),
        ({"session": []}, "session is an object"),
    ],
)
async def test_what_has_no_price_is_a_problem_that_says_why(
    admin: AsyncClient, wrong: dict[str, Any], why: str
) -> None:
    answer = await admin.post("/v1/price-quotes", json=QUOTED | wrong)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert why in answer.json()["detail"]


async def test_numbers_in_json_are_as_exact_as_text(admin: AsyncClient) -> None:
    said = json.loads(json.dumps(QUOTED).replace('"4.50"', "4.5").replace('"1211000"', "1211000.0"))
    assert (await admin.post("/v1/price-quotes", json=said)).json()["total_incl"] == examples.QUOTE["total_incl"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e9999999999999999999"])
async def test_what_json_has_and_no_meter_is_no_value_that_is_missing(admin: AsyncClient, number: str) -> None:
    """A number that is none is refused where it stands: it was never left out."""
    text = json.dumps(QUOTED).replace('"1211000"', number, 1)
    answer = await admin.post("/v1/price-quotes", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["pointer"], fault["detail"]) == (
        "#/session/samples",
        "samples[1]: wh is no number that a meter shows",
    )


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"tariff": {**examples.TARIFF, "currency": "XXQ"}}, "#/tariff"),
        ({"session": {**examples.MEASURED, "timezone": "\ud800"}}, "#/session/timezone"),
        ({"session": {**examples.MEASURED, "policy": {"idle_grace_s": -1}}}, "#/session/policy"),
        ({"session": {**examples.MEASURED, "reservation": {}}}, "#/session/reservation"),
        ({"session": {"deliveries": {}}}, "#/session/deliveries"),
        ({"session": {}}, "#/session"),
        ({"session": {"samples": [{"t": "2026-03-01T12:00:00Z"}]}}, "#/session"),
        ({"tariff": [examples.TARIFF, examples.TARIFF]}, "#"),
    ],
)
async def test_a_refusal_points_to_what_is_wrong(admin: AsyncClient, wrong: dict[str, Any], pointer: str) -> None:
    text = json.dumps(QUOTED | wrong)
    answer = await admin.post("/v1/price-quotes", content=text, headers={"Content-Type": "application/json"})
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (422, [pointer])


async def test_a_price_is_quoted_as_it_is_written(admin: AsyncClient) -> None:
    text = json.dumps(QUOTED).replace('"4.50"', "4.5000000000000000001", 1)
    answer = await admin.post("/v1/price-quotes", content=text, headers={"Content-Type": "application/json"})
    assert answer.json()["line_items"][0]["unit_price"] == "4.5000000000000000001"


async def test_who_may_not_read_gets_no_quote(app: Any) -> None:
    async with client_of(app, None) as nobody:
        assert (await nobody.post("/v1/price-quotes", json=QUOTED)).status_code == 401
