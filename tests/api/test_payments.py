"""Somebody without an account pays: what is held, by which token, and what is answered meanwhile."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient
from pydantic import SecretStr

from contracts.ledger import ProviderAsked
from contracts.postings import HoldAsked, ProviderAnswered
from contracts.requests import ChangeRequested, PutToken
from services.api.app import Api
from services.payments.provider import Answer
from services.payments.teller import told
from tests.api.network import Network, client_of, key_of, settings_of
from tests.api.test_webhooks import NEW, event, say

TARIFF: dict[str, Any] = {
    "currency": "EUR",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "0.60", "vat": "21"}]}],
}
WISH = {"station": "CP1", "evse": 1}
URL = "https://checkout.example.com/cs_1"


def to_a_page(asked: ProviderAsked) -> list[ProviderAnswered]:
    return [told(asked, Answer("action_required", reference="cs_1", url=URL))]


@pytest.fixture
def paying(app: Api, network: Network) -> Api:
    """The application of a deployment at which one can pay, and a provider that sends everybody to its page."""
    network.provider = to_a_page
    settings = settings_of(
        stripe_webhook_secrets=SecretStr(NEW),
        payment_return_url="https://charge.example.com/paid",
        payment_hold=Decimal(30),
    )
    app.state.backends = replace(app.state.backends, settings=settings)
    return app


async def place(admin: AsyncClient, tariff: dict[str, Any] | None = TARIFF) -> None:
    """Make a station with a price."""
    evses = [{"id": 1, "connectors": [{"id": 1}]}]
    assert (await admin.put("/v1/stations/CP1", json={"evses": evses})).is_success
    if tariff is not None:
        assert (await admin.put("/v1/tariffs/AC", json={"tariff": tariff})).is_success
        assigned = {"station": "CP1", "tariff": "AC"}
        assert (await admin.put("/v1/tariff-assignments", json=assigned)).is_success


async def begun(admin: AsyncClient, key: str = "k", **more: Any) -> dict[str, Any]:
    answer = await admin.post("/v1/payments", json={**WISH, **more}, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/payments/{found['id']}"
    return found


def of(network: Network, kind: type[Any]) -> list[Any]:
    return [each for each in network.written if isinstance(each, kind)]


async def test_a_payer_is_sent_to_a_page_and_a_token_waits_for_the_money(
    paying: Api, admin: AsyncClient, network: Network
) -> None:
    await place(admin)
    payment = await begun(admin, amount="40")
    assert (payment["state"], payment["url"], payment["reference"]) == ("action_required", URL, "cs_1")
    assert (payment["amount"], payment["currency"], payment["kind"]) == ("40.00", "EUR", "hold")
    [hold] = of(network, HoldAsked)
    assert (hold.station, hold.evse, hold.account) == ("CP1", 1, f"adhoc-{payment['id']}")
    token = (await admin.get(f"/v1/tokens/{hold.token}")).json()
    assert (token["account"], token["has_uid"], len(token["uid"])) == (hold.account, True, 20)


async def test_the_same_request_again_is_the_same_payment(paying: Api, admin: AsyncClient, network: Network) -> None:
    await place(admin)
    first = await begun(admin)
    assert await begun(admin) == first
    assert (len(of(network, HoldAsked)), len(of(network, ChangeRequested)) > 0) == (1, True)
    other = await admin.post("/v1/payments", json={**WISH, "amount": "1"}, headers={"Idempotency-Key": "k"})
    assert other.json()["type"] == "/problems/idempotency_key_reused"


async def test_requests_without_a_key_are_payments_of_their_own_with_tokens_of_their_own(
    paying: Api, admin: AsyncClient, network: Network
) -> None:
    await place(admin)
    ids = {(await admin.post("/v1/payments", json=WISH)).json()["id"] for _ in range(2)}
    tokens = {each.change.token.id for each in of(network, ChangeRequested) if isinstance(each.change, PutToken)}
    assert (len(ids), len(tokens)) == (2, 2)


@pytest.mark.parametrize(
    ("limit", "held"),
    [
        (None, "30.00"),
        ({"before_taxes": "50", "after_taxes": "60.5"}, "60.50"),
        ({"before_taxes": "50"}, "60.50"),
        ({"before_taxes": "49.99"}, "60.49"),
    ],
)
async def test_where_nobody_says_how_much_the_tariff_does_or_the_deployment(
    paying: Api, admin: AsyncClient, limit: dict[str, str] | None, held: str
) -> None:
    await place(admin, TARIFF if limit is None else {**TARIFF, "max_price": limit})
    assert (await begun(admin))["amount"] == held


async def test_without_a_provider_nobody_can_pay_and_the_answer_says_what_to_set(app: Api, admin: AsyncClient) -> None:
    await place(admin)
    answer = await admin.post("/v1/payments", json=WISH)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/payments_not_set_up")
    assert "VOLTSTREAM_STRIPE_KEY" in answer.json()["detail"]


async def test_what_has_no_price_or_costs_nothing_is_not_paid_for(
    paying: Api, admin: AsyncClient, network: Network
) -> None:
    await place(admin, None)
    assert (await admin.post("/v1/payments", json=WISH)).json()["type"] == "/problems/no_tariff"
    await admin.put("/v1/tariff-assignments", json={"station": "CP1", "free": True})
    assert (await admin.post("/v1/payments", json=WISH)).json()["type"] == "/problems/nothing_to_pay"
    assert of(network, HoldAsked) == []


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"station": "CP2", "evse": 1}, 404),
        ({"station": "CP1", "evse": 2}, 422),
        ({"station": "CP1", "evse": 1, "amount": "0"}, 422),
        ({"station": "CP1", "evse": 1, "amount": "1.001"}, 422),
        ({"station": "CP1", "evse": 1, "card": "4242"}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_held(
    paying: Api, admin: AsyncClient, network: Network, wish: dict[str, Any], status: int
) -> None:
    await place(admin)
    assert (await admin.post("/v1/payments", json=wish)).status_code == status
    assert of(network, HoldAsked) == []


async def test_payments_are_listed_the_newest_first_and_by_what_they_are(
    paying: Api, admin: AsyncClient, acme: AsyncClient
) -> None:
    await place(admin)
    ids = [(await begun(admin, key))["id"] for key in "abc"]
    first = (await admin.get("/v1/payments", params={"limit": 2})).json()
    rest = (await admin.get("/v1/payments", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids[::-1]
    for wanted, count in [({"state": "authorised"}, 0), ({"station": "CP1"}, 3), ({"account": f"adhoc-{ids[0]}"}, 1)]:
        assert len((await admin.get("/v1/payments", params=wanted)).json()["items"]) == count
    assert (await admin.get(f"/v1/payments/{ids[0]}")).json()["id"] == ids[0]
    assert (await acme.get(f"/v1/payments/{ids[0]}")).status_code == 404
    assert (await acme.get("/v1/payments")).json()["items"] == []


async def test_who_may_only_read_begins_no_payment(paying: Api, admin: AsyncClient) -> None:
    await place(admin)
    async with client_of(paying, await key_of(admin, ["read"])) as reader:
        assert (await reader.post("/v1/payments", json=WISH)).status_code == 403


async def test_a_dispute_is_posted_to_the_account_whose_payment_the_provider_calls_so(
    paying: Api, admin: AsyncClient, network: Network
) -> None:
    await place(admin)
    payment = await begun(admin)
    dispute = {"id": "dp_1", "amount": 1234, "currency": "eur", "payment_intent": "cs_1", "reason": "fraudulent"}
    assert (await say(paying, event("charge.dispute.created", dispute))).json() == {"written": True}
    [posting] = of(network, ProviderAnswered)
    assert (posting.kind, posting.payment, str(posting.amount)) == ("disputed", payment["id"], "12.34")
    stranger = {**dispute, "payment_intent": "pi_of_another_system"}
    assert (await say(paying, event("charge.dispute.created", stranger))).json() == {"written": False}
    for type in ("charge.dispute.created", "charge.dispute.funds_withdrawn"):
        question = {**dispute, "status": "warning_needs_response"}
        assert (await say(paying, event(type, question))).json() == {"written": False}, "nothing is gone yet"


async def test_a_dispute_goes_by_its_name_and_may_be_won(paying: Api, admin: AsyncClient, network: Network) -> None:
    await place(admin)
    await begun(admin)
    dispute = {"id": "dp_1", "amount": 1234, "currency": "eur", "payment_intent": "cs_1", "reason": "fraudulent"}
    for type in ("created", "funds_withdrawn", "funds_reinstated"):
        await say(paying, event(f"charge.dispute.{type}", dispute))
    said = [(each.operation, each.outcome, str(each.amount)) for each in of(network, ProviderAnswered)]
    assert said == [("dp_1", "done", "12.34"), ("dp_1", "done", "12.34"), ("dp_1", "failed", "12.34")]
