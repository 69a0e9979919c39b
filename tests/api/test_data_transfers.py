"""Words that only a station and its vendor know."""

from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient

from contracts.commands import CommandIssued
from contracts.event import SessionId, TokenId, TransactionId
from contracts.operations import (
    CommandAccepted,
    CommandFulfilled,
    CommandRejected,
    CommandRequested,
    Prices,
    ShowFinalCost,
    ShowPrice,
    ShowRunningCost,
    Task,
    TransferData,
)
from contracts.topics import OPERATIONS
from tests.api.network import Network
from tests.api.test_commands import issued, step
from tests.api.test_sites import pointers
from tests.views.given import at

PATH = "/v1/stations/st-1/data-transfers"
SAID = {"vendor": "com.voltmaker", "message": "Dim", "data": '{"percent": 40}'}


async def transferred(client: AsyncClient, body: Any = SAID, **headers: str) -> Any:
    await client.put("/v1/stations/st-1", json={})
    answer = await client.post(PATH, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer


async def test_data_are_transferred_by_a_command(admin: AsyncClient, network: Network) -> None:
    answer = await transferred(admin, SAID | {"expires_in_s": 20})
    command, written = answer.json(), issued(network)
    assert command["task"] == {"type": "TransferData"} | SAID
    assert (command["state"], command["station"], command["requested_by"]) == ("requested", "st-1", "admin")
    assert answer.headers["location"] == f"/v1/commands/{command['id']}"
    assert written.task == TransferData("com.voltmaker", "Dim", '{"percent": 40}')
    assert (written.expires_at - written.at).seconds == 20


async def test_a_vendor_is_enough(admin: AsyncClient, network: Network) -> None:
    answer = await transferred(admin, {"vendor": "com.voltmaker"})
    assert answer.json()["task"] == {"type": "TransferData", "vendor": "com.voltmaker", "message": None, "data": None}
    assert issued(network).task == TransferData("com.voltmaker")


async def test_a_repetition_is_the_same_command(admin: AsyncClient, network: Network) -> None:
    once = await transferred(admin, **{"Idempotency-Key": "k-1"})
    again = await admin.post(PATH, json=SAID, headers={"Idempotency-Key": "k-1"})
    assert again.json()["id"] == once.json()["id"]
    assert len([each for each in network.written if isinstance(each, CommandIssued)]) == 1


async def test_what_a_station_takes_in_is_done(admin: AsyncClient, network: Network) -> None:
    id = (await transferred(admin)).json()["id"]
    await network.says(OPERATIONS, CommandAccepted(**step(id)), CommandFulfilled(**step(id)))
    found = (await admin.get(f"/v1/commands/{id}?wait=5")).json()
    assert (found["state"], [each["state"] for each in found["history"]]) == (
        "fulfilled",
        ["requested", "accepted", "fulfilled"],
    )


@pytest.mark.parametrize("word", ["Rejected", "UnknownVendorId", "UnknownMessageId"])
async def test_a_stations_word_for_not_taking_it_in_is_shown(admin: AsyncClient, network: Network, word: str) -> None:
    id = (await transferred(admin)).json()["id"]
    await network.says(OPERATIONS, CommandRejected(**step(id), status=word))
    found = (await admin.get(f"/v1/commands/{id}?wait=5")).json()
    assert (found["state"], found["reason"]) == ("rejected", word)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "#/vendor"),
        ({"vendor": ""}, "#/vendor"),
        ({"vendor": "v" * 256}, "#/vendor"),
        ({"vendor": "v", "message": "m" * 51}, "#/message"),
        ({"vendor": "v", "data": "d" * 16_385}, "#/data"),
        ({"vendor": "v", "data": {"percent": 40}}, "#/data"),
        ({"vendor": "v", "expires_in_s": 4}, "#/expires_in_s"),
        ({"vendor": "v", "more": 1}, "#/more"),
    ],
)
async def test_what_does_not_fit_is_refused(admin: AsyncClient, body: Any, at: str) -> None:
    await admin.put("/v1/stations/st-1", json={})
    answer = await admin.post(PATH, json=body)
    assert (answer.status_code, pointers(answer)) == (422, [at])


async def test_nobody_speaks_to_a_station_that_is_not_there(admin: AsyncClient) -> None:
    answer = await admin.post("/v1/stations/none/data-transfers", json=SAID)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not_found")


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        (ShowPrice(TokenId("t-1"), "free"), {"type": "ShowPrice", "token": "t-1", "text": "free"}),
        (
            ShowRunningCost(SessionId("s-1"), TransactionId("7"), at(1), Decimal("1.20"), 7, False, Prices()),
            {"type": "ShowRunningCost", "session": "s-1", "transaction": "7", "cost": "1.20"},
        ),
        (
            ShowFinalCost(SessionId("s-1"), TransactionId("7"), Decimal("1.20"), "1.20 EUR"),
            {"type": "ShowFinalCost", "session": "s-1", "transaction": "7", "cost": "1.20", "text": "1.20 EUR"},
        ),
    ],
    ids=["price", "running", "final"],
)
async def test_what_a_display_is_told_is_a_command_like_any_other(
    admin: AsyncClient, network: Network, task: Task, shown: dict[str, Any]
) -> None:
    asked = CommandRequested(**step("c-9"), task=task, requested_by="billing", expires_at=at(60))
    await network.says(OPERATIONS, asked)
    [command] = (await admin.get("/v1/commands?station=st-1")).json()["items"]
    assert command["task"] == command["task"] | shown
    assert (command["requested_by"], command["session"]) == ("billing", shown.get("session"))
