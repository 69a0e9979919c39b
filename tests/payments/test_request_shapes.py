"""Our requests against stripe-mock, which knows Stripe's OpenAPI description and refuses what it does not allow."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from chassis.broker import free_port
from chassis.child import Child
from services.payments.stripe import Stripe
from tests.chassis.test_loop import until
from tests.payments.asks import asked
from tests.payments.till import CHECKOUT

MOCK = CHECKOUT / ".cache" / "bin" / "stripe-mock"

pytestmark = pytest.mark.skipif(
    not MOCK.exists(),
    reason="needs Go: GOBIN=$PWD/.cache/bin go install github.com/stripe/stripe-mock@v0.203.0",
)


@pytest_asyncio.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[Stripe]:
    port = free_port()
    command = [str(MOCK), "-http-port", str(port), "-https-port", str(free_port())]
    child = Child(command, folder=CHECKOUT, output=tmp_path / "stripe-mock.log")
    api = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(api)).status_code == 401
        except httpx.TransportError:
            return False

    await until(answers)
    account = Stripe("sk_test_of_nobody", return_url="https://charge.example.com/paid", api=api)
    yield account
    await account.close()
    await child.stop(patience=5)


async def test_every_request_has_the_shape_that_stripe_describes(stripe: Stripe) -> None:
    """Stripe-mock keeps nothing, so what it answers means little; what it refuses would be `failed`, invalid or unknown."""
    mandate = "cus_1/pm_card_visa"
    answers = [
        await stripe.authorise(asked("authorise")),
        await stripe.authorise(asked("authorise", mandate=mandate)),
        await stripe.charge(asked("charge")),
        await stripe.charge(asked("charge", mandate=mandate)),
        await stripe.increase(asked("increase", reference="pi_1")),
        await stripe.capture(asked("capture", reference="pi_1")),
        await stripe.release(asked("release", reference="pi_1")),
        await stripe.release(asked("release", reference="cs_test_1")),
        await stripe.refund(asked("refund", reference="pi_1")),
        await stripe.fetch(asked("refund", reference="pi_1")),
        await stripe.fetch(asked("charge")),
    ]
    refused = {"no answer", "parameter_unknown", "parameter_missing", "invalid_request_error"}
    assert [answer for answer in answers if answer is not None and answer.reason in refused] == []
