"""Whatever is asked, the answer is one of those described, and never a defect of ours."""

import json
import random
from typing import Any
from urllib.parse import quote

import pytest
from httpx import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.app import describe
from services.api.pages import encode
from tests.api.network import NOWHERE, Network, app_of, client_of
from tests.api.test_sites import HARBOUR

ODD: list[Any] = [
    "",
    "a",
    "a b",
    "\u0000",
    "ä",
    "\ud800",
    "🔌" * 60,
    "../x",
    "'; DROP TABLE sites; --",
    "%",
    "null",
    "NaN",
    "-1",
    str(2**63),
    "1e400",
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1.5,
    [],
    {},
    [[]],
    {"a": {}},
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00Z",
]
GOOD: list[Any] = [HARBOUR, {}, {"uid": "04A2B3C4"}, {"evse": "a/1", "token_id": "0" * 32}, {"scopes": ["read"]}]
CURSORS = ["x", encode(["0001-01-01T00:00:00+14:00", 1, 1]), encode("a\u0000"), encode({"since": None, "reached": {}})]
CURSORS += [encode({"since": None, "reached": {"0": ["9999-12-31T23:59:59-14:00", 2**63 - 1]}}), encode([1, 2])]
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in describe().openapi()["paths"].items()
    for method, operation in operations.items()
]
REQUESTS = 600


def text(value: Any) -> str:
    return quote(str(value).encode("utf-8", "replace"), safe="")


def body(dice: random.Random) -> Any:
    made = dice.choice([*GOOD * 6, *ODD])
    if isinstance(made, dict):
        names = (
            "name",
            "site",
            "evses",
            "tags",
            "uid",
            "group",
            "password",
            "valid_until",
            "latitude",
            "evse",
            "scopes",
        )
        made = made | {name: dice.choice(ODD) for name in dice.sample(names, dice.choice([0, 0, 1, 2]))}
    return made


async def ask(client: AsyncClient, dice: random.Random, method: str, path: str, operation: dict[str, Any]) -> Response:
    url = path.replace("{id}", dice.choice(["a", "a", "a", "0" * 32, text(dice.choice(ODD)) or "b"])).replace(
        "{kind}", "x"
    )
    values = [*map(text, ODD), *CURSORS]
    query = [
        f"{parameter['name']}={dice.choice(CURSORS if parameter['name'] == 'cursor' else values)}"
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and dice.random() < 0.25
    ]
    headers = {"Content-Type": dice.choice(["application/json"] * 9 + ["text/plain"])}
    for name in ("If-Match", "If-None-Match", "Idempotency-Key"):
        if dice.random() < 0.1:
            headers[name] = dice.choice(['"v1"', "*", "x", "", '"v99999999999999999999"', '"v999999999999999999"', "k"])
    has_body = "requestBody" in operation
    content = json.dumps(body(dice)) if has_body and dice.random() < 0.95 else None
    return await client.request(method, f"{url}?{'&'.join(query)}", content=content, headers=headers)


@pytest.mark.parametrize("seed", range(1))
async def test_every_answer_is_one_of_those_described(migrated: AsyncEngine, seed: int) -> None:
    dice, network = random.Random(seed), Network(migrated)
    await network.begin()
    app = app_of(network, archive=NOWHERE)
    async with client_of(app) as client:
        for number in range(REQUESTS):
            method, path, operation = OPERATIONS[number % len(OPERATIONS)]
            answer = await ask(client, dice, method, path, operation)
            what = (method, str(answer.url), answer.request.content, answer.status_code, answer.text)
            known = {int(status) for status in operation["responses"]} | {404, 405}
            assert answer.status_code in known, what
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", what
    await app.state.backends.clickhouse.close()
