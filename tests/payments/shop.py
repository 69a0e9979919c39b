"""Accounts, payments and the api as processes over a real Kafka, with the fake of Stripe beside them: what a webhook meets."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import SecretStr

from chassis import clock
from chassis.broker import free_port
from chassis.kafka import Log, create_topics
from chassis.settings import Settings
from contracts.bills import CdrIssued, Priced
from contracts.event import AccountId, Event, PaymentId, RequestId, SessionId, StationId, TokenId
from contracts.ledger import PaymentActionRequired, PaymentSettled, PostingRefused
from contracts.postings import AdjustmentAsked, HoldAsked
from contracts.topics import BILLS, LEDGER, POSTINGS, Topic
from deploy.local.part import Part
from services.views import worker as views
from tests.chassis.test_loop import everything, until
from tests.payments.asks import ACME
from tests.payments.till import Till, till

STATION = StationId("ST1")
E = TypeVar("E", bound=Event)


def part_of(settings: Settings, folder: Path, service: str, **more: str) -> Part:
    """Return a service that is not yet started."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")},
        "VOLTSTREAM_KAFKA": settings.kafka,
        "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "VOLTSTREAM_PARTITIONS": str(settings.partitions),
        "VOLTSTREAM_SESSION_TIMEOUT_MS": "6000",
        "VOLTSTREAM_SQL": settings.sql.get_secret_value(),
        "VOLTSTREAM_SECRET": "a-secret-of-the-tests-and-of-nobody-else",
        "VOLTSTREAM_API_PORT" if service == "api" else "VOLTSTREAM_HEALTH_PORT": str(port),
        **more,
    }
    command = [sys.executable, "-m", f"services.{service}"]
    return Part(service, command, environment, f"http://127.0.0.1:{port}/readyz", folder / f"{service}.log")


@asynccontextmanager
async def serving(*parts: Part) -> AsyncIterator[None]:
    """Run services while it is entered, and enter when all are ready."""
    for part in parts:
        part.start()
    try:
        for part in parts:
            await until(part.is_ready, within=90)
        yield
    finally:
        for part in parts:
            await part.stop()


def paying_by(stripe: Till) -> dict[str, str]:
    return {
        "VOLTSTREAM_STRIPE_KEY": "sk_test_of_nobody",
        "VOLTSTREAM_STRIPE_API": stripe.url,
        "VOLTSTREAM_STRIPE_WEBHOOK_SECRETS": stripe.secret,
        "VOLTSTREAM_PAYMENT_RETURN_URL": "https://charge.example.com/paid",
    }


async def events_of(settings: Settings, topic: Topic[Any]) -> list[Any]:
    return [topic.decode(record.value or b"") for record in await everything(settings, topic.name)]


async def said(
    settings: Settings,
    topic: Topic[Any],
    kind: type[E],
    which: Callable[[E], bool] = lambda _: True,
    *,
    within: float = 60,
) -> E:
    """Return the first of the events of this kind that a topic comes to have."""
    found: list[E] = []

    async def there() -> bool:
        found.extend(each for each in await events_of(settings, topic) if isinstance(each, kind) and which(each))
        return bool(found)

    await until(there, within=within)
    return found[0]


@dataclass(frozen=True)
class Shop:
    """A deployment in which somebody pays."""

    settings: Settings
    log: Log
    stripe: Till
    hook: str
    """Where the provider says what has happened."""

    async def says(self, topic: Topic[Any], event: Event, id: str) -> None:
        await self.log.append(topic, event, id=id, source="/test", timeout=30)

    async def held(self, payment: str, amount: str = "50.00") -> str:
        """Ask for a hold, and return where the payer pays."""
        asked = HoldAsked(
            at=clock.now(),
            tenant=ACME,
            account=account_of(payment),
            payment=PaymentId(payment),
            amount=Decimal(amount),
            currency="EUR",
            station=STATION,
            evse=1,
            token=TokenId(f"token-{payment}"),
            requested_by="key",
        )
        await self.says(POSTINGS, asked, f"hold {payment}")
        return (await self.ledger(payment, PaymentActionRequired)).url

    async def billed(self, payment: str, gross: str) -> None:
        """Let the session that the payment was for be over, and cost so much."""
        now, amount = clock.now(), Decimal(gross)
        cdr = CdrIssued(
            at=now,
            tenant=ACME,
            station=STATION,
            session=SessionId(f"session-{payment}"),
            cdr=f"cdr-{payment}",
            number=1,
            tariff="AC",
            tariff_version=1,
            token=TokenId(f"token-{payment}"),
            account=account_of(payment),
            started_at=now - timedelta(minutes=1),
            ended_at=now,
            priced=Priced(currency="EUR", total_excl=amount, total_incl=amount, energy_wh=500, seconds=60),
        )
        await self.says(BILLS, cdr, f"cdr {payment}")

    async def ledger(self, payment: str, kind: type[E], *, within: float = 60) -> E:
        """Return the first of these that becomes of a payment."""
        return await said(
            self.settings, LEDGER, kind, lambda each: _account(each) == account_of(payment), within=within
        )

    async def over(self, payment: str) -> PaymentSettled:
        return await self.ledger(payment, PaymentSettled)

    async def all_delivered(self) -> None:
        """Return when the provider has nothing left to say."""

        async def silent() -> bool:
            return bool((await self.stripe.client.get(f"{self.stripe.url}/control/undelivered")).json() == 0)

        await until(silent)

    async def all_heard(self, payment: str) -> list[Any]:
        """Return all that the ledger says of a payment, once everything posted until now has been heard."""
        mark = RequestId(str(uuid4()))
        last = AdjustmentAsked(
            at=clock.now(),
            tenant=ACME,
            account=account_of(payment),
            request=mark,
            amount=Decimal(0),
            currency="EUR",
            reason="nothing",
            requested_by="key",
        )
        await self.says(POSTINGS, last, mark)
        await said(self.settings, LEDGER, PostingRefused, lambda each: each.request == mark)
        return await self.written(LEDGER, payment)

    async def written(self, topic: Topic[Any], payment: str) -> list[Any]:
        """Return all that a topic says of a payment, in order."""
        return [each for each in await events_of(self.settings, topic) if each.account == account_of(payment)]


def account_of(payment: str) -> AccountId:
    return AccountId(f"adhoc-{payment}")


def _account(event: Any) -> AccountId:
    return AccountId(event.account)


@asynccontextmanager
async def shop(kafka: str, topic_prefix: str, sqlite_url: str, folder: Path, *services: str) -> AsyncIterator[Shop]:
    """Run these services and a fake of Stripe; its webhooks come to the api, if that is one of them."""
    settings = Settings(
        kafka=kafka, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000, sql=SecretStr(sqlite_url)
    )
    await create_topics(settings)
    await views.migrate(settings)
    async with AsyncExitStack() as stack:
        stripe, log = await stack.enter_async_context(till(folder)), Log(settings, linger_ms=0)
        await log.start()
        stack.push_async_callback(log.stop)
        parts = [part_of(settings, folder, name, **paying_by(stripe)) for name in services]
        await stack.enter_async_context(serving(*parts))
        api = next((part for part in parts if part.name == "api"), None)
        hook = "" if api is None else api.health.replace("/readyz", "/v1/webhooks/stripe")
        yield Shop(settings, log, stripe, hook)
