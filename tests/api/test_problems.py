import pytest
from httpx import AsyncClient

from chassis import metrics
from services.api.app import Api, describe
from services.api.bodies import LARGEST
from services.api.description import FILE, document
from services.api.problems import CATALOGUE, answers
from tests.api.network import Network, client_of
from tests.api.test_sites import HARBOUR

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/sites/", 404, "not_found"),
        ("GET", "/v1/sites/a/b", 404, "not_found"),
        ("POST", "/v1/sites", 405, "method_not_allowed"),
        ("PATCH", "/v1/sites/a", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem(
    admin: AsyncClient, method: str, path: str, status: int, kind: str
) -> None:
    answer = await admin.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json()["type"], answer.json()["status"]) == (f"/problems/{kind}", status)


@pytest.mark.parametrize(
    "body",
    ["{", "nothing", '{"name": "a" "b"}', "[" * 100_000, b"\xff", b'{"name": "\xfc"}', f'{{"name": {"9" * 5000}}}'],
)
async def test_a_body_that_is_no_json_is_a_problem(admin: AsyncClient, body: str | bytes) -> None:
    answer = await admin.put("/v1/sites/a", content=body, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["type"] == "/problems/bad_json"


async def test_a_body_that_is_not_there_is_invalid(admin: AsyncClient) -> None:
    assert (await admin.put("/v1/sites/a", content="", headers=JSON)).status_code == 422


@pytest.mark.parametrize("body", ["[]", "null", "7", '"a"', '{"name": NaN}'])
async def test_a_body_that_is_no_object_is_invalid(admin: AsyncClient, body: str) -> None:
    assert (await admin.put("/v1/sites/a", content=body, headers=JSON)).status_code == 422


async def test_a_body_must_say_that_it_is_json(admin: AsyncClient) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {}):
        answer = await admin.put("/v1/sites/a", content='{"name": "a"}', headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported_media_type")


async def test_a_body_has_a_largest_size(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/sites/a", content=b" " * (LARGEST + 1), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too_large")


async def test_every_kind_of_problem_can_be_looked_up(app: Api) -> None:
    async with client_of(app, None) as client:
        kinds = (await client.get("/problems")).json()
        assert {kind["type"].rpartition("/")[2] for kind in kinds} == set(CATALOGUE)
        for kind in kinds:
            assert (await client.get(kind["type"])).json() == kind
        assert (await client.get("/problems/other")).status_code == 404


async def test_sql_that_is_away_is_a_problem_that_passes(app: Api, admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/sites/harbour", json=HARBOUR)
    url = network.engine.url.database
    assert url is not None
    async with network.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE sites RENAME TO elsewhere")
    answer = await admin.get("/v1/sites/harbour")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert "SQL" in answer.json()["detail"]
    assert "retry-after" in answer.headers


async def test_clickhouse_that_is_away_is_a_problem_that_passes(admin: AsyncClient) -> None:
    await admin.put("/v1/stations/CP1", json={})
    answer = await admin.get("/v1/stations/CP1/frames")
    assert (answer.status_code, "ClickHouse" in answer.json()["detail"]) == (503, True)


async def test_readiness_needs_sql(app: Api, admin: AsyncClient, network: Network) -> None:
    assert (await admin.get("/readyz")).status_code == 200
    async with network.engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE positions")
    assert (await admin.get("/readyz")).status_code == 503


# ---- the description -------------------------------------------------------------------------------------------------


def test_every_answer_is_described() -> None:
    described = describe().openapi()
    assert described["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in described["components"]["schemas"]
    for path, operations in described["paths"].items():
        for operation in operations.values():
            found = set(operation["responses"])
            assert operation["description"], path
            if path.startswith("/v1"):
                signed = path.startswith(("/v1/webhooks/", "/v1/receipts/"))
                assert found >= {"400", "422", "503"} | (set() if signed else {"401", "403"}), path
            if "requestBody" in operation:
                assert found >= {"413", "415"}, path
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                assert "examples" in str(schema) or "$ref" in str(schema)
            if "{id}" in path:
                assert "404" in found or operation["operationId"].startswith("put"), path


def test_the_description_is_committed_as_it_is() -> None:
    assert FILE.read_text("utf-8") == document(), "python -m services.api openapi"


def test_problems_are_described_as_such() -> None:
    assert answers(404)[404]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    }
    assert set(describe().openapi()["components"]["schemas"]["Problem"]["properties"]) >= {"type", "title", "status"}


def test_every_reference_of_the_description_leads_somewhere() -> None:
    described = describe().openapi()
    named = set(_references(described))
    assert named <= {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}


def _references(node: object) -> list[str]:
    match node:
        case {"$ref": str(reference)}:
            return [reference]
        case dict():
            return [found for value in node.values() for found in _references(value)]
        case list():
            return [found for value in node for found in _references(value)]
        case _:
            return []


async def test_requests_are_counted_by_operation_and_never_by_station(admin: AsyncClient) -> None:
    await admin.get("/v1/stations/CP-counted")
    await admin.get("/nowhere")
    lines = metrics.exposition().decode()
    assert 'voltstream_api_requests_total{operation="get_station",status="404"}' in lines
    assert 'voltstream_api_requests_total{operation="none",status="404"}' in lines
    assert "CP-counted" not in lines
