import asyncio
from typing import Any

import pytest
import pytest_asyncio
from httpx import AsyncClient

from contracts.commands import CommandIssued
from contracts.event import CommandId, SessionId, TokenId, TransactionId
from contracts.operations import CommandAccepted, CommandFailed, CommandFulfilled, StartCharge, StopCharge
from contracts.topics import OPERATIONS, SESSIONS
from services.api.app import Api
from tests.api.network import Network, impatient
from tests.api.test_sites import pointers
from tests.api.test_stations import OURS
from tests.views.given import at, authorized, ended, of, started


@pytest_asyncio.fixture
async def token(admin: AsyncClient) -> str:
    """A station and the id of a token that may charge."""
    await admin.put("/v1/stations/st-1", json={})
    return str((await admin.post("/v1/tokens", json={"uid": "04A2B3C4D5E6F7"})).json()["id"])


def issued(network: Network) -> CommandIssued:
    command = network.written[-1]
    assert isinstance(command, CommandIssued)
    return command


def step(command: str) -> dict[str, Any]:
    return of() | OURS | {"at": at(1), "command": CommandId(command)}


async def start(client: AsyncClient, token: str, evse: Any = "st-1/1", query: str = "", **headers: str) -> Any:
    body = {"evse": evse, "token_id": token}
    answer = await client.post(f"/v1/sessions{query}", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer


async def test_a_charge_is_asked_for_by_a_command(admin: AsyncClient, network: Network, token: str) -> None:
    answer = await start(admin, token)
    command = answer.json()
    assert (command["state"], command["station"], command["requested_by"]) == ("requested", "st-1", "admin")
    assert command["task"] == {"type": "StartCharge", "token": token, "evse": 1, "connector": None}
    assert answer.headers["location"] == f"/v1/commands/{command['id']}"
    assert (await admin.get(answer.headers["location"])).json() == command
    written = issued(network)
    assert (written.task, (written.expires_at - written.at).seconds) == (StartCharge(TokenId(token), 1), 60)


@pytest.mark.parametrize(
    ("evse", "place"),
    [
        ("st-1/2/3", (2, 3)),
        ({"station": "st-1", "evse": 2, "connector": 3}, (2, 3)),
        ({"station": "st-1", "evse": 2}, (2, None)),
        ({"station": "st-1"}, (None, None)),
    ],
)
async def test_an_evse_is_named_as_text_or_as_an_object(
    admin: AsyncClient, network: Network, token: str, evse: Any, place: tuple[int | None, int | None]
) -> None:
    await start(admin, token, evse)
    task = issued(network).task
    assert isinstance(task, StartCharge)
    assert (task.evse, task.connector) == place


@pytest.mark.parametrize(
    ("evse", "pointer"),
    [
        ("st-1", "#/evse"),
        ("st-1/x", "#/evse"),
        ("st-1/0", "#/evse"),
        ("st-1/1/2/3", "#/evse"),
        ("/1", "#/evse"),
        ("st-1/²", "#/evse"),
        ("elsewhere/1", "#/evse"),
        ({"station": "st-1", "connector": 1}, "#/evse"),
        ({"station": "st-1", "evse": 1, "socket": 1}, "#/evse/socket"),
        (7, "#/evse"),
    ],
)
async def test_an_evse_that_is_none_is_named(admin: AsyncClient, token: str, evse: Any, pointer: str) -> None:
    answer = await admin.post("/v1/sessions", json={"evse": evse, "token_id": token})
    assert pointers(answer) == [pointer]


async def test_a_token_that_cannot_be_sent_is_named(admin: AsyncClient, token: str) -> None:
    assert token
    nobody = "0" * 32
    answer = await admin.post("/v1/sessions", json={"evse": "st-1/1", "token_id": nobody})
    assert pointers(answer) == ["#/token_id"]
    await admin.put(f"/v1/tokens/{nobody}", json={})
    answer = await admin.post("/v1/sessions", json={"evse": "st-1/1", "token_id": nobody})
    assert pointers(answer) == ["#/token_id"]


async def test_another_tenants_station_is_asked_nothing(admin: AsyncClient, acme: AsyncClient, token: str) -> None:
    command = (await start(admin, token)).headers["location"]
    theirs = (await acme.post("/v1/tokens", json={"uid": "04A2B3C4D5E6F7"})).json()["id"]
    answer = await acme.post("/v1/sessions", json={"evse": "st-1/1", "token_id": theirs})
    assert pointers(answer) == ["#/evse"]
    assert (await acme.get(command)).status_code == 404
    assert (await acme.get("/v1/commands?station=st-1")).json()["items"] == []


async def test_a_client_can_wait_for_a_command_to_rest(admin: AsyncClient, network: Network, token: str) -> None:
    waiting = asyncio.create_task(start(admin, token, query="?wait=25"))
    while not isinstance(network.written[-1], CommandIssued):
        await asyncio.sleep(0.001)
    whose = step(issued(network).command)
    await network.says(OPERATIONS, CommandAccepted(**whose))
    assert not waiting.done()
    done = CommandFulfilled(session=SessionId("s-1"), transaction=TransactionId("7"), **whose)
    await network.says(OPERATIONS, done)
    command = (await waiting).json()
    assert (command["state"], command["session"], command["transaction"]) == ("fulfilled", "s-1", "7")
    assert [each["state"] for each in command["history"]] == ["requested", "accepted", "fulfilled"]


async def test_a_wait_that_is_over_shows_what_there_is(admin: AsyncClient, token: str) -> None:
    answer = await start(admin, token, query="?wait=0.05")
    assert answer.json()["state"] == "requested"
    assert (await admin.get(f"{answer.headers['location']}?wait=0.05")).json()["state"] == "requested"


@pytest.mark.parametrize("wait", ["26", "-1", "nan", "inf", "x"])
async def test_a_wait_has_bounds(admin: AsyncClient, token: str, wait: str) -> None:
    answer = await admin.post(f"/v1/sessions?wait={wait}", json={"evse": "st-1/1", "token_id": token})
    assert pointers(answer) == ["wait"]


async def test_a_failed_command_says_why(admin: AsyncClient, network: Network, token: str) -> None:
    answer = await start(admin, token)
    failed = CommandFailed(reason="Offline", detail="ask again", **step(issued(network).command))
    await network.says(OPERATIONS, failed)
    command = (await admin.get(f"{answer.headers['location']}?wait=25")).json()
    assert (command["state"], command["reason"], command["detail"]) == ("failed", "Offline", "ask again")


async def test_a_repetition_is_the_same_command(admin: AsyncClient, network: Network, token: str) -> None:
    once = {"Idempotency-Key": "k-1"}
    first = await start(admin, token, **once)
    written = len(network.written)
    again = await start(admin, token, query="?wait=0", **once)
    assert (first.json(), written) == (again.json(), len(network.written))
    await admin.delete(f"/v1/tokens/{token}")
    assert (await start(admin, token, **once)).json()["id"] == first.json()["id"]


async def test_another_command_under_the_same_key_is_refused(admin: AsyncClient, token: str) -> None:
    once = {"Idempotency-Key": "k-1"}
    await start(admin, token, **once)
    answer = await admin.post("/v1/sessions", json={"evse": "st-1/2", "token_id": token}, headers=once)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency_key_reused")


async def test_a_command_of_which_nothing_is_heard_may_be_repeated(
    app: Api, admin: AsyncClient, network: Network, token: str
) -> None:
    impatient(app)
    network.deaf = True
    body = {"evse": "st-1/1", "token_id": token}
    answer = await admin.post("/v1/sessions", json=body, headers={"Idempotency-Key": "k-1"})
    assert answer.status_code == 503
    network.deaf = False
    await start(admin, token, **{"Idempotency-Key": "k-1"})
    assert len({each.command for each in network.written if isinstance(each, CommandIssued)}) == 1


async def test_a_charge_is_stopped_by_its_session(admin: AsyncClient, network: Network) -> None:
    await network.says(SESSIONS, started(**OURS), authorized(**OURS))
    answer = await admin.delete("/v1/sessions/s-1/charging")
    assert answer.status_code == 202
    assert answer.json()["task"] == {"type": "StopCharge", "session": "s-1", "transaction": "7"}
    assert issued(network).task == StopCharge(SessionId("s-1"), TransactionId("7"))
    assert (answer.json()["session"], answer.json()["station"]) == ("s-1", "st-1")


async def test_what_has_ended_is_not_stopped_again(admin: AsyncClient, network: Network) -> None:
    await network.says(SESSIONS, started(**OURS))
    once = {"Idempotency-Key": "k-1"}
    first = await admin.delete("/v1/sessions/s-1/charging", headers=once)
    await network.says(SESSIONS, ended(**OURS))
    again = await admin.delete("/v1/sessions/s-1/charging", headers=once)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    answer = await admin.delete("/v1/sessions/s-1/charging")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not_charging")


async def test_a_stations_commands_come_the_newest_first(admin: AsyncClient, token: str) -> None:
    ids = [(await start(admin, token)).json()["id"] for _ in range(5)]
    answer = await admin.get("/v1/commands?station=st-1&limit=2")
    seen = [command["id"] for command in answer.json()["items"]]
    while "next" in answer.links:
        answer = await admin.get(answer.links["next"]["url"])
        seen += [command["id"] for command in answer.json()["items"]]
    assert seen == ids[::-1]
    assert pointers(await admin.get("/v1/commands")) == ["station"]
