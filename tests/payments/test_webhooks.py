"""What the provider says comes twice, too late and backwards, or never: the ledger ends the same. Real processes, a real Kafka."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio

from contracts.event import Event
from contracts.ledger import ChargingAllowed, MoneyTaken, PaymentAuthorised, PaymentSettled, ProviderAsked
from contracts.topics import POSTINGS
from tests.kafka_fixture import delete_topics
from tests.payments.asks import ACME
from tests.payments.fake_stripe import signed
from tests.payments.shop import Shop, account_of, shop

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

GROSS = "12.34"
ONCE = {"PaymentOpened": 1, "PaymentAuthorised": 1, "ChargingAllowed": 1, "SessionCharged": 1, "MoneyTaken": 1}
E = TypeVar("E", bound=Event)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counter(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    prefix, folder = f"t{uuid4().hex[:12]}.", tmp_path_factory.mktemp("shop")
    url = f"sqlite+aiosqlite:///{folder}/views.sqlite"
    async with shop(kafka, prefix, url, folder, "accounts", "payments", "api") as running:
        yield running
    await delete_topics(kafka, prefix)


async def delivering(shop: Shop, mode: str) -> None:
    await shop.stripe.control("webhooks", url=shop.hook, secret=shop.stripe.secret, mode=mode)


async def charged(shop: Shop, payment: str) -> None:
    """Let somebody pay, charge for 12.34, and have that taken."""
    assert await shop.stripe.pay(await shop.held(payment)) == 303
    await shop.ledger(payment, ChargingAllowed)
    await shop.billed(payment, GROSS)
    await shop.over(payment)


async def is_right(shop: Shop, payment: str) -> None:
    """Check that the provider has taken what the CDR says, once, and that the ledger says no more than that."""
    ledger = await shop.all_heard(payment)
    counts = Counter(type(each).__name__ for each in ledger)
    assert {name: counts[name] for name in ONCE} == ONCE
    [taken] = of(ledger, MoneyTaken)
    assert (str(taken.movement.amount if taken.movement else None), str(taken.balance)) == (GROSS, "0.00")
    assert [str(each.held) for each in of(ledger, PaymentAuthorised)] == ["50.00"]
    assert [(each.state, str(each.taken)) for each in of(ledger, PaymentSettled)] == [("captured", GROSS)]
    [intent] = [each for each in await shop.stripe.intents() if each["metadata"]["payment"] == payment]
    assert (intent["status"], intent["amount_received"], intent["captures"]) == ("succeeded", 1234, 1)


def of(ledger: list[Any], kind: type[E]) -> list[E]:
    return [each for each in ledger if isinstance(each, kind)]


async def test_webhooks_that_come_twice_count_once(counter: Shop) -> None:
    await delivering(counter, "twice")
    await charged(counter, "twice")
    await counter.all_delivered()
    await is_right(counter, "twice")


async def test_webhooks_that_come_when_all_is_over_and_backwards_change_nothing(counter: Shop) -> None:
    await counter.stripe.control("webhooks", url="")
    await charged(counter, "backwards")
    answers = len(await counter.written(POSTINGS, "backwards"))
    await delivering(counter, "backwards")
    await counter.all_delivered()
    late = (await counter.written(POSTINGS, "backwards"))[answers:]
    assert [(each.kind, each.outcome) for each in late] == [("capture", "done"), ("authorise", "done")]
    await is_right(counter, "backwards")


async def test_a_payment_whose_webhooks_are_lost_ends_the_same(counter: Shop) -> None:
    await delivering(counter, "lost")
    await charged(counter, "lost")
    await counter.all_delivered()
    await is_right(counter, "lost")


def claims(payment: str, operation: str) -> bytes:
    """Return an event that says that the money is held."""
    named = {"tenant": ACME, "account": account_of(payment), "payment": payment, "authorise": operation}
    intent = {"id": "pi_1", "currency": "eur", "amount_capturable": 5000, "metadata": named}
    type = "payment_intent.amount_capturable_updated"
    event = {"id": f"evt_{uuid4()}", "type": type, "created": int(time.time()), "data": {"object": intent}}
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("secret", "ago", "why"),
    [("whsec_of_somebody_else", 0, "none of this body"), ("whsec_fake", 400, "by this machine's clock")],
)
async def test_what_is_forged_or_too_old_is_refused_and_changes_nothing(
    counter: Shop, secret: str, ago: int, why: str
) -> None:
    await delivering(counter, "once")
    payment = f"forged-{ago}"
    await counter.held(payment)
    asked = await counter.ledger(payment, ProviderAsked)
    await counter.all_heard(payment)
    before = await counter.written(POSTINGS, payment)
    body = claims(payment, asked.operation)
    said = {"Stripe-Signature": signed(body, secret, int(time.time()) - ago), "Content-Type": "application/json"}
    answer = await counter.stripe.client.post(counter.hook, content=body, headers=said)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert (problem["type"], why in problem["detail"]) == ("/problems/bad_signature", True)
    assert await counter.written(POSTINGS, payment) == before
    assert not of(await counter.all_heard(payment), PaymentAuthorised)


async def test_a_capture_that_is_made_and_never_answered_is_one_capture(counter: Shop) -> None:
    await delivering(counter, "lost")
    await counter.stripe.fault("payment_intents/capture", "silent", seconds=30)
    await charged(counter, "silent")
    ledger = await counter.all_heard("silent")
    captures = [each for each in of(ledger, ProviderAsked) if each.kind == "capture"]
    assert [each.attempt for each in captures] == [1, 2]
    assert len({each.operation for each in captures}) == 1
    await is_right(counter, "silent")
