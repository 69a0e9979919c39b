"""Calls in both directions at once (C-040 to C-043)."""

import asyncio
import json

import pytest

from tests.system.network import Yard, ago, authorize, shows, start, start_of, status

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_c_040_ten_calls_at_once_are_answered_in_order(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    calls = ["Heartbeat", "Authorize", "Heartbeat", "StartTransaction", "MeterValues"] * 2
    payloads = {
        "Authorize": {"idTag": token.uid},
        "StartTransaction": start_of(token.uid, ago(seconds=3)),
        "MeterValues": {"connectorId": 1, "meterValue": []},
    }
    frames = [station.frame(action, payloads.get(action, {}), id=f"call-{n}") for n, action in enumerate(calls)]
    before = len(station.current.heard)
    await asyncio.gather(*(station.exchange(frame) for frame in frames))
    answers = [json.loads(frame) for frame in station.current.heard[before:]]
    assert [answer[:2] for answer in answers] == [[3, f"call-{number}"] for number in range(10)]
    assert answers[3][2] == answers[8][2], "the same start was answered differently"
    await yard.session(station, state="charging")


async def test_c_041_calls_of_both_sides_cross(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    command = await yard.rest.post("/v1/sessions", {"evse": f"{station.identity}/1", "token_id": token.id})
    asked = await station.asked()
    # Ours is open: the station's own calls are answered all the same.
    await status(station, 1, "Preparing")
    assert await authorize(station, token.uid) == "Accepted"
    # The station's is open, and it answers ours.
    starting = asyncio.create_task(start(station, token.uid, ago(seconds=0)))
    await station.reply(asked, {"status": "Accepted"})
    transaction = await starting
    done = await yard.rest.until_command(command["id"], "fulfilled")
    assert done["transaction"] == str(transaction)


async def test_c_042_answers_that_are_late_doubled_or_nobodys(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    wish = {"evse": f"{station.identity}/1", "token_id": token.id, "expires_in_s": 5}
    command = await yard.rest.post("/v1/sessions", wish)
    asked = await station.asked()
    await yard.rest.until_command(command["id"], "expired")
    await station.reply(asked, {"status": "Accepted"})
    late = await yard.rest.until_command(command["id"], "accepted")
    assert late["late"]
    before = len(station.current.heard)
    await station.reply(asked, {"status": "Rejected"})
    await station.current.send('[3,"nobody asked",{"status":"Accepted"}]')
    await station.current.send('[4,"nobody asked","GenericError","",{}]')
    await station.call("Heartbeat")
    assert len(station.current.heard) == before + 1, "something was said to answers"
    assert (await yard.rest.get(f"/v1/commands/{command['id']}"))["state"] == "accepted"
    await start(station, token.uid, ago(seconds=0))
    await yard.rest.until_command(command["id"], "fulfilled")
    assert shows(await yard.session(station, state="charging"), authorization_status="Accepted")


async def test_c_043_the_second_command_waits_for_the_answer_to_the_first(yard: Yard) -> None:
    station, one, two = await yard.station(), await yard.token(), await yard.token()
    commands = [
        await yard.rest.post("/v1/sessions", {"evse": f"{station.identity}/{evse}", "token_id": token.id})
        for evse, token in ((1, one), (2, two))
    ]
    first = await station.asked()
    assert first.payload["idTag"] == one.uid
    await yard.rest.until_command(commands[1]["id"], "queued")
    await station.call("Heartbeat")
    assert station.current.asked.empty(), "two calls are open"
    await station.reply(first, {"status": "Rejected"})
    second = await station.asked()
    assert second.payload["idTag"] == two.uid
    await station.reply(second, {"status": "Accepted"})
    assert (await yard.rest.until_command(commands[0]["id"], "rejected"))["reason"] == "Rejected"
    await yard.rest.until_command(commands[1]["id"], "accepted")
