"""Stations at a gateway on a real Kafka; the test decides in the place of all other services."""

import asyncio
import json
import os
import re
import signal
import socket as socket_module
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus, RemoteStartStopStatus
from prometheus_client import REGISTRY as METRICS
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chassis.kafka import TopicPartition, create_topics, full, plain_consumer
from chassis.secrets import Secrets
from chassis.settings import Settings
from contracts.authorizations import TokenInfo
from contracts.event import CommandId, StationId, TransactionId
from contracts.gateways import (
    Asked,
    AuthorizeAnswered,
    CallAsked,
    CloseAsked,
    GatewayAlive,
    StartAnswered,
    StartCharging,
    StopAnswered,
    StopCharging,
)
from contracts.reference import Connector, Evse, Habits, StationForgotten
from contracts.stations import (
    AnsweredUndecided,
    CallAnswered,
    CallFailed,
    CallRefused,
    CallSent,
    ConnectionOpened,
    ConnectorStatusReported,
    FrameUnread,
    HandshakeRefused,
    HeartbeatReceived,
    IdentityConflictSuspected,
    MetersRead,
    ReconnectLoopSuspected,
    StationBooted,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from contracts.stations import ConnectionClosed as HasClosed
from contracts.topics import ALIVE, REGISTRY, STATIONS
from services.gateway.server import named_of
from tests.gateway.stage import (
    ACME,
    CLOSE,
    NOON,
    PATIENCE,
    PING,
    SECRET,
    Raw,
    Stage,
    answer,
    basic,
    closed,
    exchange,
    hashed,
    refused,
    settings_for,
    some_identity,
    stage,
    start_call,
    station,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOOT = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
HEARTBEAT = '[2,"h","Heartbeat",{}]'
STATUS = '[2,"%d","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
STOP = '{"transactionId":41,"meterStop":900,"timestamp":"2026-01-01T12:59:00Z"}'


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """A deployment of this module's own."""
    made = settings_for(kafka)
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(settings: Settings) -> AsyncIterator[Stage]:
    async with stage(settings) as shown:
        yield shown


def counted(result: str | None) -> float:
    """How many handshakes ended so."""
    return METRICS.get_sample_value("voltstream_gateway_connects_total", {"result": str(result)}) or 0.0


async def sent(at: Stage, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes, and return all that comes before the connection is cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(data)
    if end:
        writer.write_eof()
    said = b""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionResetError):
            while part := await reader.read(1 << 16):
                said += part
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()
    return said


def dateless(response: Any) -> Any:
    """The response without the time at which it was given."""
    del response.headers["Date"]
    return response


def rules(report: Any) -> list[str]:
    return [violation.rule for violation in report.violations]


# ---- the handshake ----


@pytest.mark.covers("T-05", "T-06", "C-001")
async def test_an_unknown_station_is_not_found_and_a_scanner_must_wait(settings: Settings) -> None:
    async with stage(settings, failures=3) as at:
        statuses = [(await refused(at, "nope")).status_code for _ in range(4)]
        assert statuses == [404, 404, 404, 429]


@pytest.mark.parametrize(("identity", "path"), [("RDAM 123", "/RDAM%20123"), ("RDAM|123", "/ocpp/RDAM%7C123")])
@pytest.mark.covers("T-01", "C-002")
async def test_an_identity_is_decoded_once(at: Stage, identity: str, path: str) -> None:
    await at.register(station(identity))
    socket = await at.connect(identity, path=path)
    assert (await exchange(socket, BOOT))[2]["status"] == "Accepted"
    await socket.close()


@pytest.mark.covers("T-02", "C-003")
async def test_broken_paths_are_not_found_and_harm_nobody(at: Stage) -> None:
    for path in ("/a%zz", "/%", "/%00", "/%FF"):
        assert (await refused(at, "x", path=path)).status_code == 404
    socket, _ = await at.connected()
    await socket.close()


@pytest.mark.parametrize("path", ["///{}", "/ocpp/{}/", "/ocpp/{}?token=1", "/ocpp/{}/SERIAL-1"])
@pytest.mark.covers("T-03", "C-004")
async def test_a_path_may_be_adorned(at: Stage, path: str) -> None:
    identity = some_identity()
    await at.register(station(identity))
    socket = await at.connect(identity, path=path.format(identity))
    assert rules(await at.said(ConnectionOpened, identity)) == ["T-03"]
    await socket.close()


@pytest.mark.covers("C-005")
async def test_an_identity_may_have_a_colon(at: Stage) -> None:
    socket, opened = await at.connected(some_identity("a:b"))
    assert opened.violations == ()
    await socket.close()


@pytest.mark.covers("T-23", "Q-07", "C-006", "C-007", "TC_085")
@pytest.mark.parametrize("stored", ["bytes", "text", "shouted"])
async def test_a_key_is_compared_as_bytes_and_may_come_as_hex_text_or_the_reverse(at: Stage, stored: str) -> None:
    key = bytes.fromhex("00ff10803a") * 4
    spelt = {"bytes": key, "text": key.hex().encode(), "shouted": key.hex().upper().encode()}
    identity = some_identity()
    await at.register(station(identity, password_hash=hashed(spelt[stored])))
    for number, (spelling, password) in enumerate(spelt.items(), start=1):
        socket = await at.connect(identity, password=password)
        opened = await at.said(ConnectionOpened, identity, number)
        assert rules(opened) == ([] if spelling == stored else ["Q-07"])
        await socket.close()
    assert (await refused(at, identity, password=key[:-1])).status_code == 401


@pytest.mark.covers("T-22", "T-27", "Q-08")
@pytest.mark.parametrize("password", [b"", b"short", b"with:colons:and\0nul", b"x" * 64, "\u00e9".encode()])
async def test_any_bytes_are_a_password(at: Stage, password: bytes) -> None:
    identity = some_identity()
    await at.register(station(identity, password_hash=hashed(password)))
    socket = await at.connect(identity, password=password)
    assert (await at.said(ConnectionOpened, identity)).violations == ()
    await socket.close()


@pytest.mark.covers("T-27")
async def test_credentials_without_padding_are_read(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity))
    header = basic(identity, b"open sesame").replace("Basic", "basic").rstrip("=")
    socket = await at.connect(identity, password=None, headers={"Authorization": header})
    await at.said(ConnectionOpened, identity)
    await socket.close()


@pytest.mark.covers("T-22", "C-008")
async def test_a_station_may_be_known_by_its_password_alone_if_the_directory_says_so(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity, habits=Habits(any_user=True)))
    how = {"password": None, "headers": {"Authorization": basic("admin", b"open sesame")}}
    socket = await at.connect(identity, **how)
    assert rules(await at.said(ConnectionOpened, identity)) == ["T-22"]
    await socket.close()
    wrong = {"password": None, "headers": {"Authorization": basic("admin", b"wrong")}}
    assert (await refused(at, identity, **wrong)).status_code == 401


@pytest.mark.parametrize(
    "how",
    [
        {"password": b"wrong"},
        {"password": None},
        {"password": b""},
        {"password": None, "headers": {"Authorization": basic("other", b"open sesame")}},
        {"password": None, "headers": {"Authorization": "Bearer x"}},
    ],
)
@pytest.mark.covers("T-22", "C-008", "TC_085")
async def test_who_does_not_know_the_password_is_unauthorized(at: Stage, how: dict[str, Any]) -> None:
    identity = some_identity()
    await at.register(station(identity))
    response = await refused(at, identity, **how)
    assert (response.status_code, response.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert "Server" not in response.headers


@pytest.mark.parametrize("profile", [2, 3])
@pytest.mark.covers("T-20", "C-009")
async def test_a_station_that_should_come_over_tls_is_refused_without_it(at: Stage, profile: int) -> None:
    identity = some_identity()
    await at.register(station(identity, security_profile=profile))
    assert (await refused(at, identity)).status_code == 403


@pytest.mark.covers("T-20")
async def test_only_a_station_of_profile_0_needs_no_password(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity, security_profile=0, password_hash=None))
    socket = await at.connect(identity, password=None)
    assert (await at.said(ConnectionOpened, identity)).security_profile == 0
    await socket.close()
    other = some_identity()
    await at.register(station(other, password_hash=None))
    assert (await refused(at, other)).status_code == 401


@pytest.mark.parametrize("offered", [None, ["ocpp0.1"]])
@pytest.mark.covers("T-09", "C-010", "TC_088")
async def test_without_a_common_subprotocol_there_is_no_session(at: Stage, offered: Any) -> None:
    identity = some_identity()
    await at.register(station(identity))
    socket = await at.connect(identity, subprotocols=offered)
    assert socket.subprotocol is None
    assert (await closed(socket))[0] == 1002
    assert at.count(ConnectionOpened, identity) == 0


@pytest.mark.covers("T-10", "Q-01", "C-010")
async def test_a_pinned_station_needs_not_say_what_it_speaks(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity, protocol="ocpp1.6"))
    socket = await at.connect(identity, subprotocols=None)
    assert socket.subprotocol is None
    assert (await exchange(socket, BOOT))[2]["status"] == "Accepted"
    assert rules(await at.said(ConnectionOpened, identity)) == ["T-10"]
    await socket.close()


@pytest.mark.parametrize(
    ("headers", "echo"),
    [
        (["Sec-WebSocket-Protocol: OCPP1.6"], "OCPP1.6"),
        (["Sec-WebSocket-Protocol: ocpp2.0.1,ocpp1.6"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp2.0.1", "Sec-WebSocket-Protocol: ocpp1.6"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: "], None),
        (['Sec-WebSocket-Protocol: "ocpp1.6"'], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp2.0.1;ocpp1.6"], "ocpp1.6"),
    ],
)
@pytest.mark.parametrize("connection", [["Connection: Upgrade"], [], ["Connection: keep-alive"]])
@pytest.mark.covers("T-13", "Q-02", "C-011", "C-012")
async def test_odd_headers_are_understood(
    at: Stage, headers: list[str], echo: str | None, connection: list[str]
) -> None:
    identity = some_identity()
    await at.register(station(identity))
    raw = await Raw.open(at, identity, [*connection, *headers])
    assert raw.status == 101
    assert raw.headers.get("sec-websocket-protocol") == echo
    raw.close()


@pytest.mark.covers("T-13", "Q-03")
async def test_plain_http_is_told_what_is_wanted(at: Stage) -> None:
    for head in (b"GET / HTTP/1.1", b"GET /ocpp/nope HTTP/1.1"):
        said = await sent(at, head + b"\r\nHost: x\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 426 ")
        assert b"Upgrade: websocket" in said


@pytest.mark.covers("Q-03", "T-13")
@pytest.mark.parametrize(
    ("data", "status", "result"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"", "tls"),
        (b"\x00\xff garbage\r\n", b"", "no_http"),
        (b"SSH-2.0-x\r\n", b"", "no_http"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"", "no_http"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 414 ", "no_http"),
        (b"GET /ocpp/x HTTP/1.1\r\nA: " + b"a" * 10_000 + b"\r\n\r\n", b"HTTP/1.1 431 ", "no_http"),
        (b"", b"", None),
    ],
)
async def test_what_is_no_http_is_cut_off_counted_and_leaves_no_traceback(
    at: Stage, data: bytes, status: bytes, result: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted(result)
    said = await sent(at, data, end=result is None)
    assert said.startswith(status)
    assert (status != b"") or said == b""
    await at.until(lambda: counted(result) == before + (result is not None))
    assert not [record for record in caplog.records if record.exc_info], "no traceback"


@pytest.mark.covers("T-13", "Q-03")
async def test_who_asks_for_nothing_is_cut_off(settings: Settings) -> None:
    async with stage(settings, opened_within=0.2) as at:
        before = counted("slow")
        assert await sent(at, b"GET /ocpp/x HTT") == b""
        assert counted("slow") == before + 1


@pytest.mark.covers("T-06", "Q-03")
async def test_garbage_counts_against_its_address(settings: Settings) -> None:
    async with stage(settings, failures=2) as at:
        for _ in range(2):
            await sent(at, b"\x00\r\n")
        await at.until(lambda: at.gateway.door.failures.too_many("127.0.0.1", 0))
        assert (await refused(at, "nope")).status_code == 429


@pytest.mark.parametrize("line", ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: x"])
async def test_a_station_whose_websocket_is_none_is_not_counted_as_connected(at: Stage, line: str) -> None:
    identity = some_identity()
    await at.register(station(identity))
    before = counted("accepted"), counted("bad_handshake")
    raw = await Raw.open(at, identity, ["Connection: Upgrade", line])
    assert raw.status == 400
    assert (counted("accepted"), counted("bad_handshake")) == (before[0], before[1] + 1)
    raw.close()


@pytest.mark.covers("T-06")
async def test_a_deployment_may_hide_which_stations_there_are(settings: Settings) -> None:
    async with stage(settings, hide_unknown=True) as at:
        known, closed_shop = some_identity(), some_identity()
        await at.register(station(known))
        await at.register(station(closed_shop, security_profile=2))
        answers = [await refused(at, name, password=b"wrong") for name in (known, closed_shop, "nope")]
        assert [each.status_code for each in answers] == [401, 401, 401]
        assert len({(bytes(each.body), *dateless(each).headers.raw_items()) for each in answers}) == 1


@pytest.mark.covers("T-20")
async def test_a_deployment_may_want_a_password_of_every_station(settings: Settings) -> None:
    async with stage(settings, passwordless=False) as at:
        identity = some_identity()
        await at.register(station(identity, security_profile=0))
        assert (await refused(at, identity)).status_code == 403


@pytest.mark.covers("T-10", "Q-01", "C-010")
async def test_a_deployment_may_say_what_a_station_speaks_that_names_nothing(settings: Settings) -> None:
    async with stage(settings, protocol="ocpp1.6") as at:
        identity = some_identity()
        await at.register(station(identity))
        socket = await at.connect(identity, subprotocols=None)
        assert (await exchange(socket, BOOT))[2]["status"] == "Accepted"
        assert rules(await at.said(ConnectionOpened, identity)) == ["T-10"]
        await socket.close()


@pytest.mark.covers("T-12", "Q-10")
async def test_deflate_is_not_negotiated_and_its_bit_ends_the_connection(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity))
    offered = "Sec-WebSocket-Extensions: permessage-deflate"
    raw = await Raw.open(at, identity, ["Connection: Upgrade", "Sec-WebSocket-Protocol: ocpp1.6", offered])
    assert "sec-websocket-extensions" not in raw.headers
    raw.send(HEARTBEAT, first=0xC1)
    assert await raw.until_close_frame() == 1002
    raw.close()
    assert (await at.said(HasClosed, identity)).code == 1002


@pytest.mark.covers("T-66")
async def test_a_storm_of_handshakes_is_let_through_in_portions(settings: Settings) -> None:
    async with stage(settings, handshakes=0.001, burst=2) as at:
        socket, opened = await at.connected()
        again = await at.connect(opened.station)
        response = await refused(at, opened.station)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        await again.close()
        await socket.close()


@pytest.mark.covers("T-06")
async def test_who_guesses_passwords_must_wait_unless_others_succeed_from_there(settings: Settings) -> None:
    async with stage(settings, failures=2) as at:
        identity = some_identity()
        await at.register(station(identity))
        guesses = [await refused(at, identity, password=b"guess %d" % number) for number in range(3)]
        assert [guess.status_code for guess in guesses] == [401, 401, 429]
        assert int(guesses[-1].headers["Retry-After"]) > 0
        assert (await refused(at, identity)).status_code == 429, "not even the right one is looked at"
        at.gateway.door.failures.success("127.0.0.1")
        socket = await at.connect(identity)
        assert (await refused(at, identity, password=b"guess 4")).status_code == 429
        assert (await refused(at, "nope")).status_code == 429
        await socket.close()


# ---- frames ----


@pytest.mark.covers("TC_001")
async def test_a_station_boots_and_is_told_the_time(at: Stage) -> None:
    socket, opened = await at.connected(boot_status="Pending", heartbeat_s=60)
    kind, id, said = await exchange(socket, BOOT)
    assert (kind, id, said["status"], said["interval"]) == (3, "1", "Pending", 60)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["currentTime"])
    assert abs(datetime.fromisoformat(said["currentTime"]) - datetime.now(UTC)) < timedelta(seconds=30)  # noqa: TID251
    booted = await at.said(StationBooted, opened.station)
    assert (booted.epoch, booted.vendor, booted.frame.text) == (opened.epoch, "V", BOOT)
    assert (booted.gateway, booted.reply_to) == (at.gateway.id, at.gateway.reply_to)
    await socket.close()


@pytest.mark.covers("M-02")
async def test_of_many_heartbeats_one_is_written_down(at: Stage) -> None:
    socket, opened = await at.connected()
    for number in range(5):
        assert (await exchange(socket, f'[2,{number},"Heartbeat",{{}}]'))[:2] == [3, number]
    await exchange(socket, BOOT)
    await at.said(StationBooted, opened.station)
    assert at.count(HeartbeatReceived, opened.station) == 1
    await socket.close()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b'[2,"9","Heart', [4, "9", "FormationViolation"]),
        (b'[2,"x"]', [4, "x", "FormationViolation"]),
        (b'[2,"x","Levitate",{}]', [4, "x", "NotImplemented"]),
        (b'[2,"x","../../v201/schemas/x",{}]', [4, "x", "NotImplemented"]),
        (b'[2,"x","Reset",{}]', [4, "x", "NotSupported"]),
        (b'[2,"x","Authorize",{}]', [4, "x", "ProtocolError"]),
        (b'[2,"x","Authorize",' + b"[" * 5000, [4, "x", "FormationViolation"]),
    ],
)
@pytest.mark.covers("C-030", "C-033", "C-034")
async def test_what_cannot_be_understood_is_refused_and_kept(at: Stage, frame: bytes, said: list[Any]) -> None:
    socket, opened = await at.connected()
    error = await exchange(socket, frame)
    assert error[:3] == said
    assert len(error) == 5
    kept = await at.said(CallRefused, opened.station)
    assert (kept.code, kept.frame.text) == (said[2], frame.decode())
    assert (await exchange(socket, HEARTBEAT))[1] == "h", "the socket stays open"
    await socket.close()


@pytest.mark.parametrize(
    "frame",
    [b"[]", b"{}", b'"x"', b"[2]", b'[1,"x","Heartbeat",{}]', b'[9,"x"]', b'[3,"nobody asked",{}]', b"\xff\xfe"],
)
@pytest.mark.covers("C-031", "C-032")
async def test_what_is_no_message_is_kept_and_not_answered(at: Stage, frame: bytes) -> None:
    socket, opened = await at.connected()
    await socket.send(frame, text=True)
    assert (await exchange(socket, HEARTBEAT))[1] == "h", "the next answer is the next call's"
    kept = (await at.said(FrameUnread, opened.station)).frame
    assert (kept.base64 or kept.text.encode()) == frame
    await socket.close()


@pytest.mark.covers("C-034")
async def test_a_frame_too_large_closes_one_socket(at: Stage) -> None:
    socket, _ = await at.connected()
    other, _ = await at.connected()
    await socket.send('[2,"x","DataTransfer",{"vendorId":"v","data":"' + "x" * (2 << 20) + '"}]')
    assert (await closed(socket))[0] == 1009
    assert (await exchange(other, HEARTBEAT))[1] == "h"
    await other.close()


async def test_a_stop_as_large_as_a_frame_may_be_is_kept_and_answered(at: Stage) -> None:
    socket, opened = await at.connected()
    values = [{"timestamp": "2026-01-01T12:00:00Z", "sampledValue": [{"value": "1"}]}] * 14_000
    stop = {"transactionId": 7, "timestamp": "2026-01-01T12:00:00Z", "meterStop": 1, "transactionData": values}
    frame = json.dumps([2, "x", "StopTransaction", stop], separators=(",", ":"))
    assert 900_000 < len(frame) < 1 << 20
    assert (await exchange(socket, frame))[2] == {}
    assert (await at.said(TransactionEnded, opened.station)).frame.text == frame
    await socket.close()


@pytest.mark.covers("C-034")
async def test_a_report_too_large_for_the_log_closes_one_socket(at: Stage) -> None:
    socket, _ = await at.connected()
    other, _ = await at.connected()
    controls = "\x01" * ((1 << 20) - 200)  # each takes six bytes in the log
    await socket.send(f'[2,"x","DataTransfer",{{"vendorId":"v","data":"{controls}"}}]')
    assert (await closed(socket))[0] == 1009
    assert (await exchange(other, BOOT))[2]["status"] == "Accepted"
    await other.close()


@pytest.mark.parametrize(
    "frame",
    [
        b'\xef\xbb\xbf[2,"h","Heartbeat",{}]\x00',
        b'[2,"h","Heartbeat",null]',
        b'["2","h","Heartbeat",{}]',
        [b'[2,"h","Hea', b'rtbeat",{}]'],
        ['[2,"h","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","info":"\u00e9"}]'],
        b'[2,"h","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","info":"\xe9"}]',
        b'[2,"h","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","info":null}]',
    ],
)
@pytest.mark.covers("C-032", "C-035", "C-036", "C-037", "C-039")
async def test_odd_frames_are_answered(at: Stage, frame: Any) -> None:
    socket, _ = await at.connected()
    await socket.send(b"", text=True)
    await socket.send(frame)  # bytes go out as a binary message
    assert (await answer(socket))[:2] == [3, "h"]
    await socket.close()


@pytest.mark.parametrize("id", ["17", '"' + "i" * 200 + '"', '""', '"\\u0041"'])
@pytest.mark.covers("T-41", "C-038")
async def test_an_id_is_echoed_as_it_was_written(at: Stage, id: str) -> None:
    socket, _ = await at.connected()
    await socket.send(f'[2,{id},"Heartbeat",{{}}]')
    said = await socket.recv()
    assert isinstance(said, str)
    assert said.startswith(f"[3,{id},")
    await socket.close()


@pytest.mark.covers("T-43", "C-040")
async def test_calls_that_come_at_once_are_answered_in_their_order(at: Stage) -> None:
    socket, opened = await at.connected()
    calls = [
        '"Heartbeat",{}',
        '"StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}',
        '"Authorize",{"idTag":"A"}',
        '"Heartbeat",{}',
        '"Levitate",{}',
        '"MeterValues",{"connectorId":1,"meterValue":[]}',
    ] * 20
    for number, called in enumerate(calls):
        await socket.send(f"[2,{number},{called}]")
    for number in range(1, 21):
        asked = await at.said(TokenPresented, opened.station, number)
        await at.tell(AuthorizeAnswered(**at.reply(asked, info=TokenInfo("Accepted"))))
    answers = [await answer(socket) for _ in calls]
    assert [said[1] for said in answers] == list(range(len(calls)))
    assert [said[0] for said in answers[:6]] == [3, 3, 3, 3, 4, 3]
    await socket.close()


async def test_connectors_are_found_in_the_registry(at: Stage) -> None:
    socket, opened = await at.connected(evses=(Evse(7, connectors=(Connector(1), Connector(2))),))
    status = '[2,"s","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available"}]'
    await exchange(socket, status)
    first = await at.said(ConnectorStatusReported, opened.station)
    assert (first.evse, first.connector) == (7, 2)
    await at.register(station(opened.station, password_hash=at_hash(at, opened.station), version=2))
    await exchange(socket, status)
    second = await at.said(ConnectorStatusReported, opened.station, 2)
    assert (second.evse, second.connector) == (2, 1)
    await socket.close()


def at_hash(at: Stage, identity: StationId) -> Any:
    record = at.gateway._registry.get(identity)
    assert record is not None
    return getattr(record, "password_hash")  # noqa: B009


# ---- decisions ----


@pytest.mark.covers("TC_003", "TC_023")
async def test_an_authorize_waits_for_its_decision(at: Stage) -> None:
    socket, opened = await at.connected()
    await socket.send('[2,"7","Authorize",{"idTag":"04A1B2C3"}]')
    asked = await at.said(TokenPresented, opened.station)
    await at.tell(AuthorizeAnswered(**at.reply(asked, info=TokenInfo("Blocked"))))
    assert await answer(socket) == [3, "7", {"idTagInfo": {"status": "Blocked"}}]
    await socket.close()


@pytest.mark.covers("T-42", "C-050")
async def test_a_start_waits_and_a_repetition_gets_the_same_answer(at: Stage) -> None:
    socket, opened = await at.connected()
    await socket.send(start_call("5"))
    await socket.send(start_call("5"))
    started = await at.said(TransactionStarted, opened.station)
    await at.tell(StartAnswered(**at.reply(started, transaction=TransactionId("41"), info=TokenInfo("Invalid"))))
    said = [3, "5", {"transactionId": 41, "idTagInfo": {"status": "Invalid"}}]
    assert await answer(socket) == said
    assert await exchange(socket, start_call("5")) == said
    await exchange(socket, BOOT)
    await at.said(StationBooted, opened.station)
    assert at.count(TransactionStarted, opened.station) == 1, "and it is not reported again"
    await socket.close()


@pytest.mark.covers("M-05")
async def test_a_stop_with_a_token_waits_and_one_without_does_not(at: Stage) -> None:
    socket, opened = await at.connected()
    assert await exchange(socket, f'[2,"8","StopTransaction",{STOP}]') == [3, "8", {}]
    assert (await at.said(TransactionEnded, opened.station)).meter_wh == 900
    await socket.send(f'[2,"9","StopTransaction",{STOP[:-1]},"idTag":"04A1B2C3"}}]')
    ended = await at.said(TransactionEnded, opened.station, 2)
    await at.tell(StopAnswered(**at.reply(ended, info=TokenInfo("Accepted"))))
    assert await answer(socket) == [3, "9", {"idTagInfo": {"status": "Accepted"}}]
    await socket.close()


async def test_what_nobody_decides_is_answered_all_the_same_and_said(settings: Settings) -> None:
    async with stage(settings, undecided_after=0.1) as at:
        socket, opened = await at.connected(when_undecided="Blocked")
        said = await exchange(socket, start_call("5"))
        started = await at.said(TransactionStarted, opened.station)
        undecided = await at.said(AnsweredUndecided, opened.station)
        transaction = said[2]["transactionId"]
        assert said == [3, "5", {"transactionId": transaction, "idTagInfo": {"status": "Blocked"}}]
        assert transaction >= 1 << 30
        assert (undecided.message_id, undecided.status, undecided.transaction) == ('"5"', "Blocked", str(transaction))
        assert undecided.epoch == started.epoch == opened.epoch
        again = await exchange(socket, start_call("6"))
        assert again[2]["transactionId"] == transaction, "under whatever id it is repeated"
        assert (await exchange(socket, '[2,"7","Authorize",{"idTag":"A"}]'))[2] == {"idTagInfo": {"status": "Blocked"}}
        late = StartAnswered(**at.reply(started, transaction=TransactionId("41"), info=TokenInfo("Accepted")))
        await at.tell(late)
        await at.tell(msgspec.structs.replace(late, message_id='"unheard of"'))
        await at.tell(msgspec.structs.replace(late, epoch=late.epoch + 1))
        assert (await exchange(socket, HEARTBEAT))[1] == "h", "a late decision is dropped"
        await socket.close()


async def test_a_decision_that_cannot_be_told_is_as_none(settings: Settings) -> None:
    async with stage(settings, undecided_after=1) as at:
        socket, opened = await at.connected()
        await socket.send(start_call("5"))
        started = await at.said(TransactionStarted, opened.station)
        await at.tell(StartAnswered(**at.reply(started, transaction=TransactionId("x"), info=TokenInfo("Accepted"))))
        assert (await answer(socket))[2]["transactionId"] >= 1 << 30
        await socket.close()


# ---- our calls ----


def asked(at: Stage, to: ConnectionOpened, what: Asked, command: str = "c", seconds: float = 60) -> CallAsked:
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251
    return CallAsked(**at.reply(to, command=CommandId(command), call=what, expires_at=expires_at))


STOP_7 = StopCharging(TransactionId("7"))


@pytest.mark.covers("M-20", "TC_010")
async def test_a_remote_start_goes_out_and_its_uid_stays_here(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.tell(asked(at, opened, StartCharging(Secrets(SECRET).seal("04A1B2C3"), 2)))
    kind, id, action, payload = await answer(socket)
    assert (kind, action, payload) == (2, "RemoteStartTransaction", {"idTag": "04A1B2C3", "connectorId": 2})
    sent = await at.said(CallSent, opened.station)
    assert (sent.message_id, sent.command) == (f'"{id}"', "c")
    assert sent.frame.text == f'[2,"{id}","RemoteStartTransaction",{{"idTag":"***","connectorId":2}}]'
    await socket.send(f'[3,"{id}",{{"status":"accepted"}}]')
    answered = await at.said(CallAnswered, opened.station)
    assert (answered.command, answered.status, answered.late, rules(answered)) == ("c", "Accepted", False, ["C-045"])
    await socket.close()


@pytest.mark.covers("Q-58", "M-20")
@pytest.mark.parametrize("uid", ["0a1B2c3D", "04A1B2C3D4E5F6", "0123456789ABCDEF0123"])
async def test_the_uid_of_a_remote_start_is_the_registered_one_in_its_own_letters(at: Stage, uid: str) -> None:
    """Some stations take hexadecimal tags of 8, 14 or 20 digits only: who registers one so has it sent so."""
    socket, opened = await at.connected()
    await at.tell(asked(at, opened, StartCharging(Secrets(SECRET).seal(uid), 1)))
    assert (await answer(socket))[3]["idTag"] == uid
    await socket.close()


@pytest.mark.covers("T-43", "C-041", "C-043")
async def test_our_calls_go_out_one_after_the_other(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.tell(asked(at, opened, STOP_7, "first"))
    await at.tell(asked(at, opened, StopCharging(TransactionId("8")), "second"))
    first = await answer(socket)
    assert (await exchange(socket, BOOT))[1] == "1", "its own calls are answered meanwhile"
    await socket.send('[2,"7","Authorize",{"idTag":"A"}]')
    presented = await at.said(TokenPresented, opened.station)
    assert at.count(CallSent, opened.station) == 1
    await socket.send(f'[4,"{first[1]}","GenericError"]')
    second = await answer(socket)
    assert second[3] == {"transactionId": 8}
    failed = await at.said(CallFailed, opened.station)
    assert (failed.command, failed.reason, failed.code) == ("first", "CallError", "GenericError")
    await at.tell(AuthorizeAnswered(**at.reply(presented, info=TokenInfo("Accepted"))))
    assert (await answer(socket))[1] == "7"
    await socket.close()


@pytest.mark.covers("T-44", "C-042")
async def test_an_answer_that_comes_too_late_is_known_as_that(settings: Settings) -> None:
    async with stage(settings, patience=0.2) as at:
        socket, opened = await at.connected()
        await at.tell(asked(at, opened, STOP_7))
        _, id, _, _ = await answer(socket)
        failed = await at.said(CallFailed, opened.station)
        assert (failed.reason, failed.command) == ("TimedOut", "c")
        for _ in range(2):
            await socket.send(f'[3,"{id}",{{"status":"Accepted"}}]')
        answered = await at.said(CallAnswered, opened.station)
        assert (answered.late, answered.status, answered.command) == (True, "Accepted", "c")
        assert rules(await at.said(FrameUnread, opened.station)) == ["T-44"], "and the second time it answers nothing"
        await socket.close()


@pytest.mark.covers("T-46")
async def test_a_lost_connection_fails_its_calls(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.tell(asked(at, opened, STOP_7, "first"))
    await at.tell(asked(at, opened, STOP_7, "second"))
    await answer(socket)
    socket.transport.abort()
    failed = [await at.said(CallFailed, opened.station, number) for number in (1, 2)]
    assert {(each.command, each.reason) for each in failed} == {("first", "Disconnected"), ("second", "NotSent")}
    assert (await at.said(HasClosed, opened.station)).code == 1006


async def test_what_cannot_be_asked_is_not_sent(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.tell(asked(at, opened, STOP_7, "expired", seconds=-1))
    assert (await at.said(CallFailed, opened.station)).reason == "NotSent"
    await at.tell(asked(at, opened, StopCharging(TransactionId("x")), "unspeakable"))
    assert (await at.said(CallFailed, opened.station, 2)).reason == "Invalid"
    await at.tell(msgspec.structs.replace(asked(at, opened, STOP_7, "gone"), epoch=opened.epoch - 1))
    gone = await at.said(CallFailed, opened.station, 3)
    assert (gone.reason, gone.command, gone.epoch) == ("NotSent", "gone", opened.epoch - 1)
    foreign = msgspec.structs.replace(asked(at, opened, STOP_7, "foreign"), gateway="another")
    await at.tell(foreign)
    await at.tell(asked(at, opened, STOP_7, "mine"))
    await answer(socket)
    assert at.count(CallFailed, opened.station) == 3
    await socket.close()


# ---- connections ----


@pytest.mark.covers("T-62", "T-63", "C-020")
async def test_the_newest_socket_of_a_station_wins(at: Stage) -> None:
    first, opened = await at.connected()
    second = await at.connect(opened.station)
    reopened = await at.said(ConnectionOpened, opened.station, 2)
    assert reopened.epoch > opened.epoch
    assert (await closed(first))[0] == 1001
    gone = await at.said(HasClosed, opened.station)
    assert gone.epoch == opened.epoch
    await at.tell(asked(at, reopened, STOP_7))
    assert (await answer(second))[2] == "RemoteStopTransaction"
    assert at.count(HasClosed, opened.station) == 1
    await second.close()


@pytest.mark.covers("T-62", "T-63", "Q-15", "C-022")
async def test_what_an_old_socket_still_says_is_heard(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity))
    old = await Raw.open(at, identity, ["Connection: Upgrade", "Sec-WebSocket-Protocol: ocpp1.6"])
    opened = await at.said(ConnectionOpened, identity)
    new = await at.connect(identity)
    await old.until_close_frame()
    old.send(f'[2,"9","StopTransaction",{STOP}]')
    ended = await at.said(TransactionEnded, identity)
    assert ended.epoch == opened.epoch
    gone = await at.said(HasClosed, identity)
    assert (gone.epoch, gone.code) == (opened.epoch, 1001), "cut off, as it does not close"
    await old.until_cut()
    old.close()
    await new.close()


async def test_operations_may_close_a_superseded_connection(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.tell(CloseAsked(**at.reply(opened, reason="superseded elsewhere")))
    assert (await closed(socket))[0] == 1001


async def test_a_station_whose_password_has_changed_must_come_again(at: Stage) -> None:
    socket, opened = await at.connected()
    await at.register(station(opened.station, password_hash=hashed(b"new"), version=2))
    assert (await closed(socket))[0] == 1008
    assert (await refused(at, opened.station)).status_code == 401
    again = await at.connect(opened.station, password=b"new")
    await at.register(StationForgotten(at=NOON, tenant=ACME, id=opened.station))
    assert (await closed(again))[0] == 1008
    assert (await refused(at, opened.station)).status_code == 404


async def test_a_connections_end_is_said_with_its_code(at: Stage) -> None:
    socket, opened = await at.connected()
    await socket.close(1000, "done")
    gone = await at.said(HasClosed, opened.station)
    assert (gone.code, gone.reason, gone.epoch) == (1000, "done", opened.epoch)


@pytest.mark.covers("C-025")
async def test_a_gateway_that_stops_sends_its_stations_away_and_says_goodbye(settings: Settings) -> None:
    async with stage(settings) as at:
        socket, opened = await at.connected()
        await socket.send(BOOT)
        gateway = at.gateway.id
        draining = asyncio.create_task(at.gateway.drain())
        assert (await closed(socket))[0] == 1012
        response = await refused(at, opened.station)
        assert (response.status_code, "Retry-After" in response.headers) == (503, True)
        await draining
        await at.said(StationBooted, opened.station)
        assert (await at.said(HasClosed, opened.station)).code == 1012
    values = [value for key, value in await whole(settings, ALIVE.name) if key == gateway.encode()]
    alive = ALIVE.decode(values[0] or b"")
    assert isinstance(alive, GatewayAlive)
    assert (alive.gateway, alive.reply_to) == (gateway, at.gateway.reply_to)
    assert values[-1] is None


async def whole(settings: Settings, topic: str) -> list[tuple[bytes, bytes | None]]:
    """Everything in a topic, in the order of each partition."""
    consumer = plain_consumer(settings)
    await consumer.start()
    try:
        places = [TopicPartition(full(settings, topic), p) for p in range(settings.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(record.key, record.value) for record in records]
        return found
    finally:
        await consumer.stop()


@pytest.mark.covers("C-089")
async def test_no_password_and_no_uid_lies_where_it_should_not(at: Stage) -> None:
    socket, opened = await at.connected()
    await socket.send('[2,"7","Authorize",{"idTag":"PLANTED-UID"}]')
    presented = await at.said(TokenPresented, opened.station)
    await at.tell(asked(at, opened, StartCharging(Secrets(SECRET).seal("PLANTED-TOO"))))
    _, id, _, _ = await answer(socket)
    await socket.send(f'[4,"{id}","GenericError","",{{"idTag":"PLANTED-TOO"}}]')
    failed = await at.said(CallFailed, opened.station)
    assert failed.frame is not None
    everything = b"".join(value or b"" for _, value in await whole(at._settings, STATIONS.name))
    assert b"PLANTED-TOO" not in everything
    assert b"open sesame" not in everything
    assert everything.count(b"PLANTED-UID") == presented.frame.text.count("PLANTED-UID") == 1, "in its frame alone"
    await socket.close()


async def raw_station(at: Stage, **fields: Any) -> tuple[Raw, ConnectionOpened]:
    """A connected station that does nothing by itself: it answers no ping and no close."""
    record = station(some_identity(), **fields)
    await at.register(record)
    raw = await Raw.open(at, record.id, ["Connection: Upgrade", "Sec-WebSocket-Protocol: ocpp1.6"])
    return raw, await at.said(ConnectionOpened, record.id)


async def pinged(raw: Raw, times: int) -> None:
    """Wait until the station has been pinged so often."""
    for _ in range(times):
        assert (await raw.frame())[0] == PING


@pytest.mark.covers("T-60", "T-61", "T-62", "C-026")
async def test_a_station_that_answers_no_ping_is_closed_and_cut_off(settings: Settings) -> None:
    async with stage(settings, ping=0.1, pong_within=0.3) as at:
        raw, opened = await raw_station(at)
        assert await raw.until_close_frame() == 1001
        await raw.until_cut()
        gone = await at.said(HasClosed, opened.station)
        assert (gone.code, gone.reason) == (1001, "")
        raw.close()


@pytest.mark.covers("T-60", "T-61", "Q-11", "C-026")
async def test_a_station_that_never_answers_pings_may_stay(settings: Settings) -> None:
    async with stage(settings, ping=0.1, pong_within=0.1) as at:
        raw, _ = await raw_station(at, habits=Habits(answers_pings=False))
        await pinged(raw, 5)
        raw.send(HEARTBEAT)
        assert (await raw.answer())[1] == "h"
        raw.close()


@pytest.mark.covers("T-60", "T-61", "Q-12", "C-027")
async def test_whatever_a_station_says_is_a_sign_of_life(settings: Settings) -> None:
    async with stage(settings, ping=0.1, pong_within=0.3) as at:
        raw, _ = await raw_station(at)
        for number in range(8):
            await pinged(raw, 1)
            raw.send(f'[2,"{number}","MeterValues",{{"connectorId":1,"meterValue":[]}}]')
            assert (await raw.answer())[:2] == [3, str(number)]
        raw.close()


@pytest.mark.covers("T-60", "Q-11")
async def test_a_station_may_want_no_pings(settings: Settings) -> None:
    async with stage(settings, ping=0.05, pong_within=0.1) as at:
        (shy, _), (other, _) = await raw_station(at, habits=Habits(ping_s=0)), await raw_station(at)
        await other.until_cut()
        shy.send(HEARTBEAT)
        first, payload = await shy.frame()
        assert (first, b'"h"' in payload) == (0x81, True), "its answer is the first thing that comes"
        shy.close()
        other.close()


@pytest.mark.covers("T-67")
async def test_a_station_pings_and_is_answered(at: Stage) -> None:
    socket, _ = await at.connected()
    async with asyncio.timeout(PATIENCE):
        await (await socket.ping())
    await socket.close()


@pytest.mark.covers("T-54")
async def test_a_flood_is_read_slowly_and_nothing_of_it_is_dropped(settings: Settings) -> None:
    async with stage(settings, frames_per_s=20, frames_at_once=3) as at:
        raw, _ = await raw_station(at)
        before = METRICS.get_sample_value("voltstream_gateway_throttled_total") or 0
        filler = "x" * 60_000
        for number in range(6):
            raw.send(f'[2,"{number}","Heartbeat",{{}}]')
        for _ in range(300):
            raw.send(f'[2,"f","DataTransfer",{{"vendorId":"v","data":"{filler}"}}]')
        assert [(await raw.answer())[1] for _ in range(6)] == [str(number) for number in range(6)]
        assert (METRICS.get_sample_value("voltstream_gateway_throttled_total") or 0) > before
        assert raw.unsent > 0, "the station's own buffers hold the rest"
        other, _ = await at.connected()
        assert (await exchange(other, BOOT))[2]["status"] == "Accepted", "and others are not kept waiting"
        await other.close()
        raw.close()


@pytest.mark.covers("Q-18")
@pytest.mark.parametrize(
    ("close", "code"),
    [(b"", 1005), ((1000).to_bytes(2) + b"bye", 1000), ((3999).to_bytes(2), 3999), ((999).to_bytes(2), 1002)],
)
async def test_however_a_station_closes_it_is_told_apart(at: Stage, close: bytes, code: int) -> None:
    raw, opened = await raw_station(at)
    raw.send_bytes(close, CLOSE)
    await raw.until_close_frame()
    raw.close()
    assert (await at.said(HasClosed, opened.station)).code == code


@pytest.mark.covers("T-66", "Q-13")
async def test_a_station_that_never_returns_after_a_close_is_cut_off_instead(settings: Settings) -> None:
    async with stage(settings) as at:
        socket, opened = await at.connected(habits=Habits(drain="abort"))
        await exchange(socket, BOOT)
        await at.gateway.drain()
        assert (await closed(socket))[0] == 1006, "no close frame came"
        assert (await at.said(HasClosed, opened.station)).code == 1012, "but we know why"


@pytest.mark.covers("T-66", "Q-17", "C-025")
async def test_a_thousand_stations_are_sent_away_and_nothing_acknowledged_is_lost(settings: Settings) -> None:
    async with stage(settings, drain=2, append_within=60) as at:  # where Kafka is slow for a moment, nobody is refused
        record = station("C-025", security_profile=0)
        for number in range(1000):
            await at._log.append(
                REGISTRY, msgspec.structs.replace(record, id=StationId(f"C-025-{number}")), id=str(number), source="/t"
            )
        await at.until(lambda: at.gateway._registry.get("C-025-999") is not None)
        sockets = [await at.connect(f"C-025-{number}", password=None) for number in range(1000)]
        acknowledged: list[str] = []
        codes = await asyncio.gather(
            *(talk(socket, f"C-025-{number}", acknowledged) for number, socket in enumerate(sockets)),
            drained_when(at, acknowledged, 3000),
        )
        assert set(codes[:-1]) == {1012}
        await at.until(lambda: len(at.all(HasClosed)) >= 1000)
        kept = {(report.station, report.message_id) for report in at.all(ConnectorStatusReported)}
        assert {tuple(each.split("/")) for each in acknowledged} <= kept


async def talk(socket: Any, identity: str, acknowledged: list[str]) -> int | None:
    """Say one thing after the other until the socket is closed; note what was acknowledged."""
    number = 0
    with suppress(ConnectionClosed):
        while True:
            number += 1
            await socket.send(STATUS % number)
            await socket.recv()
            acknowledged.append(f'{identity}/"{number}"')
    return int(socket.close_code)


async def drained_when(at: Stage, acknowledged: list[str], number: int) -> None:
    """Drain the gateway when so many things have been acknowledged."""
    await at.until(lambda: len(acknowledged) >= number)
    await at.gateway.drain()


@pytest.mark.covers("T-64", "C-023")
async def test_two_devices_under_one_identity_are_noticed_and_slowed_but_never_banned(settings: Settings) -> None:
    async with stage(settings, flap_delay=0.1) as at:
        socket, opened = await at.connected()
        for number in range(2, 13):
            socket = await at.connect(opened.station)
            await at.said(ConnectionOpened, opened.station, number)
        suspected = await at.said(IdentityConflictSuspected, opened.station)
        assert (suspected.replacements, suspected.within_s) == (11, 60)
        socket = await at.connect(opened.station)
        assert rules(await at.said(ConnectionOpened, opened.station, 13)) == ["T-64"]
        assert (await exchange(socket, BOOT))[2]["status"] == "Accepted"
        assert at.count(IdentityConflictSuspected, opened.station) == 1
        await socket.close()


@pytest.mark.covers("Q-14")
async def test_a_station_that_leaves_again_and_again_after_the_same_answer_is_noticed(at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity))
    for number in range(1, 6):
        socket = await at.connect(identity)
        await exchange(socket, BOOT)
        socket.transport.abort()
        await at.said(HasClosed, identity, number)
    suspected = await at.said(ReconnectLoopSuspected, identity)
    assert (suspected.after, suspected.times) == ("the answer to BootNotification", 5)


@pytest.mark.parametrize(
    ("heard", "said", "name"),
    [
        (b'[2,"1","BootNotification",{', b'[3,"1",{', "the answer to BootNotification"),
        (b'[2,17,"Authorize",{', b'[4,17,"ProtocolError"', "the error to Authorize"),
        (b'[2,"2","Heartbeat",{}]', b'[3,"1",{', "the answer to an earlier call"),
        (b'[2,"2","Heartbeat",{}]', b'[2,"u-1","Reset",{', "the call Reset"),
        (b"", b"", ""),
    ],
)
async def test_what_was_said_last_has_a_name(heard: bytes, said: bytes, name: str) -> None:
    assert named_of(heard, said) == name


@pytest.mark.covers("T-22", "T-20", "T-09")
@pytest.mark.parametrize(
    ("fields", "how", "why"),
    [
        ({}, {"password": b"wrong"}, "unauthorized"),
        ({"security_profile": 2}, {}, "wrong_profile"),
        ({}, {"subprotocols": ["ocpp0.1"]}, "no_subprotocol"),
    ],
)
async def test_what_a_known_station_fails_at_is_told_now_and_then(
    at: Stage, fields: dict[str, Any], how: dict[str, Any], why: str
) -> None:
    identity = some_identity()
    await at.register(station(identity, **fields))
    for _ in range(2):
        with suppress(InvalidStatus):
            await closed(await at.connect(identity, **how))
    told = await at.said(HandshakeRefused, identity)
    assert (told.why, told.remote_address) == (why, "127.0.0.1")
    other, _ = await at.connected()
    await exchange(other, BOOT)
    assert at.count(HandshakeRefused, identity) == 1
    await other.close()


@pytest.mark.covers("T-68", "C-047", "Q-46")
async def test_what_comes_before_an_accepted_boot_is_heard_with_a_violation(at: Stage) -> None:
    socket, opened = await at.connected(boot_status="Pending")
    assert (await exchange(socket, STATUS % 1))[:2] == [3, "1"]
    assert "T-68" in rules(await at.said(ConnectorStatusReported, opened.station))
    await socket.close()


@pytest.mark.covers("T-65", "T-68", "C-047")
async def test_what_comes_before_an_accepted_boot_is_refused_if_the_directory_says_so(at: Stage) -> None:
    strict = Habits(before_boot="refused")
    socket, opened = await at.connected(habits=strict)
    for frame in (start_call("s"), HEARTBEAT, STATUS % 1):
        assert (await exchange(socket, frame))[2] == "SecurityError"
    assert (await exchange(socket, BOOT))[2]["status"] == "Accepted"
    assert (await exchange(socket, STATUS % 2))[:2] == [3, "2"]
    await socket.close()
    again = await at.connect(opened.station)
    assert (await exchange(again, STATUS % 3))[:2] == [3, "3"], "who only reconnects needs not boot again"
    await again.close()
    waiting, _ = await at.connected(habits=strict, boot_status="Pending")
    assert (await exchange(waiting, BOOT))[2]["status"] == "Pending"
    assert (await exchange(waiting, HEARTBEAT))[2] == "SecurityError"
    await waiting.close()


@pytest.mark.covers("T-69", "Q-19")
async def test_a_shy_station_is_asked_nothing_at_first(at: Stage) -> None:
    socket, opened = await at.connected(habits=Habits(quiet_s=1))
    await at.tell(asked(at, opened, STOP_7))
    await at.tell(AuthorizeAnswered(**at.reply(opened, message_id='"x"', info=TokenInfo("Accepted"))))
    assert (await exchange(socket, BOOT))[0] == 3, "its boot is answered first"
    assert at.count(CallSent, opened.station) == 0
    assert (await answer(socket))[2] == "RemoteStopTransaction"
    await socket.close()


@pytest.mark.covers("T-43", "T-44")
async def test_how_long_a_station_may_take_to_answer_is_a_matter_of_its_habits(settings: Settings) -> None:
    async with stage(settings, patience=0.2) as at:
        slow, opened = await at.connected(habits=Habits(patience_s=60))
        quick, other = await at.connected()
        await at.tell(asked(at, opened, STOP_7))
        await at.tell(asked(at, other, STOP_7))
        assert (await at.said(CallFailed, other.station)).reason == "TimedOut"
        _, id, _, _ = await answer(slow)
        await slow.send(f'[3,"{id}",{{"status":"Accepted"}}]')
        assert not (await at.said(CallAnswered, opened.station)).late
        await slow.close()
        await quick.close()


# ---- the process ----


async def process(settings: Settings, *arguments: str, port: int = 0) -> asyncio.subprocess.Process:
    said = {
        "KAFKA": settings.kafka,
        "TOPIC_PREFIX": settings.topic_prefix,
        "PARTITIONS": "2",
        "SECRET": SECRET,
        "OCPP_PORT": str(port),
        "LOG": "json",
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.gateway", *arguments),
        env={f"VOLTSTREAM_{name}": value for name, value in said.items()} | {"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_a_process_serves_until_it_is_told_to_stop(settings: Settings, at: Stage) -> None:
    identity = some_identity()
    await at.register(station(identity))
    running = await process(settings)
    assert running.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not lines or lines[-1]["event"] != "ready":
            lines.append(msgspec.json.decode(await running.stdout.readline()))
    port = next(line["port"] for line in lines if "port" in line)
    there = Stage(settings, at.gateway, port, at._log)
    socket = await there.connect(identity)
    opened = await at.said(ConnectionOpened, identity)
    assert opened.gateway != at.gateway.id
    running.send_signal(signal.SIGTERM)
    assert (await closed(socket))[0] == 1012
    said, _ = await running.communicate()
    assert running.returncode == 0, said
    assert (await at.said(HasClosed, identity)).code == 1012


async def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket_module.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        running = await process(settings, port=other.getsockname()[1])
        said, _ = await running.communicate()
    assert running.returncode == 1
    assert b"VOLTSTREAM_OCPP_PORT" in said
    assert b"Traceback" not in said


# ---- a whole charge, by an independent implementation ----


class Post(ChargePoint):  # type: ignore[misc]  # the package has no types
    """A charging station that validates every frame we send."""

    @on(Action.remote_start_transaction)  # type: ignore[untyped-decorator]
    def started(self, **_: Any) -> Any:
        return call_result.RemoteStartTransaction(RemoteStartStopStatus.accepted)


@pytest.mark.covers("TC_003", "TC_010")
async def test_an_independent_station_charges(at: Stage) -> None:
    socket, opened = await at.connected()
    post = Post(opened.station, socket, response_timeout=PATIENCE)
    listening = asyncio.create_task(post.start())
    booted = await post.call(call.BootNotification("M", "V"), suppress=False)
    assert booted.status == RegistrationStatus.accepted
    await post.call(call.StatusNotification(1, "NoError", "Preparing"), suppress=False)
    await post.call(call.Heartbeat(), suppress=False)
    await at.tell(asked(at, opened, StartCharging(Secrets(SECRET).seal("04A1B2C3"), 1)))
    assert (await at.said(CallAnswered, opened.station)).status == "Accepted"
    authorizing = asyncio.create_task(post.call(call.Authorize("04A1B2C3"), suppress=False))
    presented = await at.said(TokenPresented, opened.station)
    await at.tell(AuthorizeAnswered(**at.reply(presented, info=TokenInfo("Accepted", NOON, "group"))))
    assert (await authorizing).id_tag_info["status"] == AuthorizationStatus.accepted
    starting = asyncio.create_task(
        post.call(call.StartTransaction(1, "04A1B2C3", 500, "2026-01-01T12:00:00Z"), suppress=False)
    )
    started = await at.said(TransactionStarted, opened.station)
    await at.tell(StartAnswered(**at.reply(started, transaction=TransactionId("41"), info=TokenInfo("Accepted"))))
    assert (await starting).transaction_id == 41
    sampled = [{"timestamp": "2026-01-01T12:15:00Z", "sampledValue": [{"value": "700", "unit": "Wh"}]}]
    await post.call(call.MeterValues(1, sampled, 41), suppress=False)
    assert (await at.said(MetersRead, opened.station)).transaction == "41"
    await post.call(call.StopTransaction(900, "2026-01-01T12:30:00Z", 41), suppress=False)
    assert (await at.said(TransactionEnded, opened.station)).meter_wh == 900
    listening.cancel()
    await asyncio.wait([listening])
    await socket.close()


@pytest.mark.covers("T-42")
async def test_a_decision_on_another_call_under_the_same_id_is_not_taken_for_this_ones(settings: Settings) -> None:
    async with stage(settings, undecided_after=0.3) as at:
        socket, opened = await at.connected()
        await exchange(socket, '[2,"1","Authorize",{"idTag":"AAAA"}]')
        first = await at.said(TokenPresented, opened.station)
        at.gateway.undecided_after = 60
        await socket.send('[2,"1","Authorize",{"idTag":"BBBB"}]')
        second = await at.said(TokenPresented, opened.station, 2)
        reports = at.ids(TokenPresented, opened.station)
        for report, id, info in zip(
            (first, second), reports, (TokenInfo("Accepted"), TokenInfo("Blocked")), strict=True
        ):
            await at.tell(AuthorizeAnswered(**at.reply(report, report=id, info=info)))
        assert (await answer(socket))[2]["idTagInfo"]["status"] == "Blocked"
        await socket.close()


async def test_whoever_sets_a_station_up_can_read_why_it_is_refused_but_no_password(settings: Settings) -> None:
    async with stage(settings) as at:
        record = station("refused CP")
        await at.register(record)
        with capture_logs() as logged:
            await refused(at, record.id, path="/ocpp/refused%20CP", password=b"not the password")
            await refused(at, "nope")
    said = [(line["why"], line["station"], line["status"]) for line in logged if line["event"] == "refused"]
    assert said == [("unauthorized", "'refused CP'", 401), ("unknown_station", "'nope'", 404)]
    assert "not the password" not in str(logged)
