import json
from typing import Any

import pytest
from httpx import AsyncClient

from services.api import examples
from tests.api.network import client_of
from tests.billing.test_vectors import TOLD, vectors

QUOTED = {"tariff": examples.TARIFF, "session": examples.MEASURED}


async def test_a_quote_is_what_the_example_shows(admin: AsyncClient) -> None:
    answer = await admin.post("/v1/price-quotes", json=QUOTED)
    assert (answer.status_code, answer.json()) == (200, {**examples.QUOTE, "line_items": answer.json()["line_items"]})
    assert [line["gross_exact"] for line in answer.json()["line_items"]] == ["49.500000", "10.000000"]


async def test_every_worked_example_is_quoted_the_same(admin: AsyncClient) -> None:
    for vector in vectors():
        if vector["kind"] != "price":
            continue
        answer = await admin.post("/v1/price-quotes", json={name: vector[name] for name in ("tariff", "session")})
        assert answer.status_code == 200, (vector["name"], answer.text)
        found = answer.json()
        for line in found["line_items"]:
            if line["reservation"] is None:
                del line["reservation"]
        wanted = {name: value for name, value in vector["expected"].items() if name not in TOLD}
        assert {name: found[name] for name in wanted} == wanted, vector["name"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"tariff": {**examples.TARIFF, "currency": "XXQ"}}, "'XXQ' is no currency of ISO 4217"),
        ({"tariff": {"id": "T"}}, "Object missing required field"),
        ({"session": {"timezone": "Europe/Oslo"}}, "neither samples nor a reservation"),
        ({"session": {"samples": [{"t": "soon", "wh": 1}]}}, "'soon' is no time"),
        ({"session": {"deliveries": []}}, "a quote is for one session"),
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


async def test_who_may_not_read_gets_no_quote(app: Any) -> None:
    async with client_of(app, None) as nobody:
        assert (await nobody.post("/v1/price-quotes", json=QUOTED)).status_code == 401
