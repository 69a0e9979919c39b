from argon2 import PasswordHasher
from httpx import AsyncClient

from chassis.secrets import DIGESTED, is_digest_of
from contracts.requests import ChangeRequested, SetPassword
from services.api.credentials import ALPHABET
from tests.api.network import Network, client_of, key_of
from tests.api.test_sites import pointers


def hash_of(network: Network) -> str:
    request = network.written[-1]
    assert isinstance(request, ChangeRequested)
    assert isinstance(request.change, SetPassword)
    return request.change.password_hash


async def test_a_station_gets_a_password_that_is_shown_once(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/RDAM%20123", json={})
    answer = await admin.post("/v1/stations/RDAM%20123/credentials")
    shown = answer.json()
    assert answer.status_code == 200
    assert (shown["url"], shown["username"]) == ("wss://ocpp.example.com/ocpp/RDAM%20123", "RDAM 123")
    assert len(shown["password"]) == 20
    assert set(shown["password"]) <= set(ALPHABET)
    assert is_digest_of(hash_of(network), shown["password"].encode())
    assert hash_of(network).startswith(DIGESTED)
    station = await admin.get("/v1/stations/RDAM%20123")
    assert station.json()["has_password"]
    assert shown["password"] not in station.text
    assert shown["version"] == station.json()["version"] == 2


async def test_the_next_password_is_another(admin: AsyncClient) -> None:
    await admin.put("/v1/stations/CP1", json={})
    first = await admin.post("/v1/stations/CP1/credentials")
    second = await admin.post("/v1/stations/CP1/credentials")
    assert first.json()["password"] != second.json()["password"]


async def test_a_repetition_shows_the_same_password(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/CP1", json={})
    once = {"Idempotency-Key": "k-1"}
    first = await admin.post("/v1/stations/CP1/credentials", headers=once)
    written = len(network.written)
    assert is_digest_of(hash_of(network), first.json()["password"].encode())
    again = await admin.post("/v1/stations/CP1/credentials", headers=once)
    assert (first.json(), written) == (again.json(), len(network.written))


async def test_another_caller_does_not_learn_it_by_the_same_key(admin: AsyncClient) -> None:
    await admin.put("/v1/stations/CP1", json={})
    once = {"Idempotency-Key": "k-1"}
    await admin.post("/v1/stations/CP1/credentials", headers=once)
    async with client_of(admin._transport.app, await key_of(admin, ["admin"])) as other:  # type: ignore[attr-defined]
        answer = await other.post("/v1/stations/CP1/credentials", headers=once)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency_key_reused")


async def test_a_station_can_keep_the_password_that_it_has(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/stations/CP1", json={})
    answer = await admin.post("/v1/stations/CP1/credentials", json={"password": "its own password"})
    assert (answer.status_code, answer.json()["password"]) == (200, None)
    assert PasswordHasher().verify(hash_of(network), b"its own password")
    await admin.post("/v1/stations/CP1/credentials", json={"password_hex": "00FF" * 8})
    assert PasswordHasher().verify(hash_of(network), b"\x00\xff" * 8)


async def test_a_password_is_neither_short_nor_said_twice(admin: AsyncClient) -> None:
    await admin.put("/v1/stations/CP1", json={})
    path = "/v1/stations/CP1/credentials"
    assert pointers(await admin.post(path, json={"password": "short"})) == ["#/password"]
    assert pointers(await admin.post(path, json={"password_hex": "0123"})) == ["#/password_hex"]
    both = {"password": "long enough", "password_hex": "00" * 8}
    answer = await admin.post(path, json=both)
    assert pointers(answer) == ["#"]
    assert "long enough" not in answer.text


async def test_a_new_password_ends_no_other_setting(admin: AsyncClient) -> None:
    await admin.put("/v1/stations/CP1", json={"name": "A", "tags": ["b"]})
    await admin.post("/v1/stations/CP1/credentials")
    await admin.put("/v1/stations/CP1", json={"name": "B"})
    station = (await admin.get("/v1/stations/CP1")).json()
    assert (station["name"], station["has_password"]) == ("B", True)
