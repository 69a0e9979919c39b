"""What the demo is played with: two sites in two time zones, stations with their passwords, cards. All registered by REST."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ocpp.v16.enums import UnitOfMeasure

from deploy.local.rest import Rest
from deploy.local.stations import Model, Station, Tell

SITES: dict[str, dict[str, Any]] = {
    "demo-harbour": {
        "name": "Harbour car park",
        "time_zone": "Europe/Oslo",
        "currency": "NOK",
        "address": "Havnegata 1, 0150 Oslo",
        "latitude": 59.9075,
        "longitude": 10.7531,
    },
    "demo-depot": {
        "name": "Delivery depot",
        "time_zone": "America/New_York",
        "currency": "USD",
        "address": "200 Dock Street, Brooklyn",
        "latitude": 40.7004,
        "longitude": -73.9874,
    },
}
MODELS = (
    Model("Fjordlader", "Wall 22", 22_000),
    Model("Northgrid", "Post 11", 11_000, UnitOfMeasure.kwh),
    Model("Hudson Power", "Rapid 60", 60_000, firmware="3.0.11"),
    Model("Fjordlader", "Wall 7", 7_400),
)
TAG = "demo"


@dataclass
class Cast:
    """Who plays."""

    stations: dict[str, Station]
    cards: dict[str, str]
    """The good card of each station's driver, by the station."""
    token_ids: dict[str, str]
    """Of the registered cards."""
    blocked: str
    expired: str
    unknown: str


async def register(rest: Rest, number: int, seed: int, tell: Tell) -> Cast:
    """Register everything, and return it. What is registered already is brought to this shape."""
    names = [f"DEMO-{index:02}" for index in range(1, number + 1)]
    dice = random.Random(seed)
    blocked, expired, unknown, *good = [_uid(dice) for _ in range(number + 3)]
    await asyncio.gather(*(rest.put(f"/v1/sites/{id}", site) for id, site in SITES.items()))
    stations = await asyncio.gather(
        *(_station(rest, name, index, random.Random(f"{seed}/{name}"), tell) for index, name in enumerate(names))
    )
    token_ids = await _tokens(rest, [*zip(names, good, strict=True)], blocked, expired)
    cards = dict(zip(names, good, strict=True))
    return Cast(dict(zip(names, stations, strict=True)), cards, token_ids, blocked, expired, unknown)


async def _station(rest: Rest, name: str, index: int, dice: random.Random, tell: Tell) -> Station:
    site, model = list(SITES)[index % len(SITES)], MODELS[index % len(MODELS)]
    wish = {
        "site": site,
        "name": f"bay {index + 1}",
        "tags": [TAG],
        # Without what it can deliver: its meter runs faster than the clock, which nobody would believe.
        "evses": [{"id": 1, "connectors": [{"id": 1, "type": "IEC_62196_T2"}]}],
        "heartbeat_s": 60,
    }
    await rest.put(f"/v1/stations/{name}", wish)
    credentials = await rest.post(f"/v1/stations/{name}/credentials", {})
    return Station(name, credentials["url"], credentials["password"], model, dice, tell)


async def _tokens(rest: Rest, drivers: Sequence[tuple[str, str]], blocked: str, expired: str) -> dict[str, str]:
    wishes: list[dict[str, Any]] = [
        *({"uid": uid, "label": f"driver at {station}"} for station, uid in drivers),
        {"uid": blocked, "status": "blocked", "label": "stolen"},
        {"uid": expired, "valid_until": "2020-12-31T23:59:59Z", "label": "left the company"},
    ]
    ids = await asyncio.gather(*(_token(rest, wish) for wish in wishes))
    return {wish["uid"]: id for wish, id in zip(wishes, ids, strict=True)}


async def _token(rest: Rest, wish: dict[str, Any]) -> str:
    found = await rest.post("/v1/tokens/search", {"uid": wish["uid"]})
    token_id = str(found["token_id"])
    await rest.put(f"/v1/tokens/{token_id}", wish)
    return token_id


def _uid(dice: random.Random) -> str:
    """Return the number of a card, as readers read it: seven bytes in hex, of which NXP's begin with 04."""
    return f"04{dice.getrandbits(48):012X}"
