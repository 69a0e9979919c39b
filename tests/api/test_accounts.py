"""Accounts, what they have, and what is asked of them."""

from datetime import datetime
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace
from sqlalchemy import select

from chassis.secrets import Secrets
from contracts.event import AccountId, PaymentId, TenantId
from contracts.money_tables import accounts
from contracts.postings import CdrPosted, ProviderAnswered, TermsChanged
from contracts.requests import ChangeRequested
from contracts.topics import ACCOUNTS
from services.api.app import Api
from tests.accounts.says import Ledger, prepaid
from tests.accounts.test_subscriptions import priced
from tests.api.network import Network, client_of, key_of
from tests.api.test_sites import pointers

FLEET: dict[str, Any] = {"kind": "postpaid", "currency": "EUR", "name": "Fleet Ltd", "email": "bills@fleet.example"}
DRIVER: dict[str, Any] = {"kind": "prepaid", "currency": "EUR"}
UID = "04A2B3C4D5E6F7"


async def test_an_account_that_was_put_can_be_read_changed_and_forgotten(admin: AsyncClient) -> None:
    answer = await admin.put("/v1/accounts/fleet", json=FLEET)
    assert (answer.status_code, answer.headers["etag"]) == (201, '"v1"'), answer.text
    assert (await admin.get("/v1/accounts/fleet")).json() == answer.json()
    assert (answer.json()["balance"], answer.json()["standing"], answer.json()["time_zone"]) == (None, None, "UTC")
    limited = await admin.put(
        "/v1/accounts/fleet", json=FLEET | {"credit_limit": "500.00"}, headers={"If-Match": '"v1"'}
    )
    assert (limited.status_code, limited.json()["credit_limit"], limited.json()["version"]) == (200, "500.00", 2)
    stale = await admin.put("/v1/accounts/fleet", json=FLEET, headers={"If-Match": '"v1"'})
    assert stale.status_code == 412
    assert [each["id"] for each in (await admin.get("/v1/accounts")).json()["items"]] == ["fleet"]
    assert (await admin.delete("/v1/accounts/fleet")).status_code == 204
    assert (await admin.get("/v1/accounts/fleet")).status_code == 404


async def test_accounts_hear_that_the_terms_have_changed(admin: AsyncClient, network: Network) -> None:
    answer = await admin.put("/v1/accounts/driver", json=DRIVER | {"credit_limit": "20"})
    assert isinstance(network.written[-1], TermsChanged)
    assert (await admin.get("/v1/accounts/driver")).json()["standing"]["may_charge"] is True
    assert answer.json()["id"] == "driver"


PLUS = {"name": "Plus", "monthly_fee": "9.90", "tax_included": "YES", "vat": "25", "allowance_kwh": "100"}


async def test_a_subscription_is_charged_shown_and_used(admin: AsyncClient, network: Network) -> None:
    put = await admin.put("/v1/accounts/driver", json=FLEET | {"subscription": PLUS, "time_zone": "Europe/Oslo"})
    assert put.status_code == 201, put.text
    assert put.json()["subscription"] == PLUS | {"allowance_kwh": "100.000"}
    seen = (await admin.get("/v1/accounts/driver")).json()
    month = seen["month"]
    assert {name: month[name] for name in ("name", "currency", "net", "gross", "allowance_kwh", "left_kwh")} == {
        "name": "Plus", "currency": "EUR", "net": "7.92", "gross": "9.90", "allowance_kwh": "100.000",
        "left_kwh": "100.000",
    }  # fmt: skip
    assert seen["balance"]["amount"] == "-9.90"
    one = Ledger(AccountId("driver"))
    began = datetime.fromisoformat(month["start"])
    bill = priced(one, tenant=TenantId("default"), wh=31_500, at=began, started_at=began, ended_at=began)
    await network.hear(bill, "bill-1")
    assert (await admin.get("/v1/accounts/driver")).json()["month"]["left_kwh"] == "68.500"
    entries = (await admin.get("/v1/accounts/driver/entries")).json()["items"]
    assert [(each["kind"], each["amount"], each["net"], each["energy_wh"], each["name"]) for each in entries] == [
        ("allowance", "5.00", "-4.00", 31_500, None),
        ("session", "-5.00", "4.00", 31_500, None),
        ("subscription", "-9.90", "7.92", None, "Plus"),
    ]
    changed = await admin.put("/v1/accounts/driver", json=FLEET | {"time_zone": "Europe/Oslo"})
    assert (changed.json()["subscription"], changed.json()["month"]["left_kwh"]) == (None, "68.500")


async def test_the_log_says_what_an_account_agreed_and_not_whose_it_is(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET | {"subscription": PLUS})
    changed = network.written[-1]
    assert isinstance(changed, TermsChanged)
    assert changed.terms is not None
    assert changed.terms.subscription is not None
    assert (changed.terms.subscription.allowance_wh, changed.terms.version) == (100_000, 1)
    assert (changed.terms.person, changed.terms.name, changed.terms.email) == (None, "", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("monthly_fee", "-1"),
        ("monthly_fee", "9.999"),
        ("tax_included", "MAYBE"),
        ("vat", "101"),
        ("allowance_kwh", "0"),
        ("allowance_kwh", "1.0001"),
        ("discount", "5"),
    ],
)
async def test_what_is_wrong_with_a_subscription_is_named(admin: AsyncClient, field: str, value: Any) -> None:
    answer = await admin.put("/v1/accounts/fleet", json=FLEET | {"subscription": PLUS | {field: value}})
    assert pointers(answer) == [f"#/subscription/{field}"]


WHOSE: dict[str, Any] = {
    "name": "Anna Holm", "email": "anna@example.com", "vat_id": "NO974760673MVA",
    "address": {"name": "Anna", "street": "Skipsgata 9", "postal_code": "0150", "city": "Oslo", "country": "NO"},
}  # fmt: skip


async def test_whose_an_account_is_lies_sealed_in_the_log_and_in_the_tables(
    admin: AsyncClient, network: Network
) -> None:
    answer = await admin.put("/v1/accounts/anna", json=DRIVER | WHOSE)
    assert {name: answer.json()[name] for name in WHOSE} == WHOSE
    async with network.engine.connect() as connection:
        rows = (await connection.execute(select(accounts))).all()
    written = [each for each in network.written if isinstance(each, ChangeRequested)]
    for text in ("Anna", "anna@", "Skipsgata", "NO974760673MVA"):
        assert text not in str(written)
        assert text not in str(rows)
    again = await admin.put("/v1/accounts/anna", json=DRIVER | WHOSE)
    assert again.json()["version"] == 1, "the same said again changes nothing"
    moved = await admin.put("/v1/accounts/anna", json=DRIVER | WHOSE | {"email": "a@example.com"})
    assert (moved.json()["version"], moved.json()["email"]) == (2, "a@example.com")


async def test_what_an_older_release_wrote_in_clear_is_shown_and_what_another_sealed_is_not(
    admin: AsyncClient, network: Network
) -> None:
    old = replace(prepaid(name="Anna", vat_id="NO1"), tenant=TenantId("default"), id=AccountId("anna"))
    foreign = Secrets("another deployment's secret, as long as it should be").seal("{}")
    await network.says(ACCOUNTS, old, replace(old, id=AccountId("bert"), person=foreign))
    anna, bert = [(await admin.get(f"/v1/accounts/{id}")).json() for id in ("anna", "bert")]
    assert (anna["name"], anna["vat_id"], anna["address"]["city"]) == ("Anna", "NO1", "")
    assert (bert["name"], bert["vat_id"], bert["address"]) == (None, None, None)


async def test_whose_an_account_is_shows_only_who_may_see_it(app: Api, admin: AsyncClient) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET)
    async with client_of(app, await key_of(admin, ["operate"])) as operator:
        seen = (await operator.get("/v1/accounts/fleet")).json()
    assert (seen["name"], seen["email"], seen["address"], seen["mandate"]) == (None, None, None, None)
    assert seen["kind"] == "postpaid"


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("kind", "rich", "#/kind"),
        ("currency", "EU", "#/currency"),
        ("credit_limit", "-1", "#/credit_limit"),
        ("credit_limit", "NaN", "#/credit_limit"),
        ("time_zone", "Oslo", "#/time_zone"),
        ("address", {"country": "Norway"}, "#/address/country"),
    ],
)
async def test_what_is_wrong_with_an_account_is_named(admin: AsyncClient, field: str, value: Any, pointer: str) -> None:
    assert pointers(await admin.put("/v1/accounts/fleet", json=FLEET | {field: value})) == [pointer]


async def test_the_names_of_ad_hoc_payments_are_theirs(admin: AsyncClient) -> None:
    assert pointers(await admin.put("/v1/accounts/adhoc-1", json=DRIVER)) == ["id"]


async def test_a_token_names_who_pays(admin: AsyncClient) -> None:
    assert pointers(await admin.post("/v1/tokens", json={"uid": UID, "account": "fleet"})) == ["#/account"]
    await admin.put("/v1/accounts/fleet", json=FLEET)
    token = await admin.post("/v1/tokens", json={"uid": UID, "account": "fleet"})
    assert (token.status_code, token.json()["account"]) == (201, "fleet")


async def test_an_adjustment_is_entered_once_however_often_it_is_asked(admin: AsyncClient) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET)
    once = {"Idempotency-Key": "k-1"}
    wish = {"amount": "5", "reason": "sorry"}
    first = await admin.post("/v1/accounts/fleet/adjustments", json=wish, headers=once)
    again = await admin.post("/v1/accounts/fleet/adjustments", json=wish, headers=once)
    assert (first.status_code, first.json()["amount"], first.json()["entry"]) == (201, "5.00", 1), first.text
    assert again.json() == first.json()
    other = await admin.post("/v1/accounts/fleet/adjustments", json=wish | {"amount": "6"}, headers=once)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency_key_reused")
    assert (await admin.get("/v1/accounts/fleet")).json()["balance"]["amount"] == "5.00"


@pytest.mark.parametrize("amount", ["0", "1.001", "x", "1e30"])
async def test_an_amount_has_the_decimals_of_its_currency(admin: AsyncClient, amount: str) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET)
    answer = await admin.post("/v1/accounts/fleet/adjustments", json={"amount": amount, "reason": "sorry"})
    assert pointers(answer) == ["#/amount"]


async def test_a_closed_account_is_not_adjusted(admin: AsyncClient) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET | {"closed": True})
    answer = await admin.post("/v1/accounts/fleet/adjustments", json={"amount": "5", "reason": "sorry"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/posting_refused")


async def test_a_top_up_begins_and_counts_when_the_provider_has_taken_it(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/accounts/driver", json=DRIVER | {"mandate": "cus/pm"})
    begun = await admin.post("/v1/accounts/driver/top-ups", json={"amount": "20"})
    assert begun.status_code == 202, begun.text
    assert begun.headers["location"] == f"/v1/payments/{begun.json()['payment']}"
    assert pointers(await admin.post("/v1/accounts/driver/top-ups", json={"amount": "-1"})) == ["#/amount"]
    one = Ledger(AccountId("driver"), prepaid(mandate="cus/pm"))
    asked = one.hear(one.top_up("20", payment=begun.json()["payment"]))[-1]
    answer = one.answer("done", "20")
    assert isinstance(answer, ProviderAnswered)
    assert asked.account == "driver"
    await network.hear(replace(answer, tenant=TenantId("default"), payment=PaymentId(begun.json()["payment"])), "a1")
    shown = (await admin.get("/v1/accounts/driver")).json()
    assert (shown["balance"]["amount"], shown["standing"]["may_charge"]) == ("20.00", True)


async def test_entries_come_in_pages_the_newest_first(admin: AsyncClient, network: Network) -> None:
    await admin.put("/v1/accounts/fleet", json=FLEET)
    assert (await admin.get("/v1/accounts/fleet/entries")).json() == {"items": [], "next_cursor": None}
    assert (await admin.get("/v1/accounts/nobody/entries")).status_code == 404
    one = Ledger(AccountId("fleet"))
    for number in range(3):
        cdr = one.cdr("1.50", session=f"s{number}")
        assert isinstance(cdr, CdrPosted)
        await network.hear(replace(cdr, tenant=TenantId("default")), f"c{number}")
    page = (await admin.get("/v1/accounts/fleet/entries?limit=2")).json()
    assert [each["entry"] for each in page["items"]] == [3, 2]
    rest = (await admin.get(f"/v1/accounts/fleet/entries?limit=2&cursor={page['next_cursor']}")).json()
    assert [(each["entry"], each["kind"], each["balance"]) for each in rest["items"]] == [(1, "session", "-1.50")]
    assert rest["next_cursor"] is None
