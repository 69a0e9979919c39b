"""Billing over a real Kafka: what it has forgotten is looked up in the log and corrected, by late values and by a re-rating."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from msgspec.structs import replace

from chassis.kafka import create_topics
from chassis.service import Service
from chassis.settings import Settings
from contracts.bills import CdrCredited, CdrIssued, LateUsageHeard, SessionRecalled
from contracts.event import Event, JobId, SessionId
from contracts.ratings import ByTariff
from contracts.reference import TariffAssignment
from contracts.reviews import PastBillFound
from contracts.topics import BILLS, RATINGS, REVIEWS, SESSIONS, TARIFFS, Topic
from services.billing.state import CLOSED
from services.billing.worker import serve
from tests.billing.says import ACME, NOON, SESSION, corrected, delivered, ended, started, version
from tests.chassis.test_loop import everything, until
from tests.rerating.given import asked, tariff
from tests.rerating.test_worker import rows, work, write

pytestmark = pytest.mark.timeout(300)

E = TypeVar("E", bound=Event)
MANY = CLOSED + 3


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, cdr_hold_s=0, session_timeout_ms=6000)
    await create_topics(settings)
    assigned = TariffAssignment(at=NOON, tenant=ACME, version=1, id="tenant", tariff="AC")
    await write(settings, TARIFFS, [version(), assigned])
    return settings


@asynccontextmanager
async def billing(settings: Settings) -> AsyncIterator[None]:
    """Run all that billing runs, and stop it as it is stopped in production."""
    service = Service("billing")
    task = asyncio.create_task(serve(settings, service))
    try:
        async with asyncio.timeout(60):
            while not service.is_ready and not task.done():
                await asyncio.sleep(0.02)
        yield
    finally:
        service.stopping.set()
        await task


def history(session: str, minutes: int) -> list[Event]:
    """Return what sessions says of an hour of charging."""
    id, hour = SessionId(session), 10_000
    begun = started(session=id, minutes=minutes).event
    over = replace(ended(minutes + 60, hour).event, session=id)
    return [begun, delivered(minutes + 30, hour // 2, session=id).event, over]


async def said(settings: Settings, topic: Topic[Any], kind: type[E]) -> list[E]:
    records = await everything(settings, topic.name)
    events = [topic.decode(record.value or b"") for record in records]
    return [event for event in events if isinstance(event, kind)]


async def come(settings: Settings, kind: type[E], count: int, topic: Topic[Any] = BILLS) -> list[E]:
    """Return the events of a kind, once there are so many."""
    found: list[E] = []

    async def there() -> bool:
        found[:] = await said(settings, topic, kind)
        return len(found) >= count

    await until(there, within=60)
    return found


async def billed(settings: Settings) -> None:
    """Have so many sessions billed that the first is forgotten."""
    sessions = [SESSION, *(f"o-{n}" for n in range(MANY))]
    await write(settings, SESSIONS, [event for n, id in enumerate(sessions) for event in history(id, 100 * n)])
    await come(settings, CdrIssued, MANY + 1)


MANY_DEARER = (MANY + 1) * Decimal("1.25")
"""10 kWh of each at 0.10 more, and 25 % of taxes."""


def total(events: Sequence[CdrIssued | CdrCredited]) -> Decimal:
    amounts = (each.priced.total_incl if isinstance(each, CdrIssued) else each.total_incl for each in events)
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


async def test_late_values_of_a_forgotten_session_correct_it_exactly_once(settings: Settings) -> None:
    async with billing(settings):
        await billed(settings)
        await write(settings, SESSIONS, [corrected(60, 12_000, recorded=0).event])
        await come(settings, CdrCredited, 1)
        [found] = await come(settings, PastBillFound, 1, REVIEWS)
        await write(settings, REVIEWS, [found])
        await write(settings, SESSIONS, history("last", 100_000))
        await come(settings, CdrIssued, MANY + 3)
    assert len(await said(settings, BILLS, LateUsageHeard)) == len(await said(settings, BILLS, SessionRecalled)) == 1
    [credit] = await said(settings, BILLS, CdrCredited)
    first, second = [each for each in await said(settings, BILLS, CdrIssued) if each.session == SESSION]
    assert (credit.session, credit.credits, second.corrects, second.number) == (SESSION, first.cdr, first.cdr, 2)
    assert (credit.total_excl, credit.started_at) == (Decimal("-4.00"), first.started_at)
    assert (first.priced.total_excl, second.priced.total_excl) == (Decimal("4.00"), Decimal("4.80"))


async def test_a_re_rating_that_is_applied_comes_to_what_its_dry_run_said(settings: Settings) -> None:
    by = ByTariff(tariff("0.50"), version=7)
    async with billing(settings):
        await billed(settings)
        await write(settings, RATINGS, [asked(by, job=JobId("dry"))])
        assert await work(settings)
        assert await said(settings, BILLS, CdrCredited) == []
        await write(settings, RATINGS, [asked(by, job=JobId("wet"), mode="apply", raises=True)])
        assert await work(settings)
        credits = await come(settings, CdrCredited, MANY + 1)
        cdrs = await come(settings, CdrIssued, 2 * (MANY + 1))
    dry = {row.session: (row.gross_before, row.gross_after) for row in await rows(settings, "dry")}
    new = {each.session: each for each in cdrs if each.job == "wet"}
    assert len(dry) == len(new) == len(credits) == MANY + 1
    for credit in credits:
        assert credit.total_incl is not None
        assert (-credit.total_incl, new[credit.session].priced.total_incl) == dry[credit.session]
        assert new[credit.session].corrects == credit.credits
    assert total([*credits, *new.values()]) == MANY_DEARER
