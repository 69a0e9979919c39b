"""Behaves like a charging station towards any OCPP-J server, check by check, and says what to change where one fails."""

import argparse
import asyncio
import base64
import contextlib
import getpass
import os
import socket
import ssl
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from chassis import clock

PASSWORD = "OCPP_PASSWORD"  # noqa: S105 - the name of an environment variable
CLOSE_ENOUGH_S = 10
"""So many seconds between two clocks harm nobody."""


class Patient(Struct, frozen=True):
    """Whom to be, and where to connect."""

    url: str
    password: bytes | None = None
    user: str | None = None
    subprotocols: tuple[str, ...] = ("ocpp1.6",)
    vendor: str = "Doctor"
    model: str = "Doctor"
    ca: str | None = None
    patience: float = 10
    """Seconds that each step may take."""

    @property
    def identity(self) -> str:
        """The last part of the path, decoded."""
        return unquote(urlsplit(self.url).path.rstrip("/").rpartition("/")[2])


class Finding(Struct, frozen=True):
    """What a check found. `change` says what to do, where it failed."""

    check: str
    found: str
    change: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nothing has to be changed."""
        return not self.change

    def __str__(self) -> str:
        first = f"{'ok' if self.is_ok else 'failed':<8}{self.check:<18}{self.found}"
        return first if self.is_ok else f"{first}\n        -> {self.change}"


REFUSALS: dict[int, tuple[str, str]] = {
    400: (
        "handshake",
        "something on the way spoils the handshake: let the proxy pass Upgrade, Connection and Sec-WebSocket-*",
    ),
    401: (
        "password",
        "set the password anew on both sides; the user is the identity. An unknown identity may be answered so, too",
    ),
    403: (
        "security profile",
        "connect as the station's security profile wants it: with TLS (wss://) from profile 2 on",
    ),
    404: ("identity", "register the station, or correct the last part of the URL: capital letters count"),
    426: ("handshake", "let the proxy pass the headers Upgrade and Connection: HTTP arrived without them"),
    429: (
        "patience",
        "too many attempts have failed from this address: wait for half a minute, then correct what failed first",
    ),
    502: ("server behind", "the proxy reaches no gateway: look whether one runs, and where the proxy looks for it"),
    503: ("server", "the server takes nobody at the moment: try again in half a minute; if it lasts, look at its log"),
    504: ("server behind", "the proxy gets no answer of the gateway: look whether one runs"),
}
"""By the status of an answer: the check that failed, and what to change."""
PASSED_BEFORE = {403: ("identity", "known")}
"""What a refusal shows to be in order."""


async def examine(patient: Patient) -> AsyncGenerator[Finding, None]:
    """Yield what each check found; the last one is the first that failed, if any did."""
    parts = urlsplit(patient.url)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or not patient.identity:
        yield Finding("URL", patient.url, "write it as ws://HOST:PORT/PATH/IDENTITY, or with wss")
        return
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    async for finding in _reached(patient, parts.hostname, port):
        yield finding
        if not finding.is_ok:
            return
    try:
        async with asyncio.timeout(patient.patience):
            station = await _connected(patient)
    except (InvalidHandshake, OSError, EOFError, TimeoutError, ConnectionClosed) as error:
        for finding in _refused(error):
            yield finding
        return
    async with contextlib.aclosing(_talked(patient, station)) as talked:
        async for finding in talked:
            yield finding
    with contextlib.suppress(ConnectionClosed):
        await station.close()


async def _reached(patient: Patient, host: str, port: int) -> AsyncGenerator[Finding, None]:
    try:
        async with asyncio.timeout(patient.patience):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        yield Finding("name", f"{host}: {_why(error)}", "correct the host, or the name server that the station uses")
        return
    yield Finding("name", f"{host} is {found[0][4][0]}")
    try:
        async with asyncio.timeout(patient.patience):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        yield Finding(
            "port", f"{port}: {_why(error)}", "correct the port, start the server, or open the firewall on the way"
        )
        return
    writer.close()
    yield Finding("port", f"{port} is open")


async def _connected(patient: Patient) -> ClientConnection:
    headers = {}
    if patient.password is not None:
        user = (patient.user or patient.identity).encode()
        headers["Authorization"] = "Basic " + base64.b64encode(user + b":" + patient.password).decode()
    secure = ssl.create_default_context(cafile=patient.ca) if patient.url.startswith("wss:") else None
    return await connect(
        patient.url,
        subprotocols=[Subprotocol(name) for name in patient.subprotocols],
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        close_timeout=2,
        proxy=None,
        ssl=secure,
    )


def _refused(error: BaseException) -> list[Finding]:
    if isinstance(error, ssl.SSLCertVerificationError):
        trust = "give the server a certificate for this name, or name the authority of yours with --ca"
        return [Finding("TLS", error.verify_message, trust)]
    if isinstance(error, ssl.SSLError):
        return [
            Finding(
                "TLS", _why(error), "the port speaks no TLS, or too old a version: use ws://, or correct the server"
            )
        ]
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        check, change = REFUSALS.get(
            status, ("handshake", "this is no OCPP server's answer: correct host, port and path, or the proxy's rules")
        )
        passed = [Finding(*PASSED_BEFORE[status])] if status in PASSED_BEFORE else []
        return [Finding("HTTP", "the server answers"), *passed, Finding(check, f"HTTP {status}", change)]
    if isinstance(error, InvalidMessage | EOFError | ConnectionError):
        other = "something else listens there, or it wants TLS: try wss://, or correct the port"
        return [Finding("HTTP", "the connection was cut without an answer of HTTP", other)]
    if isinstance(error, TimeoutError):
        return [
            Finding(
                "HTTP",
                "no answer",
                "the port is open, but nobody answers: look at the server and the proxies before it",
            )
        ]
    return [
        Finding("handshake", _why(error), "something on the way spoils the handshake: look at proxies and firewalls")
    ]


async def _talked(patient: Patient, station: ClientConnection) -> AsyncGenerator[Finding, None]:
    yield Finding("HTTP", "the server answers")
    yield Finding("identity", f"{patient.identity} is known")
    yield Finding("password", "accepted" if patient.password is not None else "none was wanted")
    offered = " or ".join(patient.subprotocols)
    if station.subprotocol is None:
        unpinned = f"let the server speak {offered}, or have the station offer what the server speaks"
        yield Finding("subprotocol", f"the server chose none of {offered}", unpinned)
        return
    yield Finding("subprotocol", station.subprotocol)
    steps = (_pinged, _booted, _beaten)
    for step in steps:
        try:
            async with asyncio.timeout(patient.patience):
                found = await step(patient, station)
        except TimeoutError:
            silent = "the server accepted the connection, but does not answer: look at its log"
            yield Finding(step.__name__.strip("_"), f"no answer within {patient.patience:g} s", silent)
            return
        except ConnectionClosed:
            why = f"the server closed the connection ({station.close_code} {station.close_reason})".replace(" )", ")")
            yield Finding("connection", why, "look for this station in the server's log")
            return
        for finding in found:
            yield finding
            if not finding.is_ok:
                return


async def _pinged(_: Patient, station: ClientConnection) -> list[Finding]:
    seconds = await (await station.ping())
    return [Finding("ping", f"answered in {seconds * 1000:.0f} ms")]


async def _booted(patient: Patient, station: ClientConnection) -> list[Finding]:
    boot = {"chargePointVendor": patient.vendor, "chargePointModel": patient.model}
    answer = await _called(station, "BootNotification", boot)
    if isinstance(answer, str):
        return [Finding("BootNotification", answer, "the server refuses a boot that is in order: look at its log")]
    status, interval = answer.get("status"), answer.get("interval")
    if status != "Accepted":
        return [
            Finding("BootNotification", f"{status}", "accept the station in the server: it knows it, and lets it wait")
        ]
    return [Finding("BootNotification", f"Accepted, a heartbeat every {interval} s"), _clock(answer.get("currentTime"))]


async def _beaten(_: Patient, station: ClientConnection) -> list[Finding]:
    answer = await _called(station, "Heartbeat", {})
    if isinstance(answer, str):
        return [Finding("Heartbeat", answer, "the server refuses a heartbeat: look at its log")]
    return [Finding("Heartbeat", "answered")]


def _clock(said: object) -> Finding:
    try:
        theirs = datetime.fromisoformat(str(said))
    except ValueError:
        return Finding("clock", f"{said!r} is no time", "the server must tell the time as RFC 3339 does")
    apart = (theirs.replace(tzinfo=theirs.tzinfo or UTC) - clock.now()).total_seconds()
    if abs(apart) > CLOSE_ENOUGH_S:
        return Finding(
            "clock", f"{apart:+.0f} s from here", "set the clocks of both: sessions get the times of stations"
        )
    return Finding("clock", f"less than {CLOSE_ENOUGH_S} s apart")


async def _called(station: ClientConnection, action: str, payload: dict[str, Any]) -> dict[str, Any] | str:
    """Return the payload that answers a call, or what else came of it. What the server asks meanwhile is not supported."""
    await station.send(msgspec.json.encode([2, action, action, payload]).decode())
    while True:
        frame = await station.recv(decode=True)
        try:
            said = msgspec.json.decode(frame)
        except msgspec.DecodeError:
            return f"no JSON: {frame[:60]!r}"
        match said:
            case [2, id, *_]:
                await station.send(msgspec.json.encode([4, id, "NotSupported", "", {}]).decode())
            case [3, str(id), dict(answer), *_] if id == action:
                return answer
            case [4, str(id), code, *_] if id == action:
                return f"error {code}"
            case _:
                return f"another frame: {frame[:60]!r}"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("url", help="the station's whole URL: ws://HOST:PORT/ocpp/IDENTITY")
    parser.add_argument(
        "--password",
        nargs="?",
        const="",
        help=f"without a value it is asked for; by default it is {PASSWORD}'s of the environment, as others can read what "
        "stands on a command line",
    )
    parser.add_argument(
        "--hex", action="store_true", help="the password is the hex text of its bytes (AuthorizationKey)"
    )
    parser.add_argument("--user", help="the user name, if it is not the identity")
    parser.add_argument("--subprotocol", action="append", help="what to offer, may be repeated (default: ocpp1.6)")
    parser.add_argument("--vendor", default="Doctor", help="the vendor that the BootNotification names")
    parser.add_argument("--model", default="Doctor", help="and the model")
    parser.add_argument("--ca", help="a file with the certificates that the server's is checked against")
    parser.add_argument("--patience", type=float, default=10, help="seconds that each step may take (default: 10)")


def patient_of(options: argparse.Namespace) -> Patient:
    """Return whom the command line speaks of. May ask for the password; raises `ValueError` if that is no hex text."""
    said = os.environ.get(PASSWORD) if options.password is None else options.password or getpass.getpass("Password: ")
    password = None if said is None else bytes.fromhex(said) if options.hex else said.encode()
    return Patient(
        options.url,
        password,
        options.user,
        tuple(options.subprotocol or ("ocpp1.6",)),
        options.vendor,
        options.model,
        options.ca,
        options.patience,
    )


async def _printed(patient: Patient) -> int:
    code = 0
    async for finding in examine(patient):
        print(finding, flush=True)
        code = 0 if finding.is_ok else 1
    return code


def main(options: argparse.Namespace) -> int:
    """Examine, print a line for each check, and return the exit code: 1 if one failed, 2 if it could not be tried."""
    try:
        patient = patient_of(options)
    except ValueError:
        print("--hex: the password is no hex text", file=sys.stderr)
        return 2
    return asyncio.run(_printed(patient))
