"""Handshakes, half-open sockets and lost gateways, by the ids of our catalogue."""

import asyncio

import pytest

from tests.station import Cut, Station, Transaction, TurnedAway
from tests.system.network import Yard, ago, arrived, boot, meter, shows, start, start_of, status, stop, stop_of, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ELSEWHERE = "127.0.0.2"
"""An address of its own, so that the gateway's patience with others is not used up."""


async def test_c_001_an_unknown_station_is_turned_away_and_slowed_down(yard: Yard) -> None:
    station = await yard.registered()
    seen = []
    for _ in range(80):
        with pytest.raises(TurnedAway) as turned:
            await station.connect(path="nope", local_address=ELSEWHERE)
        seen.append(turned.value.status)
        if seen[-1] != 404:
            break
    assert seen == [404] * (len(seen) - 1) + [429]
    await arrived(station)  # from its own address


@pytest.mark.parametrize("identity", ["RDAM 123", "RDAM|123"])
async def test_c_002_an_encoded_identity_is_decoded_once(yard: Yard, identity: str) -> None:
    station = await yard.station(identity, security_profile=1)
    await yard.rest.until_station(identity, lambda shown: shown["online"] and shown["inventory"], "online")
    assert await station.call("Heartbeat")


async def test_c_003_a_bad_escape_is_nobodys_identity(yard: Yard) -> None:
    station = await yard.station()
    process = yard.network.pid_of("gateway")
    for path in ("a%zz", "%", "%00", "%FF"):
        with pytest.raises(TurnedAway) as turned:
            await station.connect(path=path, local_address="127.0.0.3")
        assert turned.value.status == 404
    assert await station.call("Heartbeat")
    assert yard.network.pid_of("gateway") == process


async def test_c_020_a_half_open_socket_is_replaced(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    old = station.current
    old.freeze()
    new = await station.connect()
    await boot(station)
    await yard.rest.post("/v1/sessions", {"evse": f"{station.identity}/1", "token_id": token.id})
    asked = await station.asked()
    await station.reply(asked, {"status": "Accepted"})
    closed = await yard.network.until_said(station.identity, "ConnectionClosed")
    opened = await yard.network.until_said(station.identity, "ConnectionOpened")
    assert (opened["epoch"], old.asked.empty(), new.is_open) == (0, True, True)
    await status(station, 1, "Preparing")
    shown = await yard.rest.until_station(station.identity, lambda shown: shown["evses"], "the connector's status")
    assert shown["online"]
    assert shown["connection"]["closed"] is None
    assert closed["epoch"] == await epoch_of_first(yard, station.identity)


async def epoch_of_first(yard: Yard, identity: str) -> int:
    """Return the epoch of a station's first connection, which its reports name."""
    return int((await yard.network.until_said(identity, "StationBooted"))["epoch"])


async def test_c_021_a_late_close_at_another_gateway_changes_nothing(yard: Yard) -> None:
    here, there = yard.network.urls
    station = await yard.registered()
    await arrived(station, here)
    await boot(station)
    first = station.current
    first.freeze()
    await station.connect(there)
    first.abort()
    await yard.network.until_said(station.identity, "ConnectionClosed")
    await boot(station)
    await status(station, 1, "Available")
    shown = await yard.rest.until_station(station.identity, lambda shown: shown["evses"], "the connector's status")
    assert shown["online"]
    assert shown["connection"]["gateway"].startswith("gateway-2-")


async def test_c_022_a_stop_on_the_old_socket_still_counts(yard: Yard) -> None:
    here, there = yard.network.urls
    station, token = await yard.registered(), await yard.token()
    await arrived(station, here)
    transaction = await start(station, token.uid, ago(minutes=4), meter=100)
    old = station.current
    old.freeze()
    await station.connect(there)
    await old.send(station.frame("StopTransaction", stop_of(transaction, ago(seconds=1), 700)))
    session = await yard.session(station)
    assert shows(session, energy_wh=600, final=True)


async def test_c_023_a_flapping_identity_is_served_in_the_end(yard: Yard) -> None:
    station, token = await yard.registered(), await yard.token()
    await arrived(station)
    for turn in range(20):
        await station.connect(yard.network.urls[turn % 2])
    transaction = Transaction()
    station.keep("StartTransaction", start_of(token.uid, ago(minutes=1), meter=0), began=transaction)
    station.keep("StopTransaction", stop_of(transaction, ago(seconds=1), 50))
    await station.delivered()
    assert shows(await yard.session(station), energy_wh=50, transaction=str(transaction.id), final=True)
    # Of all its connections the newest is left. Which that is of two opened within milliseconds at two gateways, the log
    # says: a station whose socket it was not comes back.
    await until(lambda: settled(station), "the newest connection is left alone")
    assert (await yard.rest.station(station.identity))["online"]


async def settled(station: Station) -> bool | None:
    """Whether one connection is open, and the station uses it; it opens another one if its own was closed."""
    if not station.current.is_open:
        await arrived(station)
    return True if [link for link in station.links if link.is_open] == [station.current] else None


async def test_c_024_a_gateway_dies_in_the_middle_of_a_session(yard: Yard) -> None:
    here, there = yard.network.urls
    station, token = await yard.registered(), await yard.token()
    await arrived(station, there)
    await boot(station)
    transaction = await start(station, token.uid, ago(minutes=9), meter=0)
    session = await yard.session(station, state="charging")
    command = await yard.rest.delete(f"/v1/sessions/{session['id']}/charging")
    await station.asked()
    await yard.rest.until_command(command["id"], "sent")
    async with yard.network.killed("gateway-2"):
        with pytest.raises(Cut):
            await station.call("Heartbeat")
        await arrived(station, here)
        failed = await yard.rest.until_command(command["id"], "failed")
        assert failed["reason"] == "Disconnected"
        await meter(station, transaction, ago(minutes=2), 4_000)
        assert await stop(station, transaction, ago(seconds=1), 4_500) == {}
        assert shows(await yard.session(station), id=session["id"], energy_wh=4_500, final=True)


async def test_what_a_lost_gateway_held_is_offline_within_45_seconds(yard: Yard) -> None:
    """A gateway killed whose stations do not return: `gateways.alive` is silent, and operations infers their end."""
    here, there = yard.network.urls
    lost = [await yard.registered() for _ in range(3)]
    kept = await yard.registered()
    for station in lost:
        await arrived(station, there)
        await boot(station)
    await arrived(kept, here)
    await boot(kept)
    for station in (*lost, kept):
        await yard.rest.until_station(station.identity, lambda shown: shown["online"], "online")
    async with yard.network.killed("gateway-2"):
        async with asyncio.timeout(45):
            for station in lost:
                shown = await yard.rest.until_station(
                    station.identity, lambda shown: not shown["online"], "offline", within=45
                )
                assert shown["connection"]["closed"]["inferred"]
        assert (await yard.rest.station(kept.identity))["online"]
        assert await kept.call("Heartbeat")
