"""Accounts over a real Kafka, in a process that is killed while it works: every entry once, without a gap, to the cent."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from chassis import clock, replay
from chassis import kafka as kafka_
from chassis.kafka import Log, TopicPartition, full
from chassis.settings import Settings
from contracts.event import AccountId
from contracts.ledger import AllowanceConsumed, Entry, LedgerEvent, ProviderAsked, SessionCharged, SubscriptionCharged
from contracts.postings import CdrPosted, TermsChanged
from contracts.topics import ACCOUNTS as ACCOUNTS_TOPIC
from contracts.topics import LEDGER, POSTINGS
from services.accounts import worker
from tests.accounts.says import DRIVER, Ledger, postpaid, prepaid
from tests.accounts.test_subscriptions import PLUS, priced
from tests.chassis.test_loop import running

pytestmark = pytest.mark.timeout(300)

ACCOUNTS = 4
POSTINGS_OF_EACH = 50


async def ledger(settings: Settings) -> list[LedgerEvent]:
    """Return all that the ledger says by now."""
    consumer = kafka_.plain_consumer(settings)
    await consumer.start()
    found: list[LedgerEvent] = []
    try:
        places = [TopicPartition(full(settings, LEDGER.name), number) for number in range(settings.partitions)]
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < end:
                for raw in (await consumer.getmany(place, timeout_ms=100)).get(place, []):
                    found.append(LEDGER.decode(raw.value))  # noqa: PERF401 (async)
    finally:
        await consumer.stop()
    return found


async def started(settings: Settings) -> asyncio.subprocess.Process:
    ours = {
        "VOLTSTREAM_KAFKA": settings.kafka,
        "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "VOLTSTREAM_PARTITIONS": str(settings.partitions),
        "VOLTSTREAM_SESSION_TIMEOUT_MS": "6000",
        "VOLTSTREAM_HEALTH_PORT": "0",
        "VOLTSTREAM_SECRET": "s" * 64,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.accounts", env=os.environ | ours, stdout=asyncio.subprocess.DEVNULL
    )


async def killed(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def until(settings: Settings, enough: Callable[[list[LedgerEvent]], bool]) -> list[LedgerEvent]:
    async with asyncio.timeout(60):
        while not enough(found := await ledger(settings)):
            await asyncio.sleep(0.1)
    return found


def posted() -> tuple[dict[AccountId, Decimal], list[CdrPosted]]:
    """Return what each account comes to owe, and its postings: in order for each, and many of them twice or thrice."""
    dice = random.Random(7)
    sums: dict[AccountId, Decimal] = {}
    postings: list[list[CdrPosted]] = []
    for number in range(ACCOUNTS):
        one = Ledger(AccountId(f"driver-{number}"))
        bills = [one.cdr(f"{dice.randrange(10_000) / 100:.2f}", session=f"s{n}") for n in range(POSTINGS_OF_EACH)]
        sums[one.account] = -sum((bill.gross for bill in bills), Decimal(0))
        again = [(start := dice.randrange(n + 1), bills[start : n + 1])[1] for n in range(5, POSTINGS_OF_EACH, 9)]
        postings.append(bills[:25] + [bill for part in again[:2] for bill in part] + bills[25:] + bills[10:])
    return sums, [bill for each in zip(*(_padded(p, postings) for p in postings), strict=True) for bill in each if bill]


def _padded(bills: list[CdrPosted], every: list[list[CdrPosted]]) -> list[CdrPosted | None]:
    return [*bills, *[None] * (max(map(len, every)) - len(bills))]


async def test_every_posting_counts_once_though_the_process_is_killed(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka_.create_topics(settings)
    sums, postings = posted()
    log = Log(settings, linger_ms=0)
    await log.start()
    process = await started(settings)
    try:
        for number, bill in enumerate(postings):
            await log.append(POSTINGS, bill, id=f"{number}", source="/test", timeout=30)
            if number in {120, 240}:
                await until(settings, lambda found: len(found) > 20)
                await killed(process)
                process = await started(settings)
        found = await until(settings, lambda found: len(found) >= ACCOUNTS * POSTINGS_OF_EACH)
    finally:
        await killed(process)
        await log.stop()
    for account, total in sums.items():
        entries = [each for each in found if each.account == account]
        assert all(isinstance(each, SessionCharged) for each in entries)
        assert [each.entry for each in entries if isinstance(each, SessionCharged)] == [*range(1, POSTINGS_OF_EACH + 1)]
        last = entries[-1]
        assert isinstance(last, SessionCharged)
        assert last.balance == total
    verdict = await replay.states(worker.build(settings), settings)
    assert verdict.lines() == [f"accounts.state: {ACCOUNTS} of {ACCOUNTS} equal"]


async def test_a_month_that_is_over_is_invoiced_and_collected_by_the_terms_of_the_directory(
    kafka: str, topic_prefix: str
) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka_.create_topics(settings)
    log = Log(settings, linger_ms=0)
    await log.start()
    await log.append(ACCOUNTS_TOPIC, postpaid(mandate="cus/pm"), id="a", source="/test", timeout=30)
    async with running(worker.build(settings), settings):
        long_ago = Ledger().cdr("12.40", minutes=-5_000_000, started=-5_000_060)
        await log.append(POSTINGS, long_ago, id="p", source="/test", timeout=30)
        found = await until(settings, lambda found: any(isinstance(each, ProviderAsked) for each in found))
    await log.stop()
    assert [type(each).__name__ for each in found][:5] == [
        "SessionCharged",
        "InvoiceDrafted",
        "DebtFound",
        "PaymentOpened",
        "ProviderAsked",
    ]


async def test_each_month_of_a_subscription_is_charged_once_though_the_process_is_killed(
    kafka: str, topic_prefix: str
) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=4, session_timeout_ms=6000)
    await kafka_.create_topics(settings)
    log = Log(settings, linger_ms=0)
    await log.start()
    one, agreed = Ledger(), clock.now() - timedelta(days=80)
    customer = prepaid(subscription=PLUS)
    await log.append(ACCOUNTS_TOPIC, customer, id="a", source="/test", timeout=30)
    terms = TermsChanged(at=agreed, tenant=customer.tenant, account=DRIVER, terms=customer)
    process = await started(settings)
    try:
        for number in range(40):
            if number % 10 == 0:  # said again each time, as a client does that was not answered
                await log.append(POSTINGS, terms, id=f"t{number}", source="/test", timeout=30)
            began = agreed + timedelta(days=number % 4, minutes=number)
            bill = priced(one, f"s{number}", wh=1000, net="0.40", at=began, started_at=began)
            await log.append(POSTINGS, bill, id=f"{number}", source="/test", timeout=30)
            await log.append(POSTINGS, bill, id=f"{number} again", source="/test", timeout=30)
            if number in {12, 25}:
                await until(settings, lambda found, n=number: charged(found) >= n)  # type: ignore[misc]
                await killed(process)
                process = await started(settings)
        found = await until(settings, lambda found: charged(found) == 40)
    finally:
        await killed(process)
        await log.stop()
    months = [each for each in found if isinstance(each, SubscriptionCharged)]
    assert [each.month_start for each in months[1:]] == [each.month_end for each in months[:-1]]
    assert months[0].month_start <= agreed
    assert months[-1].month_end > clock.now()
    assert len({each.id for each in months}) == len(months)
    used = [each for each in found if isinstance(each, AllowanceConsumed)]
    for month in months:
        mine = [each.energy_wh for each in used if each.month == month.id]
        begun = [each for each in found if isinstance(each, SessionCharged) and _in(month, each)]
        assert sum(mine) == min(25_000, 1000 * len(begun))
    entries = [each for each in found if isinstance(each, Entry)]
    assert [each.entry for each in entries] == [*range(1, len(entries) + 1)]
    assert entries[-1].balance == -len(months) * Decimal("9.90") - 40 * Decimal("0.50") + len(used) * Decimal("0.50")
    verdict = await replay.states(worker.build(settings), settings)
    assert verdict.lines() == ["accounts.state: 1 of 1 equal"]


def charged(found: list[LedgerEvent]) -> int:
    return sum(isinstance(each, SessionCharged) for each in found)


def _in(month: SubscriptionCharged, cdr: SessionCharged) -> bool:
    return month.month_start <= cdr.started_at < month.month_end
