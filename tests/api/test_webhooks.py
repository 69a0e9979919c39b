"""What Stripe tells us by itself: believed if it is signed, written once it means something, and harmless if it is said again."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from httpx import AsyncClient, Response
from pydantic import SecretStr
from stripe import SignatureVerificationError, Webhook, WebhookSignature

from chassis import clock
from chassis.stripe_wire import Forged, verify
from contracts.postings import ProviderAnswered
from services.api.app import Api
from tests.api.network import Network, client_of, settings_of
from tests.payments.fake_stripe import signed

OLD, NEW = "whsec_of_last_year", "whsec_of_this_year"
OURS = {"tenant": "acme", "account": "adhoc-p1", "payment": "p1"}
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "currency": "eur",
    "capture_method": "manual",
    "amount": 5000,
    "amount_capturable": 5000,
    "amount_received": 0,
    "cancellation_reason": None,
    "metadata": {**OURS, "authorise": "a1"},
}


def event(type: str, thing: dict[str, Any], id: str = "evt_1") -> bytes:
    created = int(clock.now().timestamp())
    said = {"id": id, "object": "event", "type": type, "created": created, "data": {"object": thing}}
    return json.dumps(said).encode()


def seconds(ago: float = 0) -> int:
    return int((clock.now() - timedelta(seconds=ago)).timestamp())


@pytest.fixture
def paying(app: Api) -> Api:
    """The application with two secrets, of which one takes the other's place."""
    settings = settings_of(stripe_webhook_secrets=SecretStr(f"{OLD}, {NEW}"))
    app.state.backends = replace(app.state.backends, settings=settings)
    return app


async def say(app: Api, body: bytes, signature: str | None = None) -> Response:
    presented = signed(body, NEW, seconds()) if signature is None else signature
    headers = {b"Stripe-Signature": presented.encode("latin-1")}
    async with client_of(app, None) as stripe:
        return await stripe.post("/v1/webhooks/stripe", content=body, headers=headers)


async def meant(app: Api, network: Network, type: str, thing: dict[str, Any]) -> ProviderAnswered:
    """Return what is written of an event."""
    answer = await say(app, event(type, thing))
    assert (answer.status_code, answer.json()) == (200, {"written": True})
    posting = network.written[-1]
    assert isinstance(posting, ProviderAnswered)
    assert (posting.tenant, posting.account, posting.payment) == ("acme", "adhoc-p1", "p1")
    return posting


async def nothing(app: Api, network: Network, type: str, thing: dict[str, Any]) -> None:
    answer = await say(app, event(type, thing))
    assert (answer.status_code, answer.json(), network.written) == (200, {"written": False}, [])


# ---- what is signed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_each_secret_counts_while_one_takes_the_others_place(paying: Api, secret: str) -> None:
    body = event("payment_intent.amount_capturable_updated", INTENT)
    assert (await say(paying, body, signed(body, secret, seconds()))).status_code == 200


async def test_a_foreign_signature_beside_a_good_one_does_no_harm(paying: Api) -> None:
    body = event("payment_intent.amount_capturable_updated", INTENT)
    good = signed(body, NEW, seconds())
    assert (await say(paying, body, good.replace("v1=", f"v0=1,v1={'0' * 64},v1="))).status_code == 200


BODY = event("payment_intent.amount_capturable_updated", INTENT)
FORGED = {
    "tampered with": signed(BODY.replace(b"5000", b"9000"), NEW, seconds()),
    "by another": signed(BODY, "whsec_of_somebody_else", seconds()),
    "without a secret": signed(BODY, "", seconds()),
    "too old": signed(BODY, NEW, seconds(ago=10_000)),
    "of the future": signed(BODY, NEW, seconds(ago=-10_000)),
    "no time": "v1=" + signed(BODY, NEW, seconds()).partition("v1=")[2],
    "two times": f"t=1,{signed(BODY, NEW, seconds())}",
    "time is no number": signed(BODY, NEW, seconds()).replace("t=", "t=+"),
    "no signature": f"t={seconds()}",
    "not ascii": f"t={seconds()},v1=\xfc",
    "nothing": "",
    "nonsense": "=,=,,t",
}


@pytest.mark.parametrize("why", FORGED)
async def test_what_is_not_signed_so_is_refused_and_nothing_is_written(paying: Api, network: Network, why: str) -> None:
    answer = await say(paying, BODY, FORGED[why])
    assert (answer.status_code, answer.json()["type"], network.written) == (400, "/problems/bad_signature", [])
    assert NEW not in answer.text


async def test_without_a_secret_nobody_is_believed_and_the_answer_says_what_to_set(app: Api, network: Network) -> None:
    answer = await say(app, BODY, signed(BODY, "", seconds()))
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/payments_not_set_up")
    assert "VOLTSTREAM_STRIPE_WEBHOOK_SECRETS" in answer.json()["detail"]
    assert network.written == []


@pytest.mark.parametrize("body", [b"", b"[]", b'"evt"', b"{", b"\xff", b'{"id": "e", "type": "t", "created": 1}'])
async def test_what_is_signed_and_no_event_is_a_problem(paying: Api, network: Network, body: bytes) -> None:
    answer = await say(paying, body)
    assert (answer.status_code, answer.json()["type"], network.written) == (400, "/problems/bad_json", [])


async def test_an_event_that_is_not_what_its_type_looks_like_is_a_problem(paying: Api, network: Network) -> None:
    answer = await say(paying, event("payment_intent.succeeded", {"id": 1}))
    assert (answer.status_code, "payment_intent.succeeded" in answer.json()["detail"]) == (400, True)
    assert network.written == []


async def test_while_kafka_is_away_stripe_is_asked_to_come_again(paying: Api, network: Network) -> None:
    network.away = True
    assert (await say(paying, BODY)).status_code == 503


def test_our_check_agrees_with_stripes_own() -> None:
    at = seconds()
    verify(BODY, signed(BODY, NEW, at), [NEW], at)
    Webhook.construct_event(BODY, signed(BODY, NEW, at), NEW)
    for why, header in FORGED.items():
        with pytest.raises(Forged):
            verify(BODY, header, [NEW], at)
        if why in {"of the future", "two times", "time is no number"}:
            continue  # Stripe's own takes these
        with pytest.raises((SignatureVerificationError, UnicodeEncodeError, TypeError)):
            WebhookSignature.verify_header(BODY, header, NEW, tolerance=300)


# ---- what it means ---------------------------------------------------------------------------------------------------


async def test_what_a_payer_has_allowed_on_a_page_is_held(paying: Api, network: Network) -> None:
    said = await meant(paying, network, "payment_intent.amount_capturable_updated", INTENT)
    assert (said.kind, said.operation, said.outcome, said.amount) == ("authorise", "a1", "done", Decimal("50.00"))
    assert said.reference == "pi_1"


async def test_more_may_be_held(paying: Api, network: Network) -> None:
    more = {**INTENT, "amount_capturable": 6000, "metadata": {**INTENT["metadata"], "increase": "i1"}}
    said = await meant(paying, network, "payment_intent.amount_capturable_updated", more)
    assert (said.kind, said.operation, said.amount) == ("increase", "i1", Decimal("60.00"))


@pytest.mark.parametrize(("method", "kind"), [("manual", "capture"), ("automatic", "charge")])
async def test_what_was_taken_is_said_with_what_it_was_asked_by(
    paying: Api, network: Network, method: str, kind: str
) -> None:
    intent = {**INTENT, "capture_method": method, "amount_received": 1234, "metadata": {**OURS, kind: "o1"}}
    said = await meant(paying, network, "payment_intent.succeeded", intent)
    assert (said.kind, said.operation, said.outcome, said.amount) == (kind, "o1", "done", Decimal("12.34"))


async def test_a_hold_that_lapsed_is_said_and_one_we_let_go_is_not(paying: Api, network: Network) -> None:
    await nothing(paying, network, "payment_intent.canceled", {**INTENT, "cancellation_reason": "abandoned"})
    said = await meant(paying, network, "payment_intent.canceled", {**INTENT, "cancellation_reason": "automatic"})
    assert (said.kind, said.operation, said.reason) == ("expired", "", "automatic")


@pytest.mark.parametrize("kind", ["authorise", "charge"])
async def test_a_page_on_which_nobody_paid_ends_the_payment(paying: Api, network: Network, kind: str) -> None:
    page = {"id": "cs_1", "metadata": {**OURS, kind: "o1"}}
    said = await meant(paying, network, "checkout.session.expired", page)
    assert (said.kind, said.operation, said.outcome, said.reason) == (kind, "o1", "failed", "page_expired")


async def test_a_refund_is_said_when_it_is_over(paying: Api, network: Network) -> None:
    refund = {
        "id": "re_1",
        "amount": 200,
        "currency": "eur",
        "payment_intent": "pi_1",
        "metadata": {**OURS, "refund": "r1"},
    }
    await nothing(paying, network, "refund.created", {**refund, "status": "pending"})
    done = await meant(paying, network, "refund.updated", {**refund, "status": "succeeded"})
    assert (done.kind, done.operation, done.outcome, done.amount) == ("refund", "r1", "done", Decimal("2.00"))
    lost = await meant(paying, network, "refund.failed", {**refund, "status": "failed", "failure_reason": "lost_card"})
    assert (lost.outcome, lost.reason) == ("failed", "lost_card")


@pytest.mark.parametrize(
    ("type", "thing"),
    [
        ("customer.created", {"id": "cus_1"}),
        ("payment_intent.payment_failed", INTENT),
        ("payment_intent.succeeded", {**INTENT, "metadata": {}}),
        ("payment_intent.succeeded", {**INTENT, "metadata": {"tenant": "acme", "account": "", "payment": "p1"}}),
    ],
)
async def test_what_is_none_of_our_business_is_taken_and_passed_over(
    paying: Api, network: Network, type: str, thing: dict[str, Any]
) -> None:
    await nothing(paying, network, type, thing)


async def test_the_same_event_again_is_the_same_posting(paying: Api, network: Network) -> None:
    ids: list[str] = []
    append = network.append

    async def noted(topic: Any, posting: Any, id: str, trace: str) -> Any:
        ids.append(id)
        return await append(topic, posting, id, trace)

    network.append = noted  # type: ignore[assignment, method-assign]
    for id in ("evt_1", "evt_1", "evt_2"):
        await say(paying, event("payment_intent.amount_capturable_updated", INTENT, id))
    assert (ids[0] == ids[1], ids[1] == ids[2], len(ids)) == (True, False, 3)


async def test_amounts_have_the_decimals_of_their_currency(paying: Api, network: Network) -> None:
    for currency, counted, amount in [("jpy", 500, "500"), ("kwd", 12340, "12.340"), ("isk", 50000, "500")]:
        intent = {**INTENT, "currency": currency, "amount_capturable": counted}
        said = await meant(paying, network, "payment_intent.amount_capturable_updated", intent)
        assert str(said.amount) == amount


async def test_the_webhook_wants_no_key(paying: Api, acme: AsyncClient) -> None:
    answer = await acme.post(
        "/v1/webhooks/stripe", content=BODY, headers={"Stripe-Signature": signed(BODY, NEW, seconds())}
    )
    assert answer.status_code == 200
