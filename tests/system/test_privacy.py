"""A planted uid and password are in no topic, row, log, metric or URL but where architecture §7 allows them."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.clickhouse import Address
from tests.station import TurnedAway
from tests.system.network import Network, Raw, Rest, Yard, ago, arrived, authorize, boot, start, stop, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

UID = "PLANT7D41B2E9F0"
NOBODYS_UID = "STRAY93C8A61D55"
PASSWORD = "Planted+Passw0rd-k4Zq"
WRONG_PASSWORD = "Wrong+Passw0rd-x9Jt"
UIDS = (UID, NOBODYS_UID)
ALL = (*UIDS, PASSWORD, WRONG_PASSWORD)
FRAMES = {
    "stations",
    "stations.unread",
    *(f"{service}.parked" for service in ("authorization", "sessions", "operations")),
}
"""Where frames may be: themselves, and what is put aside of them whole."""


def needles(secrets: tuple[str, ...]) -> list[bytes]:
    """Return the ways in which secrets may have been written, in lower case."""
    spelt = [secret.encode() for secret in secrets]
    spelt += [secret.encode().hex().encode() for secret in secrets]
    for shift in range(3):  # base64 of it, wherever it lies in what was encoded
        for secret in secrets:
            encoded = base64.b64encode(b"\0" * shift + secret.encode())
            spelt.append(encoded[4 if shift else 0 : -4])
    return [each.lower() for each in spelt]


def holds(data: bytes, secrets: tuple[str, ...] = ALL) -> bool:
    folded = data.lower()
    return any(needle in folded for needle in needles(secrets))


async def test_planted_secrets_are_only_where_they_may_be(network: Network, yard: Yard) -> None:
    urls: list[str] = []
    answers: list[bytes] = []
    watched = watch(network, urls, answers)
    try:
        station = await things_happen(yard, watched)
        await until(lambda: everything_is_stored(network, station), "ClickHouse has what happened")
        assert [url for url in urls if holds(url.encode())] == []
        assert [answer for answer in answers if holds(answer)] == []
    finally:
        await watched.client.aclose()
    frames = [record.value or b"" for record in await network.records("stations")]
    assert all(any(holds(frame, (uid,)) for frame in frames) for uid in UIDS), "what is searched for would be found"
    assert await in_topics(network) == []
    assert in_files(network) == []
    assert await in_clickhouse(network) == []
    assert not holds((await network.scrape()).encode())
    ours = (network.system.secret, network.system.admin_key, password_of(network.clickhouse().address))
    logs = [path for path in network.system.folder.rglob("*.log*") if path.is_file()]
    assert len(logs) >= len(network.system.parts)
    assert [path.name for path in logs if holds(path.read_bytes(), ours)] == []


def password_of(address: Address) -> str:
    assert address.password
    return address.password


def watch(network: Network, urls: list[str], answers: list[bytes]) -> Rest:
    """Return REST that notes every URL it uses and every URL that it is told, and what else the answers say."""

    async def note(response: httpx.Response) -> None:
        urls.append(str(response.request.url))
        urls.extend(response.headers.get(name, "") for name in ("Location", "Link"))
        if response.request.headers.get("X-May-Show-Uids") is None:
            answers.append(await response.aread())

    rest = Rest(str(network.rest.client.base_url), network.system.admin_key)
    rest.client.event_hooks = {"response": [note]}
    return rest


async def things_happen(yard: Yard, rest: Rest) -> str:
    """Let the secrets go every way that they can go, and return the station."""
    rest.client.headers["X-May-Show-Uids"] = "an administrator's key may"
    token = await rest.token(UID, label="a card")
    key = await rest.post("/v1/access-keys", {"scopes": ["operate"]})
    del rest.client.headers["X-May-Show-Uids"]
    rest.client.headers["Authorization"] = f"Bearer {key['key']}"  # from here on, without tokens:read
    station = await yard.registered(security_profile=1)
    await yard.rest.post(f"/v1/stations/{station.identity}/credentials", {"password": PASSWORD})
    assert (await yard.rest.ask("POST", "/v1/tokens", {"uid": UID, "bogus": UID})).status_code == 422
    assert (await rest.ask("POST", "/v1/tokens", {"uid": UID})).status_code == 409
    await rest.put(f"/v1/tokens/{token.id}", {"uid": UID, "label": "the same card"})
    assert (await rest.post("/v1/tokens/search", {"uid": UID}))["token_id"] == token.id
    station.password = WRONG_PASSWORD.encode()
    with pytest.raises(TurnedAway):
        await station.connect()
    station.password = PASSWORD.encode()
    await arrived(station)
    await boot(station)
    await at_the_station(station_calls=station, uid=token.uid, rest=rest, token_id=token.id)
    shown = await until(lambda: frames_of(rest, station.identity), "frames")
    assert any("Authorize" in (frame["text"] or "") for frame in shown)
    for path in ("/v1/tokens", "/v1/unknown-tokens", "/v1/sessions"):
        await rest.get(path, limit=500)
    await rest.get(f"/v1/stations/{station.identity}")
    return station.identity


async def at_the_station(station_calls: Any, uid: str, rest: Rest, token_id: str) -> None:
    """Present the cards in every message that has a place for one, and in some that have none."""
    station = station_calls
    assert await authorize(station, uid) == "Accepted"
    assert await authorize(station, NOBODYS_UID) == "Invalid"
    command = asyncio.create_task(
        rest.post("/v1/sessions", {"evse": f"{station.identity}/1", "token_id": token_id}, wait=20)
    )
    asked = await station.asked()
    assert asked.payload["idTag"] == uid
    await station.current.send(json.dumps([3, asked.id, {"status": "Accepted", "echo": uid}]))
    transaction = await start(station, uid, ago(seconds=30))
    assert (await command)["state"] == "fulfilled"
    await station.call("DataTransfer", {"vendorId": "Voltmaker", "data": json.dumps({"idTag": uid})})
    for broken in (f'[2,"b-1","Authorize",{{"idTag":"{uid}"', f'[2,"b-2","NoSuchAction",{{"idTag":"{uid}"}}]'):
        await station.current.send(broken)
    assert await stop(station, transaction, ago(seconds=1), 2_000, idTag=uid)
    await station.call("StopTransaction", {"transactionId": -1, "meterStop": 1, "idTag": NOBODYS_UID})


async def frames_of(rest: Rest, identity: str) -> list[Any] | None:
    frames: list[Any] = (await rest.get(f"/v1/stations/{identity}/frames", limit=500))["items"]
    return frames if any(frame["meaning"] == "TransactionEnded" for frame in frames) else None


async def everything_is_stored(network: Network, identity: str) -> bool | None:
    db = network.clickhouse()
    try:
        rows = await db.query(
            "SELECT count() AS number FROM events WHERE station = {station:String} AND type LIKE '%StopAuthorized'",
            {"station": identity},
        )
    finally:
        await db.close()
    return True if rows[0]["number"] >= 2 else None


# ---- where they might be -------------------------------------------------------------------------------------------


async def in_topics(network: Network) -> list[tuple[str, str]]:
    """Return the topic and the type of every record that holds a secret where it must not."""
    return [
        (record.topic, record.headers.get("ce_type", b"").decode())
        for record in await network.records(committed=False)
        if is_leak(record)
    ]


def is_leak(record: Raw) -> bool:
    around = b"\n".join([record.key or b"", *record.headers.values()])
    value = record.value or b""
    if record.topic in FRAMES:
        return holds(around) or holds(without_frame(value)) or holds(value, (PASSWORD, WRONG_PASSWORD))
    return holds(around) or holds(value)


def without_frame(value: bytes) -> bytes:
    """Return a report without its frame, and without what the station said in words of its own."""
    event = json.loads(value) if value else {}
    return json.dumps({name: said for name, said in event.items() if name not in {"frame", "data"}}).encode()


def in_files(network: Network) -> list[str]:
    """Return every file that holds a secret: the read model, the logs, and whatever else lies about.

    Not Kafka's and ClickHouse's own, in which frames lie packed: those are read through them.
    """
    return [str(path) for path in files(network.system.folder) if holds(path.read_bytes())]


def files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        is_packed = inside.parts[0] in {"kafka", "clickhouse"}
        is_kafkas_own_log = inside.parts[0] == "kafka" and len(inside.parts) == 2
        if path.is_file() and (not is_packed or is_kafkas_own_log):
            yield path


async def in_clickhouse(network: Network) -> list[str]:
    """Return the table, topic and type of every row that holds a secret where it must not."""
    db = network.clickhouse()
    found = []
    try:
        for table in await db.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        ):
            for row in await db.query(f"SELECT formatRowNoNewline('JSONEachRow', *) AS text FROM {table['name']}"):
                text: str = row["text"]
                if holds(text.encode()) and is_leaking_row(table["name"], json.loads(text)):
                    found.append(f"{table['name']}: {text[:300]}")
    finally:
        await db.close()
    return found


def is_leaking_row(table: str, row: dict[str, Any]) -> bool:
    if table != "events" or row["topic"] != "stations":
        return True
    body = row.pop("body").encode()
    rest = json.dumps(row).encode()
    return holds(rest) or holds(without_frame(body)) or holds(body, (PASSWORD, WRONG_PASSWORD))
