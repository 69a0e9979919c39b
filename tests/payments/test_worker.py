"""The service as a process, over a real Kafka and the fake of Stripe: hold, start, capture."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.kafka import Log, create_topics, partition_of_key
from chassis.settings import Settings
from contracts.bills import CostUpdated
from contracts.commands import CommandIssued
from contracts.event import Event, SessionId, TokenId, TransactionId
from contracts.ledger import ChargingAllowed, FundsExhausted, PaymentSettled, ProviderAsked
from contracts.operations import StartCharge, StopCharge
from contracts.postings import CostPosted, ProviderAnswered, Source
from contracts.requests import ChangeRequested, Delete
from contracts.sessions import ChargingBegan
from contracts.topics import BILLS, CHARGING, COMMANDS, LEDGER, POSTINGS, REQUESTS, Topic
from tests.chassis.test_loop import until
from tests.payments.asks import ACME, ADHOC, NOON, asked
from tests.payments.shop import STATION, events_of, part_of, paying_by, said, serving
from tests.payments.till import Till, till

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000)
    await create_topics(settings)
    return settings


@pytest_asyncio.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    log = Log(settings, linger_ms=0)
    await log.start()
    yield log
    await log.stop()


@pytest_asyncio.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[Till]:
    async with till(tmp_path) as running:
        yield running


async def say(log: Log, topic: Topic[Any], event: Event, id: str) -> None:
    await log.append(topic, event, id=id, source="/test", timeout=30)


async def answer_to(settings: Settings, log: Log, question: ProviderAsked) -> ProviderAnswered:
    cause = f"{question.operation} {question.attempt}"
    await say(log, LEDGER, question, cause)
    return await said(settings, POSTINGS, ProviderAnswered, lambda answer: answer.operation == question.operation)


async def test_money_is_held_then_a_station_starts_then_the_cost_is_captured(
    settings: Settings, log: Log, stripe: Till, tmp_path: Path
) -> None:
    async with serving(part_of(settings, tmp_path, "payments", **paying_by(stripe))):
        page = await answer_to(settings, log, asked("authorise"))
        assert page.outcome == "action_required"
        assert await stripe.pay(page.url) == 303
        allowed = ChargingAllowed(
            at=NOON,
            tenant=ACME,
            account=ADHOC,
            payment=page.payment,
            station=STATION,
            evse=1,
            token=TokenId("t"),
            until=NOON + timedelta(minutes=5),
        )
        await say(log, LEDGER, allowed, "allowed")
        start = await said(settings, COMMANDS, CommandIssued)
        assert start.task == StartCharge(token=TokenId("t"), evse=1)
        taken = await answer_to(settings, log, asked("capture", "12.34", reference=page.reference))
        about: dict[str, Any] = {"at": NOON, "tenant": ACME, "account": ADHOC, "payment": page.payment}
        await say(log, LEDGER, PaymentSettled(**about, state="refunded", token=TokenId("t")), "as it goes on")
        await say(log, LEDGER, PaymentSettled(**about, state="captured"), "of a top-up")
        await say(log, LEDGER, PaymentSettled(**about, state="captured", token=TokenId("t")), "over")
        await said(settings, REQUESTS, ChangeRequested)
    [forgotten] = await events_of(settings, REQUESTS)
    assert (forgotten.kind, forgotten.id, forgotten.change) == ("token", "t", Delete())
    assert (taken.outcome, str(taken.amount)) == ("done", "12.34")
    [intent] = await stripe.intents()
    assert (intent["status"], intent["amount_received"], intent["captures"]) == ("succeeded", 1234, 1)


async def test_what_a_session_costs_is_posted_to_its_account_and_what_has_no_money_left_is_stopped(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    session = SessionId("s1")
    began = ChargingBegan(
        at=NOON,
        tenant=ACME,
        station=STATION,
        session=session,
        token=TokenId("t"),
        evse=1,
        connector=1,
        started_at=NOON,
        transaction=TransactionId("17"),
    )
    cost = CostUpdated(
        at=NOON,
        tenant=ACME,
        station=STATION,
        session=session,
        account=ADHOC,
        usage=(),
        currency="EUR",
        total_excl=None,
        total_incl=asked("charge", "48.00").amount,
        energy_wh=1,
    )
    await say(log, CHARGING, began, "began")
    await say(log, BILLS, cost, "cost")
    async with serving(part_of(settings, tmp_path, "payments")):
        posted = await said(settings, POSTINGS, CostPosted)
        exhausted = FundsExhausted(
            at=NOON,
            tenant=ACME,
            account=ADHOC,
            session=session,
            station=STATION,
            amount=posted.amount,
            available=posted.amount,
        )
        await say(log, LEDGER, exhausted, "exhausted")
        stop = await said(settings, COMMANDS, CommandIssued)
        refused = await answer_to(settings, log, asked("authorise"))
    part = partition_of_key(b"acme/ST1", settings.partitions)
    assert (posted.account, str(posted.amount), posted.source) == (ADHOC, "48.00", Source(part, 0))
    assert stop.task == StopCharge(session=session, transaction=TransactionId("17"))
    assert (refused.outcome, "VOLTSTREAM_STRIPE_KEY" in refused.reason) == ("failed", True)


def together(settings: Settings, count: int) -> list[str]:
    """Return the names of payments that all lie in one partition."""
    names = (f"p{number}" for number in itertools.count())
    here = (name for name in names if partition_of_key(f"{ACME}/adhoc-{name}".encode(), settings.partitions) == 0)
    return list(itertools.islice(here, count))


async def test_one_request_that_is_never_answered_holds_up_no_other_payment(
    settings: Settings, log: Log, stripe: Till, tmp_path: Path
) -> None:
    silent, *others = together(settings, 4)
    await stripe.fault("checkout/sessions", "silent", seconds=60)

    async def is_silent() -> bool:
        return bool((await stripe.client.get(f"{stripe.url}/control/silent")).json() == 1)

    async with serving(part_of(settings, tmp_path, "payments", **paying_by(stripe))):
        await say(log, LEDGER, asked("authorise", payment=silent), silent)
        await until(is_silent)
        for other in others:
            assert (await answer_to(settings, log, asked("authorise", payment=other))).outcome == "action_required"
        answered = {each.payment for each in await events_of(settings, POSTINGS)}
        assert answered == set(others), "the silent one is still waited for"
        nothing = await said(settings, POSTINGS, ProviderAnswered, lambda answer: answer.payment == silent)
    assert nothing.outcome == "unreachable"
