"""A station's password, and the URL to type into the charger."""

import asyncio
import secrets as dice
from typing import Self
from urllib.parse import quote

from argon2 import PasswordHasher
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chassis.secrets import digested
from contracts.requests import SetPassword
from services.api import examples
from services.api.access import Admin
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, Wish, put, row_of
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.problems import answers
from services.api.versions import Conditioned

router = APIRouter(prefix="/v1/stations", tags=["stations"], responses=answers(400, 401, 403, 422, 503))

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
"""Without what is read for something else: 0 and O, 1, I and l."""
OF_THEIRS = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The least that OWASP's password storage advice takes for argon2id: who knows how a password was chosen?"""
LENGTH = 20
"""Characters: 116 bits, and what every OCPP 1.6 charger takes (security whitepaper, AuthorizationKey)."""


class OwnPassword(BaseModel):
    """A password that the station has already: as text, or its bytes in hex. Neither: we choose one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "a-password-of-my-own"}]})

    password: Text | None = Field(default=None, min_length=8, max_length=64)
    password_hex: str | None = Field(default=None, pattern="^([0-9A-Fa-f]{2}){8,64}$", description="8 to 64 bytes")

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if self.password is not None and self.password_hex is not None:
            raise ValueError("password and password_hex exclude each other")
        return self


class Credentials(BaseModel):
    """What to type into the charger."""

    model_config = like(examples.CREDENTIALS)

    station: str
    url: str = Field(
        description="the whole URL; a charger that appends its identity itself needs it without the last part",
        examples=["wss://ocpp.example.com/ocpp/RDAM%20123"],
    )
    username: str = Field(description="the identity, for chargers that ask for it")
    password: str | None = Field(
        description="shown this once; null if you brought your own", examples=["k7Qm2ZtRw9XbHc4NvJ8e"]
    )
    version: int = Field(description="the station's version now")


@router.post(
    "/{id}/credentials",
    operation_id="set_credentials",
    dependencies=JSON_ONLY,
    responses=answers(404, 412, 413, 415),
)
async def set_credentials(
    id: str, caller: Admin, act: Acting, behind: Behind, expects: Conditioned, own: OwnPassword | None = None
) -> Credentials:
    """Give a station a new password; the old one ends at once. With an `Idempotency-Key`, a repetition shows the same."""
    station = existing("station", id)
    chosen = None if own and (own.password or own.password_hex) else _chosen(behind, act, station)
    password = chosen.encode() if chosen else _bytes(own)
    # Our 116 random bits need no slow hash, and a gateway that starts checks the passwords of all its stations at once.
    hashed = digested(password) if chosen else await asyncio.to_thread(OF_THEIRS.hash, password)
    asked = Wish(caller.tenant, "station", station, SetPassword(hashed), expects)
    made = await put(behind, act, asked)
    await row_of(behind, asked, made.version, lambda: behind.queries.station(caller.tenant, station))
    url = f"{behind.settings.public_ocpp_url.rstrip('/')}/{quote(station, safe='')}"
    return Credentials(station=station, url=url, username=station, password=chosen, version=made.version)


def _bytes(own: OwnPassword | None) -> bytes:
    if own is None:
        return b""
    return own.password.encode() if own.password is not None else bytes.fromhex(own.password_hex or "")


def _chosen(behind: Backends, act: Act, station: str) -> str:
    """Return a new password; the same for every repetition of a request."""
    if act.key is None:
        return "".join(dice.choice(ALPHABET) for _ in range(LENGTH))
    cause = f"{act.caller.tenant}/{act.caller.key}/{station}/{act.key}"
    number = int.from_bytes(behind.secrets.derive("station-password", cause))
    letters = []
    for _ in range(LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)
