"""Drivers see what they pay at the station, where a station can show it (TAR-40)."""

import json
from typing import Any

import pytest

from services.gateway.costs import VENDOR
from tests.station import Asked, Station
from tests.system.network import Yard, ago, authorize, boot, meter, start, stop, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TARIFF: dict[str, Any] = {
    "currency": "NOK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "4.00", "vat": "25"}]}],
}
TEXT = "energy 5.00 NOK/kWh"
SHOWS = {"shows_costs": True}


async def station_with_prices(yard: Yard) -> Station:
    """Return a station that shows costs, and has some."""
    station = await yard.station(habits=SHOWS)
    await yard.rest.put("/v1/tariffs/SHOWN", {"tariff": TARIFF, "valid_from": "2020-01-01T00:00:00Z"})
    await yard.rest.put("/v1/tariff-assignments", {"station": station.identity, "tariff": "SHOWN"})
    return station


async def told(station: Station, word: str = "Accepted") -> tuple[str, dict[str, Any]]:
    """Return what the display is told next, once the station has answered."""
    asked: Asked = await station.asked()
    assert (asked.action, asked.payload["vendorId"]) == ("DataTransfer", VENDOR)
    await station.reply(asked, {"status": word})
    return asked.payload["messageId"], json.loads(asked.payload["data"])


async def costs(yard: Yard, session: str, state: str, amount: float) -> None:
    """Return once REST shows that a session is in this state and costs so much, with taxes."""

    async def look() -> bool | None:
        answer = await yard.rest.ask("GET", f"/v1/sessions/{session}/price-explanation")
        cost = answer.json()
        if not answer.is_success or cost["state"] != state or cost["total_incl"] is None:
            return None
        return float(cost["total_incl"]) == amount or None

    await until(look, f"session {session} that is {state} and costs {amount}")


async def commands_of(yard: Yard, station: Station, *states: str) -> list[Any]:
    """Return what was asked of a station, the oldest first, once it all came to this."""

    async def look() -> list[Any] | None:
        found = (await yard.rest.get("/v1/commands", station=station.identity))["items"][::-1]
        return found if [command["state"] for command in found] == list(states) else None

    return await until(look, f"commands of {station.identity} that are {states}")


async def test_a_driver_sees_the_price_the_running_cost_and_the_final_one(yard: Yard) -> None:
    station, token = await station_with_prices(yard), await yard.token()

    assert await authorize(station, token.uid) == "Accepted"
    assert await told(station) == ("SetUserPrice", {"idToken": token.uid, "priceText": TEXT})
    transaction = await start(station, token.uid, ago(minutes=4), meter=1000)
    assert await told(station) == ("SetUserPrice", {"idToken": token.uid, "priceText": TEXT})

    await meter(station, transaction, ago(minutes=3), 3000)
    kind, running = await told(station)
    session = await yard.session(station, state="charging")
    assert running == running | {
        "transactionId": transaction,
        "meterValue": 3000,
        "cost": 10.0,
        "state": "Charging",
        "chargingPrice": {"kWhPrice": 5.0},
    }
    assert kind == "RunningCost"
    await costs(yard, session["id"], "running", running["cost"])

    await meter(station, transaction, ago(minutes=3, seconds=-20), 3400)  # soon after: it is not told that
    await meter(station, transaction, ago(minutes=1), 5000)
    kind, running = await told(station)
    assert (kind, running["cost"], running["meterValue"]) == ("RunningCost", 20.0, 5000)

    await stop(station, transaction, ago(seconds=2), 6000)
    kind, final = await told(station)
    assert (kind, final) == (
        "FinalCost",
        {
            "transactionId": transaction,
            "cost": 25.0,
            "priceText": "25.00 NOK incl. taxes for 5.000 kWh",
            "qrCodeText": "",
        },
    )
    await costs(yard, session["id"], "billed", final["cost"])
    done = await commands_of(yard, station, *["fulfilled"] * 5)
    assert {command["requested_by"] for command in done} == {"billing"}
    assert [command["session"] for command in done] == [None, None, *[session["id"]] * 3]
    assert station.current.asked.empty()
    await nobody_else_saw(yard, token.uid)


async def nobody_else_saw(yard: Yard, uid: str) -> None:
    """The uid went to the station and nowhere else: what is kept of the calls shows none."""
    for record in await yard.network.records("commands", "operations", "gateways", "authorizations", "bills"):
        assert uid.encode() not in (record.value or b""), record.topic
    calls = [each for each in await yard.network.records("stations") if each.headers["ce_type"].endswith(b".CallSent")]
    assert calls
    assert all(uid.encode() not in (each.value or b"") for each in calls)


async def test_a_station_that_knows_nothing_of_it_is_asked_once_and_charges_undisturbed(yard: Yard) -> None:
    station, token = await station_with_prices(yard), await yard.token()
    assert await authorize(station, token.uid) == "Accepted"
    assert (await told(station, "UnknownVendorId"))[0] == "SetUserPrice"
    [first] = await commands_of(yard, station, "rejected")
    assert first["reason"] == "UnknownVendorId"

    transaction = await start(station, token.uid, ago(minutes=4), meter=1000)
    await meter(station, transaction, ago(minutes=3), 3000)
    await stop(station, transaction, ago(seconds=2), 6000)
    session = await yard.session(station)
    await costs(yard, session["id"], "billed", 25.0)
    _, *others = await commands_of(yard, station, "rejected", "failed", "failed", "failed")
    assert {command["reason"] for command in others} == {"CannotShow"}
    assert station.current.asked.empty(), "it was asked again"

    await boot(station)  # another firmware may know more
    assert await authorize(station, token.uid) == "Accepted"
    assert (await told(station, "UnknownVendorId"))[0] == "SetUserPrice"


async def test_a_station_that_shows_no_costs_is_told_none(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await yard.rest.put("/v1/tariffs/SHOWN", {"tariff": TARIFF, "valid_from": "2020-01-01T00:00:00Z"})
    await yard.rest.put("/v1/tariff-assignments", {"station": station.identity, "tariff": "SHOWN"})
    transaction = await start(station, token.uid, ago(minutes=4), meter=1000)
    await stop(station, transaction, ago(seconds=2), 6000)
    session = await yard.session(station)
    await costs(yard, session["id"], "billed", 25.0)
    assert (await yard.rest.get("/v1/commands", station=station.identity))["items"] == []
    assert station.current.asked.empty()


async def test_what_a_station_says_after_a_long_silence_is_not_shown(yard: Yard) -> None:
    station, token = await station_with_prices(yard), await yard.token()
    transaction = await start(station, token.uid, ago(hours=2), meter=1000)
    await meter(station, transaction, ago(hours=1), 3000)
    await stop(station, transaction, ago(minutes=30), 6000)
    session = await yard.session(station)
    await costs(yard, session["id"], "billed", 25.0)
    assert (await yard.rest.get("/v1/commands", station=station.identity))["items"] == []


async def test_a_driver_sees_the_final_cost_once_though_billing_is_killed(yard: Yard) -> None:
    station, token = await station_with_prices(yard), await yard.token()
    transaction = await start(station, token.uid, ago(minutes=4), meter=1000)
    assert (await told(station))[0] == "SetUserPrice"
    await meter(station, transaction, ago(minutes=3), 3000)
    assert (await told(station))[0] == "RunningCost"
    async with yard.network.killed("billing"):
        await stop(station, transaction, ago(seconds=2), 6000)
    kind, final = await told(station)
    assert (kind, final["cost"]) == ("FinalCost", 25.0)
    async with yard.network.killed("billing"):
        pass
    session = await yard.session(station)
    await costs(yard, session["id"], "billed", 25.0)
    await commands_of(yard, station, "fulfilled", "fulfilled", "fulfilled")
    assert station.current.asked.empty(), "something was told twice"


async def test_anybody_who_may_can_say_something_in_a_vendors_words(yard: Yard) -> None:
    station = await yard.station()
    path, wish = f"/v1/stations/{station.identity}/data-transfers", {"vendor": "com.voltmaker", "message": "Dim"}
    for word, state in (("Accepted", "fulfilled"), ("UnknownMessageId", "rejected")):
        command = await yard.rest.post(path, wish | {"data": '{"percent":40}'})
        asked = await station.asked()
        assert asked.payload == {"vendorId": "com.voltmaker", "messageId": "Dim", "data": '{"percent":40}'}
        await station.reply(asked, {"status": word, "data": "as you wish"})
        assert (await yard.rest.until_command(command["id"], state))["task"]["type"] == "TransferData"
