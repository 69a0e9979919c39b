"""What is said again, out of order, or while something of ours is dead: one session, and one answer (C-050 to C-087)."""

import asyncio
import json
from typing import Any

import pytest

from chassis.kafka import AIOKafkaProducer, connection, full
from tests.station import Cut, Silent, Station, TurnedAway
from tests.system.network import (
    Network,
    Raw,
    Yard,
    ago,
    arrived,
    boot,
    meter,
    shows,
    start,
    start_of,
    status,
    stop,
    stop_of,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


def told(answer: str) -> tuple[int, str]:
    """Return what a start was answered: transaction id and status."""
    payload = json.loads(answer)[2]
    return payload["transactionId"], payload["idTagInfo"]["status"]


async def test_c_050_a_start_said_again_under_its_id(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    frame = station.frame("StartTransaction", start_of(token.uid, ago(seconds=30)), id="s-1")
    first = await station.exchange(frame)
    assert await station.exchange(frame) == first
    session = await yard.session(station, state="charging")
    assert shows(session, transaction=str(told(first)[0]))


async def test_c_051_a_start_whose_gateway_dies_between_acknowledgement_and_answer(yard: Yard) -> None:
    here, there = yard.network.urls
    station, token = await yard.registered(), await yard.token()
    await arrived(station, there)
    payload = start_of(token.uid, ago(seconds=40), meter=300)
    await dies_before_it_answers(yard.network, station, "StartTransaction", payload, "TransactionStarted", here)
    transaction, status = told(await station.exchange(station.frame("StartTransaction", payload)))
    assert status == "Accepted"
    again = told(await station.exchange(station.frame("StartTransaction", payload)))
    assert again == (transaction, "Accepted")
    assert await stop(station, transaction, ago(seconds=1), 900) == {}
    assert shows(await yard.session(station), transaction=str(transaction), energy_wh=600, final=True)


async def dies_before_it_answers(
    network: Network, station: Station, action: str, payload: Any, kind: str, elsewhere: str
) -> None:
    """Let the second gateway die with a call of the station's in the log and not answered; the station goes elsewhere."""
    async with network.killed_later("gateway-2") as kill:
        with network.stunned("authorization"):
            calling = asyncio.create_task(station.exchange(station.frame(action, payload)))
            await network.until_said(station.identity, kind)
            kill()
        with pytest.raises(Cut):
            await calling
        await arrived(station, elsewhere)


async def test_what_a_gateway_has_answered_by_itself_stands(yard: Yard) -> None:
    """Nobody decides within 8 s, so the gateway does; a decision that comes later must not contradict it."""
    station, blocked = await yard.station(), await yard.token(status="blocked")
    payload = start_of(blocked.uid, ago(seconds=10), meter=0)
    async with yard.network.killed("authorization"):
        first = told(await station.exchange(station.frame("StartTransaction", payload)))
        assert (first[0] >= 1 << 30, first[1]) == (True, "Accepted")
    await until(lambda: decided(yard.network, station.identity), "the decision on the start")
    assert told(await station.exchange(station.frame("StartTransaction", payload))) == first
    assert await stop(station, first[0], ago(seconds=1), 40) == {}
    session = await yard.session(station)
    assert shows(session, transaction=str(first[0]), authorization_status="Accepted", energy_wh=40, final=True)
    assert "undecided" in session["flags"]


async def decided(network: Network, identity: str) -> bool | None:
    """Whether authorization has decided on something of a station's."""
    records = await network.records("authorizations")
    return True if any(record.key == f"default/{identity}".encode() for record in records) else None


async def test_c_052_a_start_said_again_after_its_stop(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    payload = start_of(token.uid, ago(minutes=5), meter=0)
    first = told(await station.exchange(station.frame("StartTransaction", payload)))
    assert await stop(station, first[0], ago(minutes=1), 100) == {}
    ended = await yard.session(station)
    assert told(await station.exchange(station.frame("StartTransaction", payload))) == first
    again = await revised(yard, ended)
    assert shows(again, state="ended", ended_at=ended["ended_at"], energy_wh=100, final=True)


async def revised(yard: Yard, session: Any) -> Any:
    """Return the session once it has another revision: what was said again has been heard."""

    async def look() -> Any:
        now = await yard.rest.get(f"/v1/sessions/{session['id']}")
        return now if now["revision"] > session["revision"] else None

    now = await until(look, f"session {session['id']} has changed")
    assert len(await yard.rest.sessions(session["station"])) == 1
    return now


async def test_c_053_a_start_said_again_with_its_id_tag_in_other_letters(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token("abcDEF" + "0123456789")
    at = ago(seconds=50)
    first = told(await station.exchange(station.frame("StartTransaction", start_of(token.uid.lower(), at))))
    assert told(await station.exchange(station.frame("StartTransaction", start_of(token.uid.upper(), at)))) == first
    assert first[1] == "Accepted"
    await yard.session(station, state="charging")


async def test_c_054_two_starts_in_the_same_millisecond(yard: Yard) -> None:
    station, one, two, at = await yard.station(), await yard.token(), await yard.token(), ago(seconds=20)
    first, second = await asyncio.gather(
        station.exchange(station.frame("StartTransaction", start_of(one.uid, at, connector=1))),
        station.exchange(station.frame("StartTransaction", start_of(two.uid, at, connector=2))),
    )
    assert (told(first)[1], told(second)[1]) == ("Accepted", "Accepted")
    sessions = await yard.rest.until_sessions(station.identity, "charging", "charging")
    assert {(s["evse"], s["transaction"]) for s in sessions} == {(1, str(told(first)[0])), (2, str(told(second)[0]))}
    assert told(first)[0] != told(second)[0]


async def test_c_055_a_start_for_an_invalid_tag_is_a_session_all_the_same(yard: Yard) -> None:
    station = await yard.station()
    answer = await station.exchange(station.frame("StartTransaction", start_of("NOBODY", ago(minutes=1))))
    transaction, status = told(answer)
    assert (transaction > 0, status) == (True, "Invalid")
    session = await yard.session(station, state="charging")
    assert shows(session, authorization_status="Invalid", flags=["refused"], transaction=str(transaction))


async def test_c_056_of_two_stops_the_first_counts(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    ended = ago(seconds=30)
    transaction = await start(station, token.uid, ago(seconds=90), meter=0)
    assert await stop(station, transaction, ended, 100) == {}
    session = await yard.session(station)
    assert await stop(station, transaction, ended, 100) == {}
    same = await revised(yard, session)
    assert shows(same, energy_wh=100, ended_at=ended, flags=[])
    assert await stop(station, transaction, ago(seconds=5), 999, "EVDisconnected") == {}
    differing = await revised(yard, same)
    assert shows(differing, energy_wh=100, ended_at=ended, reason="Local", flags=["stop_differs"], final=True)


async def test_c_057_a_stop_without_an_id_with_one_candidate(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    await start(station, token.uid, ago(seconds=90), meter=50)
    assert await stop(station, -1, ago(seconds=1), 150) == {}
    assert shows(await yard.session(station), energy_wh=100, flags=["matched"], final=True)


async def test_c_057_a_stop_without_an_id_with_two_candidates(yard: Yard) -> None:
    station, one, two = await yard.station(), await yard.token(), await yard.token()
    await start(station, one.uid, ago(minutes=6), connector=1, meter=50)
    await start(station, two.uid, ago(minutes=5), connector=2, meter=60)
    assert await stop(station, -1, ago(seconds=1), 150) == {}
    sessions = await yard.rest.until_sessions(station.identity, "charging", "charging", "quarantined")
    assert shows(sessions[2], meter_stop_wh=150, reason="Local", evse=None, energy_wh=None, final=False)


async def test_c_057_a_stop_without_an_id_and_without_a_candidate(yard: Yard) -> None:
    station = await yard.station()
    ended = ago(seconds=1)
    assert await stop(station, -1, ended, 4_711) == {}
    session = await yard.session(station, state="quarantined")
    assert shows(session, meter_stop_wh=4_711, ended_at=ended, transaction="-1", final=False)


async def test_c_058_a_stop_before_its_start_is_paired(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    began, ended = ago(hours=2), ago(hours=1)
    assert await stop(station, 0, ended, 700) == {}
    quarantined = await yard.session(station, state="quarantined")
    await start(station, token.uid, began, meter=200)
    session = await yard.session(station)
    assert shows(session, id=quarantined["id"], energy_wh=500, started_at=began, ended_at=ended, final=True)
    assert "paired" in session["flags"]


async def test_c_080_without_kafka_nothing_is_acknowledged_and_nothing_lost(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    payload = start_of(token.uid, ago(minutes=2), meter=0)
    async with yard.network.killed("kafka"):
        with pytest.raises((Cut, Silent)):
            await station.call("StartTransaction", payload)
        await until(lambda: turned_away(station), "handshakes are answered with 503")
    await arrived(station)
    answer = await station.exchange(station.frame("StartTransaction", payload))
    assert told(answer)[1] == "Accepted"
    assert await stop(station, told(answer)[0], ago(seconds=1), 10) == {}
    assert shows(await yard.session(station), transaction=str(told(answer)[0]), energy_wh=10, final=True)
    await yard.network.until_ready(*yard.network.system.parts)


async def turned_away(station: Station) -> bool | None:
    """Whether a handshake is refused so that the station comes back."""
    try:
        await station.connect()
    except TurnedAway as turned:
        return (turned.status, int(turned.headers["Retry-After"]) > 0) == (503, True)
    return None


async def test_c_081_a_stop_whose_gateway_dies_between_acknowledgement_and_answer(yard: Yard) -> None:
    here, there = yard.network.urls
    station, token = await yard.registered(), await yard.token()
    await arrived(station, there)
    transaction = await start(station, token.uid, ago(seconds=90), meter=0)
    payload = stop_of(transaction, ago(seconds=2), 1_500, idTag=token.uid)
    await dies_before_it_answers(yard.network, station, "StopTransaction", payload, "TransactionEnded", here)
    answer = await station.call("StopTransaction", payload)
    assert answer == {"idTagInfo": {"status": "Accepted"}}
    assert shows(await yard.session(station), energy_wh=1_500, stop_token_id=token.id, flags=[], final=True)


async def test_c_084_an_answer_for_a_dead_connection_is_dropped_and_the_retry_is_served(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    payload = start_of(token.uid, ago(minutes=1), meter=0)
    with yard.network.stunned("authorization"):
        calling = asyncio.create_task(station.exchange(station.frame("StartTransaction", payload)))
        await yard.network.until_said(station.identity, "TransactionStarted")
        station.abort()
        with pytest.raises(Cut):
            await calling
        await arrived(station)
        await boot(station)
    session = await yard.session(station, state="charging")
    assert len(station.current.heard) == 1, "the answer for the dead connection was given to the new one"
    answer = await station.exchange(station.frame("StartTransaction", payload))
    assert told(answer) == (int(session["transaction"]), "Accepted")
    await revised(yard, session)


async def test_c_088_nobody_need_have_heard_a_report_for_it_to_be_answered(yard: Yard) -> None:
    """An hour of a station's reports lies unread; the gateway acknowledges what it has appended, and no more."""
    station, token = await yard.station(), await yard.token()
    transaction = await start(station, token.uid, ago(minutes=61), meter=0)
    await yard.session(station, state="charging")
    with yard.network.stunned("sessions", "operations", "authorization"):
        for minute in range(60, 0, -1):
            await meter(station, transaction, ago(minutes=minute), 60_000 - 1_000 * minute)
        await status(station, 1, "SuspendedEV")
        assert "currentTime" in await station.call("Heartbeat")
        assert await station.call("FirmwareStatusNotification", {"status": "Idle"}) == {}
        assert await stop(station, transaction, ago(seconds=30), 60_000) == {}
    session = await yard.session(station)
    assert shows(session, energy_wh=60_000, transaction=str(transaction), final=True)


async def test_c_087_reports_that_come_twice_count_once(yard: Yard) -> None:
    station, token = await yard.station(), await yard.token()
    transaction = await start(station, token.uid, ago(minutes=20), meter=0)
    await meter(station, transaction, ago(minutes=10), 2_000)
    assert await stop(station, transaction, ago(minutes=1), 3_000) == {}
    session = await yard.session(station)
    reports = [
        record
        for record in await yard.network.records("stations")
        if record.key == f"default/{station.identity}".encode() and is_of_a_transaction(record)
    ]
    assert len(reports) == 3
    await write_again(yard.network, reports)
    # What is said after that has been heard after that.
    second = await start(station, token.uid, ago(seconds=30), meter=3_000)
    assert await stop(station, second, ago(seconds=1), 3_500) == {}
    first, last = await yard.rest.until_sessions(station.identity, "ended", "ended")
    assert first == session
    assert shows(last, energy_wh=500, final=True)

    async def readings() -> list[Any] | None:
        items: list[Any] = (await yard.rest.get(f"/v1/sessions/{session['id']}/readings"))["items"]
        return items or None

    assert [reading["value"] for reading in await until(readings, "readings")] == ["2000"]


def is_of_a_transaction(record: Raw) -> bool:
    kind = record.headers["ce_type"].decode()
    return kind.endswith(("TransactionStarted", "MetersRead", "TransactionEnded"))


async def write_again(network: Network, records: list[Raw]) -> None:
    """Append the very same records once more: same key, same bytes, same ids."""
    producer = AIOKafkaProducer(**connection(network.settings), enable_idempotence=True)
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                full(network.settings, record.topic),
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers.items()),
            )
    finally:
        await producer.stop()
