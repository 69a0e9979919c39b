import asyncio
import re
from hashlib import sha256

import pytest
from httpx import AsyncClient

from contracts.requests import ChangeRequested, PutAccessKey
from services.api import access
from services.api.app import Api, describe
from tests.api.network import FIRST_KEY, Network, client_of, key_of

OPEN = {
    "/problems",
    "/problems/{kind}",
    "/readyz",
    "/v1/webhooks/stripe",
    "/v1/receipts/{tenant}/{payment}/{token}",
}
"""What asks for no key; the payment provider signs what it says, and a receipt's address cannot be guessed."""
NEEDS = {
    "list_sites": "read",
    "get_site": "read",
    "put_site": "admin",
    "delete_site": "admin",
    "list_stations": "read",
    "get_station": "read",
    "put_station": "admin",
    "delete_station": "admin",
    "set_credentials": "admin",
    "list_frames": "read",
    "list_tokens": "read",
    "get_token": "read",
    "register_token": "operate",
    "search_token": "read",
    "put_token": "operate",
    "delete_token": "operate",
    "list_unknown_tokens": "read",
    "list_tariffs": "read",
    "get_tariff": "read",
    "list_tariff_versions": "read",
    "put_tariff": "admin",
    "list_tariff_assignments": "read",
    "put_tariff_assignment": "admin",
    "delete_tariff_assignment": "admin",
    "quote_price": "read",
    "get_prices": "read",
    "list_invoices": "read",
    "get_invoice": "read",
    "get_invoice_pdf": "read",
    "get_invoice_xml": "read",
    "ask_invoice": "operate",
    "list_cdrs": "read",
    "get_cdr": "read",
    "list_cdr_reviews": "read",
    "explain_price": "read",
    "list_accounts": "read",
    "get_account": "read",
    "put_account": "operate",
    "delete_account": "operate",
    "list_entries": "read",
    "adjust_account": "admin",
    "top_up_account": "operate",
    "ask_re_rating": "admin",
    "get_re_rating": "read",
    "get_re_rating_report": "read",
    "cancel_re_rating": "admin",
    "review_cdr": "operate",
    "get_cdr_reviews": "read",
    "revenue": "read",
    "reconciliation": "read",
    "export": "read",
    "begin_payment": "operate",
    "list_payments": "read",
    "get_payment": "read",
    "list_sessions": "read",
    "get_session": "read",
    "start_charge": "operate",
    "stop_charge": "operate",
    "transfer_data": "operate",
    "list_readings": "read",
    "list_signed_values": "read",
    "list_commands": "read",
    "get_command": "read",
    "list_alerts": "read",
    "get_alert": "read",
    "list_access_keys": "admin",
    "get_access_key": "admin",
    "create_access_key": "admin",
    "delete_access_key": "admin",
    "repair_session": "operate",
    "get_repair": "read",
    "energy_ledger": "read",
    "stream": "read",
    "create_stream_token": "read",
    "get_me": "",
}
NEEDS_MORE = {"stream", "energy_ledger", "revenue", "reconciliation", "export", "get_re_rating_report"}
"""What Kafka or ClickHouse answer, which are away here."""
ENOUGH = {"read": {"read", "operate", "admin"}, "operate": {"operate", "admin"}, "admin": {"admin"}}
ROUTES = [
    (method.upper(), path, operation["operationId"])
    for path, operations in describe().openapi()["paths"].items()
    for method, operation in operations.items()
    if path not in OPEN
]


def concrete(path: str) -> str:
    return path.replace("{id}", "0" * 32) + ("?station=CP1" if path == "/v1/commands" else "")


async def ask(client: AsyncClient, method: str, path: str) -> tuple[int, str]:
    answer = await client.request(method, concrete(path), json={} if method in {"PUT", "POST"} else None)
    return answer.status_code, answer.text


def test_every_route_says_what_it_needs() -> None:
    assert {operation for _, _, operation in ROUTES} == set(NEEDS)


@pytest.mark.parametrize(("method", "path", "operation"), ROUTES)
async def test_nobody_comes_in_without_a_key(app: Api, method: str, path: str, operation: str) -> None:
    for key in (None, "vs_admin_wrong", ""):
        async with client_of(app, key) as client:
            answer = await client.request(method, concrete(path), json={} if method in {"PUT", "POST"} else None)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert answer.json()["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize("scope", ["read", "operate", "admin", "tokens:read"])
async def test_a_key_may_do_what_its_scope_says_and_no_more(app: Api, admin: AsyncClient, scope: str) -> None:
    async with client_of(app, await key_of(admin, [scope])) as client:
        for method, path, operation in ROUTES:
            status, text = await ask(client, method, path)
            needed = NEEDS[operation]
            if needed and scope not in ENOUGH[needed]:
                assert status == 403, (operation, text)
                assert f'"scope":"{needed}"' in text
            else:
                away = {503} if operation in NEEDS_MORE else set()
                assert status in {200, 201, 202, 204, 404, 409, 422} | away, (operation, status, text)


async def test_a_key_is_shown_once_and_only_its_digest_is_written(admin: AsyncClient, network: Network) -> None:
    answer = await admin.post("/v1/access-keys", json={"scopes": ["operate"], "label": "app"})
    key = answer.json()["key"]
    assert answer.status_code == 201
    assert re.fullmatch(rf"vs_{answer.json()['id']}_[0-9a-f]{{64}}", key)
    request = network.written[-1]
    assert isinstance(request, ChangeRequested)
    assert isinstance(request.change, PutAccessKey)
    assert request.change.key.digest == sha256(key.encode()).hexdigest()
    assert key not in repr(request)
    for path in (answer.headers["location"], "/v1/access-keys"):
        seen = await admin.get(path)
        assert seen.status_code == 200
        assert key not in seen.text
        assert request.change.key.digest not in seen.text


async def test_a_repetition_shows_the_same_key(admin: AsyncClient) -> None:
    once = {"Idempotency-Key": "k-1"}
    first = await admin.post("/v1/access-keys", json={"scopes": ["read"]}, headers=once)
    again = await admin.post("/v1/access-keys", json={"scopes": ["read"]}, headers=once)
    assert first.json() == again.json()
    assert len((await admin.get("/v1/access-keys")).json()["items"]) == 1


async def test_who_asks_can_ask_who_that_is(app: Api, admin: AsyncClient) -> None:
    assert (await admin.get("/v1/me")).json() == {
        "tenant": "default",
        "key_id": "admin",
        "scopes": ["admin", "operate", "read", "tokens:read"],
    }
    async with client_of(app, await key_of(admin, ["operate"], "acme")) as client:
        me = (await client.get("/v1/me")).json()
    assert (me["tenant"], me["scopes"]) == ("acme", ["operate", "read"])


async def test_a_deleted_key_ends_within_seconds(app: Api, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "TRUSTED_S", 0.05)
    answer = await admin.post("/v1/access-keys", json={"scopes": ["read"]})
    async with client_of(app, answer.json()["key"]) as client, asyncio.timeout(5):
        assert (await client.get("/v1/me")).status_code == 200
        assert (await admin.delete(answer.headers["location"])).status_code == 204
        while (await client.get("/v1/me")).status_code != 401:
            await asyncio.sleep(0.01)


async def test_a_key_that_was_found_is_not_looked_up_each_time(app: Api, admin: AsyncClient, network: Network) -> None:
    async with client_of(app, await key_of(admin, ["read"])) as client:
        assert (await client.get("/v1/me")).status_code == 200
        await network.engine.dispose()
        assert (await client.get("/v1/me")).status_code == 200


@pytest.mark.parametrize("scopes", [["tokens:read"], ["read", "tokens:read"]])
async def test_nobody_gives_what_they_lack(app: Api, admin: AsyncClient, scopes: list[str]) -> None:
    async with client_of(app, await key_of(admin, ["admin"])) as client:
        answer = await client.post("/v1/access-keys", json={"scopes": scopes})
    assert (answer.status_code, answer.json()["scope"]) == (403, "tokens:read")


async def test_only_the_first_key_acts_for_other_tenants(admin: AsyncClient, acme: AsyncClient) -> None:
    for answer in (
        await acme.post("/v1/access-keys", json={"scopes": ["read"], "tenant": "default"}),
        await acme.get("/v1/access-keys?tenant=default"),
        await acme.delete("/v1/access-keys/x?tenant=default"),
    ):
        assert answer.status_code == 403
    theirs = (await admin.get("/v1/access-keys?tenant=acme")).json()["items"]
    assert [key["tenant"] for key in theirs] == ["acme"]
    assert (await acme.get(f"/v1/access-keys/{theirs[0]['id']}")).status_code == 200
    assert (await admin.get(f"/v1/access-keys/{theirs[0]['id']}")).status_code == 404


async def test_the_first_key_needs_no_database(app: Api, network: Network) -> None:
    async with client_of(app, FIRST_KEY) as client:
        assert (await client.get("/v1/me")).status_code == 200
