"""Who takes part in a load: registered by REST on this machine, or named in a file."""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks.load.station import Member
from deploy.local.rest import Rest

SITE = "load"
AT_ONCE = 20
"""How many stations are being registered at a time."""


class NotHere(Exception):
    """The load may not go there, or nobody is there. The message says what to do."""


def loopback(url: str) -> str:
    """Return `url` if it is this machine's own, or raise `NotHere`."""
    where = urlsplit(url)
    host = where.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if where.scheme not in {"ws", "http"} or not local:
        raise NotHere(
            f"{url}: a load goes to this machine only, ws:// or http:// at 127.0.0.1; other people's systems are not ours to load"
        )
    return url.rstrip("/")


def listening(url: str) -> str:
    """Return `url` if somebody listens there, or raise `NotHere`."""
    where = urlsplit(loopback(url))
    try:
        socket.create_connection((where.hostname or "", where.port or 80), timeout=2).close()
    except OSError as error:
        raise NotHere(
            f"nobody listens at {url} ({error.strerror or error}): start Voltstream with `make run`"
        ) from None
    return url.rstrip("/")


async def register(
    rest: Rest, number: int, *, passwords: bool = False, prefix: str = "LOAD", say: Callable[[str], None] = print
) -> list[Member]:
    """Register stations and their drivers' tokens, and return them. What is registered already is brought to this shape."""
    await rest.put(f"/v1/sites/{SITE}", {"name": "Load", "time_zone": "Europe/Oslo", "currency": "NOK"})
    room, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(index: int) -> Member:
        nonlocal done
        async with room:
            member = await _registered(rest, f"{prefix}-{index:05}", passwords=passwords)
        done += 1
        if done % 250 == 0:
            say(f"{done} of {number} stations are registered")
        return member

    return list(await asyncio.gather(*(one(index) for index in range(1, number + 1))))


async def _registered(rest: Rest, identity: str, *, passwords: bool) -> Member:
    uid = f"04{random.Random(identity).getrandbits(48):012X}"
    wish: dict[str, Any] = {"site": SITE, "tags": [SITE], "security_profile": int(passwords)}
    await rest.put(f"/v1/stations/{identity}", wish)
    token = (await rest.post("/v1/tokens/search", {"uid": uid}))["token_id"]
    await rest.put(f"/v1/tokens/{token}", {"uid": uid, "label": f"driver at {identity}"})
    password = (await rest.post(f"/v1/stations/{identity}/credentials", {}))["password"] if passwords else None
    return Member(identity, uid, password)


def read(file: Path) -> list[Member]:
    """Return who is named in a file that `write` has written."""
    return msgspec.json.decode(file.read_bytes(), type=list[Member])


def write(file: Path, members: list[Member]) -> None:
    """Write who takes part, readable for its owner only: it may hold passwords."""
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(members), indent=2))
