"""What only a database can tell, in SQLite and PostgreSQL."""

from typing import Any

from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.event import CommandId
from contracts.operations import CommandRequested, StartCharge
from contracts.topics import AUTHORIZATIONS, OPERATIONS
from tests.api.network import Network, app_of, client_of
from tests.api.test_stations import OURS
from tests.views.given import at, connected, of, status, unknown


async def ids(client: AsyncClient, path: str, name: str = "id") -> list[list[str]]:
    """Return the ids on all pages."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    pages = [[item[name] for item in answer.json()["items"]]]
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        pages.append([item[name] for item in answer.json()["items"]])
    return pages


def asked(id: str, seconds: float) -> CommandRequested:
    whose: dict[str, Any] = of() | OURS
    task = StartCharge(token="t")  # type: ignore[arg-type]  # any text
    return CommandRequested(
        at=at(seconds), command=CommandId(id), task=task, requested_by="k", expires_at=at(60), **whose
    )


async def test_every_list_and_filter_works_in_both(migrated: AsyncEngine) -> None:
    network = Network(migrated)
    await network.begin()
    app = app_of(network)
    async with client_of(app) as client:
        await client.put("/v1/stations/st-1", json={"tags": ["ac", "a\"b'c"], "evses": [{"id": 1}]})
        await client.put("/v1/stations/st-2", json={"tags": []})
        await network.says(OPERATIONS, connected(**OURS), status(1, **OURS), connected(**OURS | of("st-9") | OURS))
        assert await ids(client, "/v1/stations?tag=ac") == [["st-1"]]
        assert await ids(client, "/v1/stations?tag=a%22b'c") == [["st-1"]]
        assert await ids(client, "/v1/stations?online=false&limit=1") == [["st-2"]]
        assert await ids(client, "/v1/stations?limit=1") == [["st-1"], ["st-2"]]
        for number in range(3):
            await network.says(AUTHORIZATIONS, unknown(f"{number:032x}", **OURS), part=number % 2)
        found = await ids(client, "/v1/unknown-tokens?limit=2", "token_id")
        assert found == [[f"{2:032x}", f"{1:032x}"], [f"{0:032x}"]]
        await network.says(OPERATIONS, asked("b", 1), asked("a", 1), asked("c", 0), asked("d", 2))
        assert await ids(client, "/v1/commands?station=st-1&limit=2") == [["d", "b"], ["a", "c"]]
        assert (await client.get("/readyz")).text == "ready\n"
    await app.state.backends.clickhouse.close()


async def test_a_missing_table_is_a_problem_that_passes_in_both(migrated: AsyncEngine) -> None:
    network = Network(migrated)
    app = app_of(network)
    async with migrated.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE sites")
    async with client_of(app) as client:
        assert (await client.get("/v1/sites/a")).status_code == 503
    await app.state.backends.clickhouse.close()
