"""Handshakes as stations' HTTP stacks send them, at the door (T-05 to T-27)."""

import base64
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from chassis.secrets import digested
from contracts.reference import Station, StationRecord
from services.gateway.admission import Admission, Door, Policy, Refusal
from tests.gateway.lines import line

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Registry:
    """A copy of the registry with one station in it."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def get(self, identity: str) -> StationRecord | None:
        return self._station if identity == self._station.id else None


def headers(*more: tuple[str, str], **instead: str) -> Headers:
    """Return the headers of an ordinary handshake, and others besides or instead."""
    said = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "ocpp1.6"} | {
        name.replace("_", "-"): value for name, value in instead.items()
    }
    return Headers([*said.items(), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"), *more])


async def admitted(said: Headers, path: str = "/ocpp/CP-1", **record: Any) -> Admission:
    registry = Registry(line(**{"security_profile": 0} | record).record)
    door = Door(registry, Policy(), lambda: 0.0)  # type: ignore[arg-type]  # it asks no more of a copy
    try:
        return await door.admit("192.0.2.1", path, said)
    finally:
        door.close()


def status(said: Headers) -> int:
    """Return what the library answers to these headers."""
    return ServerProtocol().accept(Request("/ocpp/CP-1", said)).status_code


def basic(user: str, password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.covers("T-13")
@pytest.mark.parametrize(
    "more", [[("Upgrade", "websocket")], [("Upgrade", "h2c")], [("upgrade", "WebSocket"), ("Upgrade", "websocket")]]
)
async def test_an_upgrade_that_is_said_twice_is_said_once(more: list[tuple[str, str]]) -> None:
    said = headers(*more)
    admission = await admitted(said)
    assert [violation.rule for violation in admission.violations] == ["T-13"]
    assert status(said) == 101


@pytest.mark.covers("T-13")
@pytest.mark.parametrize("upgrade", ["websocket, h2c", "WebSocket,websocket"])
async def test_an_upgrade_among_others_is_taken(upgrade: str) -> None:
    said = headers(Upgrade=upgrade)
    assert [violation.rule for violation in (await admitted(said)).violations] == ["T-13"]
    assert status(said) == 101


@pytest.mark.covers("T-13")
async def test_what_is_as_it_should_be_is_left_alone() -> None:
    said = headers(Upgrade="WebSocket")
    assert (await admitted(said)).violations == ()
    assert said["Upgrade"] == "WebSocket"


@pytest.mark.covers("T-22", "T-27")
async def test_of_several_credentials_the_first_that_can_be_read_counts() -> None:
    record: dict[str, Any] = {"security_profile": 1, "password_hash": digested(b"secret")}
    right, wrong = basic("CP-1", "secret"), basic("CP-1", "guess")
    for said in ([right, right], [("Authorization", "Bearer x"), right], [right, wrong]):
        assert (await admitted(headers(*said), **record)).station.id == "CP-1"
    for said in ([wrong, right], [("Authorization", "Bearer x")], []):
        with pytest.raises(Refusal, match="unauthorized"):
            await admitted(headers(*said), **record)
