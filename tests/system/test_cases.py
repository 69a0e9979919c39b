"""The test cases of OCPP 1.6 for a central system, by their public ids."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from chassis import clock
from tests.station import Transaction
from tests.system.network import (
    BOOT,
    Yard,
    ago,
    arrived,
    authorize,
    boot,
    meter,
    said,
    shows,
    start,
    start_of,
    status,
    stop,
    stop_of,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_tc_001_cold_boot(yard: Yard) -> None:
    station = await yard.registered(security_profile=1, heartbeat_s=240)
    await arrived(station)
    answer = await station.call("BootNotification", BOOT)
    assert (answer["status"], answer["interval"]) == ("Accepted", 240)
    assert abs(datetime.fromisoformat(answer["currentTime"]) - clock.now()) < timedelta(seconds=2)
    for connector in (0, 1, 2):
        await status(station, connector, "Available")
    beat = await station.call("Heartbeat")
    assert abs(datetime.fromisoformat(beat["currentTime"]) - clock.now()) < timedelta(seconds=2)

    def knows_its_connectors(shown: Any) -> bool:
        return shown["status"] is not None and [evse["id"] for evse in shown["evses"]] == [1, 2]

    shown = await yard.rest.until_station(station.identity, knows_its_connectors, "two connectors")
    assert shown["online"]
    assert shown["connection"]["protocol"] == "ocpp1.6"
    inventory = shown["inventory"]
    assert (inventory["vendor"], inventory["model"], inventory["firmware_version"]) == ("Voltmaker", "V2", "1.2.3")
    assert (inventory["serial_number"], inventory["boot_status"]) == ("SN-1", "Accepted")
    words = [connector["status"]["status"] for evse in shown["evses"] for connector in evse["connectors"]]
    assert [shown["status"]["status"], *words] == ["Available"] * 3


async def test_tc_003_plug_first(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, ended = ago(minutes=1), ago(seconds=5)
    await status(station, 1, "Preparing")
    assert await authorize(station, token.uid) == "Accepted"
    transaction = await start(station, token.uid, began, meter=1_000)
    await status(station, 1, "Charging")
    await meter(station, transaction, ago(seconds=30), 4_000)
    charging = await yard.session(station, state="charging")
    assert await authorize(station, token.uid) == "Accepted"
    answer = await stop(station, transaction, ended, 8_500, "Local", idTag=token.uid)
    assert answer["idTagInfo"]["status"] == "Accepted"
    await status(station, 1, "Finishing")
    await status(station, 1, "Available")
    session = await yard.session(station)
    assert session["id"] == charging["id"]
    assert shows(
        session,
        transaction=str(transaction),
        evse=1,
        connector=1,
        site="harbour",
        time_zone="Europe/Oslo",
        token_id=token.id,
        stop_token_id=token.id,
        authorization_status="Accepted",
        started_at=began,
        ended_at=ended,
        meter_start_wh=1_000,
        meter_stop_wh=8_500,
        energy_wh=7_500,
        reason="Local",
        flags=[],
        final=True,
    )
    await yard.rest.until_station(station.identity, lambda shown: word_of(shown, 1) == "Available", "available")


def word_of(station: Any, evse: int) -> str | None:
    """Return what an evse of a station is now."""
    words: list[str] = [
        connector["status"]["status"]
        for each in station["evses"]
        if each["id"] == evse
        for connector in each["connectors"]
    ]
    return words[0] if words else None


async def test_tc_004_1_identification_first(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, ended = ago(minutes=2), ago(seconds=2)
    assert await authorize(station, token.uid) == "Accepted"
    await status(station, 2, "Preparing")
    transaction = await start(station, token.uid, began, connector=2, meter=0)
    await status(station, 2, "Charging")
    assert await stop(station, transaction, ended, 1_234) == {}
    session = await yard.session(station)
    assert shows(session, evse=2, connector=1, energy_wh=1_234, started_at=began, ended_at=ended, final=True)


async def test_tc_004_2_identification_first_and_no_plug(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    assert await authorize(station, token.uid) == "Accepted"
    await status(station, 1, "Preparing")
    await status(station, 1, "Available")
    await yard.rest.until_station(station.identity, lambda shown: word_of(shown, 1) == "Available", "available")
    assert await yard.rest.sessions(station.identity) == []


async def test_tc_005_1_unplugged_at_the_car(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, ended = ago(minutes=10), ago(seconds=1)
    transaction = await start(station, token.uid, began, meter=77)
    assert await stop(station, transaction, ended, 5_077, "EVDisconnected") == {}
    await status(station, 1, "Finishing")
    await status(station, 1, "Available")
    session = await yard.session(station)
    assert shows(session, reason="EVDisconnected", energy_wh=5_000, ended_at=ended, final=True)


async def test_tc_007_cached_id(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token(group="FLEET-7")
    answer = await station.call("StartTransaction", start_of(token.uid, ago(seconds=9)))
    assert answer["idTagInfo"] == {"status": "Accepted", "parentIdTag": "FLEET-7"}
    assert answer["transactionId"] > 0
    session = await yard.session(station, state="charging")
    assert shows(session, transaction=str(answer["transactionId"]), authorization_status="Accepted", final=False)


async def test_tc_010_remote_start_with_the_cable_first(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await status(station, 1, "Preparing")
    command = await yard.rest.post("/v1/sessions", {"evse": f"{station.identity}/1", "token_id": token.id})
    asked = await station.asked()
    assert (asked.action, asked.payload) == ("RemoteStartTransaction", {"connectorId": 1, "idTag": token.uid})
    await station.reply(asked, {"status": "Accepted"})
    assert await authorize(station, token.uid) == "Accepted"
    transaction = await start(station, token.uid, ago(seconds=0))
    await status(station, 1, "Charging")
    session = await yard.session(station, state="charging")
    done = await yard.rest.until_command(command["id"], "fulfilled")
    assert (done["session"], done["transaction"]) == (session["id"], str(transaction))
    assert [step["state"] for step in done["history"]] == ["requested", "queued", "sent", "accepted", "fulfilled"]


async def test_tc_011_1_remote_start_before_the_cable(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    asking = asyncio.create_task(
        yard.rest.post("/v1/sessions", {"evse": f"{station.identity}/1", "token_id": token.id}, wait=20)
    )
    asked = await station.asked()
    await station.reply(asked, {"status": "Accepted"})
    await status(station, 1, "Preparing")
    await start(station, token.uid, ago(seconds=0))
    command = await asking
    session = await yard.session(station, state="charging")
    assert (command["state"], command["session"]) == ("fulfilled", session["id"])


async def test_tc_012_remote_stop(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    transaction = await start(station, token.uid, ago(minutes=3), meter=500)
    session = await yard.session(station, state="charging")
    command = await yard.rest.delete(f"/v1/sessions/{session['id']}/charging")
    asked = await station.asked()
    assert (asked.action, asked.payload) == ("RemoteStopTransaction", {"transactionId": transaction})
    await station.reply(asked, {"status": "Accepted"})
    assert await stop(station, transaction, ago(seconds=0), 900, "Remote") == {}
    done = await yard.rest.until_command(command["id"], "fulfilled")
    assert (done["session"], done["transaction"]) == (session["id"], str(transaction))
    assert shows(await yard.session(station), id=session["id"], reason="Remote", energy_wh=400, final=True)


async def test_tc_023_1_an_invalid_id_tag(yard: Yard) -> None:
    station, nobody = await yard.station(), "FFEEDDCCBBAA01"
    assert await authorize(station, nobody) == "Invalid"
    found = await yard.rest.post("/v1/tokens/search", {"uid": nobody})
    assert found["token"] is None

    async def seen() -> Any:
        shown = await yard.rest.everything("/v1/unknown-tokens")
        return next((token for token in shown if token["token_id"] == found["token_id"]), None)

    token = await until(seen, "the unknown token")
    assert (token["station"], token["masked_uid"]) == (station.identity, "FF…01")


async def test_tc_023_2_an_expired_id_tag(yard: Yard) -> None:
    token = await yard.token(valid_until=ago(days=1).isoformat())
    assert await authorize(await yard.station(), token.uid) == "Expired"


async def test_tc_023_3_a_blocked_id_tag(yard: Yard) -> None:
    token = await yard.token(status="blocked")
    assert await authorize(await yard.station(), token.uid) == "Blocked"


async def test_tc_024_the_connectors_lock_fails(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await status(station, 1, "Preparing")
    assert await authorize(station, token.uid) == "Accepted"
    await status(station, 1, "Faulted", "ConnectorLockFailure")

    def has_failed(shown: Any) -> bool:
        connector = shown["evses"][0]["connectors"][0]["status"] if shown["evses"] else None
        return connector is not None and (connector["status"], connector["error_code"]) == (
            "Faulted",
            "ConnectorLockFailure",
        )

    await yard.rest.until_station(station.identity, has_failed, "a failed lock")
    assert await yard.rest.sessions(station.identity) == []


async def test_tc_032_1_power_failure_and_the_stop_after_the_boot(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, failed = ago(hours=3), ago(hours=1)
    transaction = await start(station, token.uid, began, meter=10)
    await meter(station, transaction, ago(hours=2), 6_010)
    station.abort()
    await arrived(station)
    await boot(station)
    assert await stop(station, transaction, failed, 9_010, "PowerLoss") == {}
    session = await yard.session(station)
    assert shows(session, reason="PowerLoss", energy_wh=9_000, started_at=began, ended_at=failed, final=True)


async def test_tc_037_1_started_offline_with_a_valid_id(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began = ago(hours=2)
    station.abort()
    await arrived(station)
    transaction = await start(station, token.uid, began)
    session = await yard.session(station, state="charging")
    assert shows(session, started_at=began, transaction=str(transaction), flags=["offline"])


async def test_tc_037_3_started_offline_with_an_invalid_id(yard: Yard) -> None:
    station = await yard.station()
    began, ended = ago(hours=2), ago(minutes=5)
    station.abort()
    await arrived(station)
    answer = await station.call("StartTransaction", start_of("NOBODYS-CARD", began, meter=100))
    assert answer["idTagInfo"] == {"status": "Invalid"}
    assert answer["transactionId"] > 0
    assert await stop(station, answer["transactionId"], ended, 350, "DeAuthorized") == {}
    session = await yard.session(station)
    assert shows(
        session,
        authorization_status="Invalid",
        reason="DeAuthorized",
        started_at=began,
        ended_at=ended,
        energy_wh=250,
        final=True,
    )
    assert set(session["flags"]) == {"offline", "refused"}


async def test_tc_039_a_whole_transaction_offline(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, ended = ago(hours=5), ago(hours=4)
    station.abort()
    transaction = Transaction()
    station.keep("StartTransaction", start_of(token.uid, began, meter=20_000), began=transaction)
    station.keep("StopTransaction", stop_of(transaction, ended, 31_500, "EVDisconnected"))
    await station.delivered()
    assert (station.lost, transaction.status) == ([], "Accepted")
    session = await yard.session(station)
    assert shows(
        session,
        transaction=str(transaction.id),
        started_at=began,
        ended_at=ended,
        energy_wh=11_500,
        reason="EVDisconnected",
        flags=["offline"],
        final=True,
    )
    assert said(began) in station.answered[-2].sent
