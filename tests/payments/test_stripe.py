"""Our port over Stripe's own client, against the fake as a process: what is asked, asked again, and asked too late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from chassis import clock
from contracts.event import Message
from contracts.ledger import ProviderAsked
from services.payments.provider import Answer
from services.payments.stripe import Stripe
from services.payments.teller import answer_to
from tests.payments.asks import asked
from tests.payments.till import BAD_CARD, Till, till

RETURN = "https://charge.example.com/paid"


@pytest_asyncio.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Till]:
    async with till(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def stripe(fake: Till) -> AsyncIterator[Stripe]:
    account = Stripe("sk_test_of_nobody", return_url=RETURN, api=fake.url, timeout_s=5)
    yield account
    await account.close()


def heard(question: ProviderAsked, *, ago: timedelta = timedelta()) -> Message[ProviderAsked]:
    return Message(question, question.operation, clock.now() - ago)


async def held(fake: Till, stripe: Stripe, payment: str = "p1") -> str:
    """Hold 50.00 on a page, and return the payment intent's name."""
    page = await stripe.authorise(asked("authorise", payment=payment))
    assert page.outcome == "action_required"
    assert await fake.pay(page.url) == 303
    found = await stripe.fetch(asked("authorise", payment=payment, reference=page.reference))
    assert found is not None
    assert (found.outcome, str(found.amount)) == ("done", "50.00")
    return found.reference


async def test_a_hold_is_increased_captured_once_and_refunded(fake: Till, stripe: Stripe) -> None:
    reference = await held(fake, stripe)
    more = await stripe.increase(asked("increase", "60.00", reference=reference))
    assert (more.outcome, str(more.amount)) == ("done", "60.00")
    for operation in ("o1", "o1", "o2"):
        taken = await stripe.capture(asked("capture", "12.34", reference=reference, operation=operation))
        assert (taken.outcome, str(taken.amount)) == ("done", "12.34")
    [intent] = await fake.intents()
    assert (intent["captures"], intent["amount_received"], intent["amount_capturable"]) == (1, 1234, 0)
    refund = asked("refund", "2.00", reference=reference)
    back = await stripe.refund(refund)
    assert (back.outcome, str(back.amount)) == ("done", "2.00")
    assert await stripe.refund(refund) == await stripe.fetch(refund) == back
    assert await stripe.fetch(asked("refund", "2.00", reference=reference, operation="another")) is None


async def test_of_three_decimals_the_last_is_never_taken_though_held_and_given_back(fake: Till, stripe: Stripe) -> None:
    page = await stripe.authorise(asked("authorise", "5.001", currency="KWD"))
    await fake.pay(page.url)
    found = await stripe.fetch(asked("authorise", "5.001", currency="KWD", reference=page.reference))
    assert found is not None
    assert str(found.amount) == "5.010"
    of: dict[str, str] = {"currency": "KWD", "reference": found.reference}
    taken = await stripe.capture(asked("capture", "1.239", **of))
    back = await stripe.refund(asked("refund", "0.204", **of))
    assert (str(taken.amount), str(back.amount)) == ("1.230", "0.210")


async def test_a_declined_card_holds_nothing_and_the_payer_may_try_another(fake: Till, stripe: Stripe) -> None:
    page = await stripe.authorise(asked("authorise"))
    assert await fake.pay(page.url, BAD_CARD) == 402
    found = await stripe.fetch(asked("authorise", reference=page.reference))
    assert found == page
    assert await fake.pay(page.url) == 303
    assert len(await fake.intents()) == 1


@pytest.mark.parametrize("paid", [False, True])
async def test_what_is_released_can_neither_be_paid_nor_captured(fake: Till, stripe: Stripe, paid: bool) -> None:
    page = await stripe.authorise(asked("authorise"))
    if paid:
        await fake.pay(page.url)
    released = await stripe.release(asked("release", reference=page.reference))
    assert (released.outcome, str(released.amount)) == ("done", "0.00")
    assert await stripe.release(asked("release", reference=page.reference)) == released
    taken = await stripe.capture(asked("capture", "1.00", reference=released.reference))
    assert taken.outcome == "failed"
    if not paid:
        assert await fake.pay(page.url) == 400


async def test_a_mandate_is_charged_or_declined_without_a_page(stripe: Stripe) -> None:
    good = await stripe.charge(asked("charge", "20.00", mandate="cus_1/pm_card_visa"))
    assert (good.outcome, str(good.amount), good.url) == ("done", "20.00", "")
    bad = await stripe.charge(asked("charge", payment="p2", mandate="cus_1/pm_card_insufficientFunds"))
    assert (bad.outcome, bad.reason) == ("declined", "insufficient_funds")
    assert bad.reference.startswith("pi_")


async def test_what_was_done_without_an_answer_is_found_and_not_done_again(fake: Till, stripe: Stripe) -> None:
    reference = await held(fake, stripe)
    await fake.fault("payment_intents/capture", "silent")
    question = asked("capture", "12.34", reference=reference)
    assert (await answer_to(heard(question), stripe)).outcome == "unreachable"
    again = asked("capture", "12.34", reference=reference, attempt=2)
    assert (await answer_to(heard(again), stripe)).outcome == "done"
    [intent] = await fake.intents()
    assert intent["captures"] == 1


async def test_a_charge_of_which_nobody_knows_is_found_by_the_payments_name_a_day_later(
    fake: Till, stripe: Stripe
) -> None:
    await fake.fault("payment_intents", "silent")
    question = asked("charge", "20.00", mandate="cus_1/pm_card_visa")
    assert (await answer_to(heard(question), stripe)).outcome == "unreachable"
    await fake.control("forget")
    late = await answer_to(heard(question, ago=timedelta(hours=21)), stripe)
    assert (late.outcome, len(await fake.intents())) == ("done", 1)


@pytest.mark.parametrize(("fault", "reason"), [("unavailable", "HTTP 500"), ("limited", "HTTP 429")])
async def test_an_attempt_that_did_nothing_is_made_again_under_the_same_name(
    fake: Till, stripe: Stripe, fault: str, reason: str
) -> None:
    await fake.fault("payment_intents", fault)
    question = asked("charge", "20.00", mandate="cus_1/pm_card_visa")
    assert await stripe.charge(question) == Answer("unreachable", reason=reason)
    assert (await stripe.charge(question)).outcome == "done"


async def test_whoever_cannot_look_does_not_ask_either(fake: Till, stripe: Stripe) -> None:
    await fake.fault("fetch", "unavailable")
    again = asked("charge", "20.00", mandate="cus_1/pm_card_visa", attempt=2)
    assert (await answer_to(heard(again), stripe)).outcome == "unreachable"
    assert await fake.intents() == []


async def test_another_request_under_a_used_name_changes_nothing(fake: Till, stripe: Stripe) -> None:
    reference = await held(fake, stripe)
    await stripe.capture(asked("capture", "12.34", reference=reference))
    other = await stripe.capture(asked("capture", "12.35", reference=reference))
    assert (other.outcome, str(other.amount)) == ("done", "12.34")


async def test_the_fake_forgets_nothing_when_it_is_killed(fake: Till, stripe: Stripe) -> None:
    reference = await held(fake, stripe)
    fake.kill()
    assert (await stripe.capture(asked("capture", "12.34", reference=reference))).outcome == "unreachable"
    await fake.start()
    assert (await stripe.capture(asked("capture", "12.34", reference=reference))).outcome == "done"
    fake.kill()
    await fake.start()
    [intent] = await fake.intents()
    assert intent["captures"] == 1


async def test_twenty_payments_at_once_are_twenty_payments(fake: Till, stripe: Stripe) -> None:
    mandate = "cus_1/pm_card_visa"
    answers = await asyncio.gather(
        *(stripe.charge(asked("charge", payment=f"p{n % 20}", mandate=mandate)) for n in range(40))
    )
    assert {answer.outcome for answer in answers} == {"done"}
    assert len({answer.reference for answer in answers}) == len(await fake.intents()) == 20
