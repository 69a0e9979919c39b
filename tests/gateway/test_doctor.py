"""The doctor at a real gateway, and at servers that are none."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.kafka import create_topics
from chassis.settings import Settings
from services.gateway.doctor import Finding, Patient, examine
from tests.gateway.stage import Stage, settings_for, some_identity, stage, station

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = Path(__file__).parents[2] / "docs" / "connecting-stations.md"
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    made = settings_for(kafka)
    with asyncio.Runner() as runner:
        runner.run(create_topics(made))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(settings: Settings) -> AsyncIterator[Stage]:
    async with stage(settings) as shown:
        yield shown


async def findings(port: int, identity: str, password: bytes | None = b"open sesame", **how: object) -> list[Finding]:
    url = f"ws://127.0.0.1:{port}/ocpp/{identity}"
    return [found async for found in examine(Patient(url, password, **how))]  # type: ignore[arg-type]


async def failure(port: int, identity: str, password: bytes | None = b"open sesame", **how: object) -> tuple[str, str]:
    """The check that failed, and what was found; all before it is in order."""
    *others, last = await findings(port, identity, password, **how)
    assert all(found.is_ok for found in others)
    assert not last.is_ok
    return last.check, last.found


def blocks() -> list[str]:
    return re.findall(r"```text\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that says one thing, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def run(url: str, *more: str, password: str = "open sesame") -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.gateway", "doctor", url, *more),
        env={"PATH": os.environ["PATH"], "OCPP_PASSWORD": password},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_what_it_prints_is_what_the_document_shows(at: Stage) -> None:
    await at.register(station("CP-1"))
    good, bad = blocks()
    url = f"ws://127.0.0.1:{at.port}/ocpp/CP-1"
    for shown, code, password in ((good, 0, "open sesame"), (bad, 1, "wrong")):
        returned, said = await run(url, password=password)
        said = re.sub(rf"\b{at.port}\b", "9000", re.sub(r"in \d+ ms", "in 1 ms", said))
        assert (returned, said) == (code, shown)


async def test_a_password_that_is_no_hex_text_is_no_diagnosis() -> None:
    assert await run("ws://127.0.0.1:1/ocpp/CP-1", "--hex", password="xyz") == (
        2,
        "--hex: the password is no hex text\n",
    )


@pytest.mark.parametrize(
    ("record", "how", "found"),
    [
        ({}, {"subprotocols": ("ocpp2.0.1",)}, ("subprotocol", "the server chose none of ocpp2.0.1")),
        ({"security_profile": 2}, {}, ("security profile", "HTTP 403")),
        ({}, {"password": None}, ("password", "HTTP 401")),
        ({}, {"user": "another"}, ("password", "HTTP 401")),
        ({"boot_status": "Pending"}, {}, ("BootNotification", "Pending")),
    ],
)
async def test_the_check_that_a_station_fails_at_is_named(
    at: Stage, record: dict[str, object], how: dict[str, object], found: tuple[str, str]
) -> None:
    identity = some_identity()
    await at.register(station(identity, **record))
    assert await failure(at.port, identity, **how) == found  # type: ignore[arg-type]


async def test_an_unknown_station_is_to_be_registered(at: Stage) -> None:
    assert await failure(at.port, "nope") == ("identity", "HTTP 404")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ("handshake", "HTTP 200")),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", ("server behind", "HTTP 502")),
        (b"SSH-2.0-x\r\n", ("HTTP", "the connection was cut without an answer of HTTP")),
        (b"", ("HTTP", "the connection was cut without an answer of HTTP")),
        (ACCEPT + b"\r\n", ("handshake", "missing Sec-WebSocket-Accept header")),
    ],
)
async def test_what_is_no_csms_is_told_from_one(answer: bytes, found: tuple[str, str]) -> None:
    async with answering(answer) as port:
        assert await failure(port, "CP-1") == found


@pytest.mark.parametrize(
    ("url", "check"),
    [("http://x/CP-1", "URL"), ("ws://127.0.0.1/", "URL"), ("ws://nowhere.invalid/ocpp/CP-1", "name")],
)
async def test_what_leads_nowhere_is_named(url: str, check: str) -> None:
    *_, last = [found async for found in examine(Patient(url))]
    assert (last.check, last.is_ok) == (check, False)


async def test_a_closed_port_is_named() -> None:
    async with answering(b"") as port:
        pass
    assert await failure(port, "CP-1") == ("port", f"{port}: Connection refused")


async def test_tls_where_there_is_none_is_named() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        *_, last = [found async for found in examine(Patient(f"wss://127.0.0.1:{port}/ocpp/CP-1"))]
    assert (last.check, last.is_ok) == ("TLS", False)
