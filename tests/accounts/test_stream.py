"""Accounts over a real Kafka, in a process that is killed while it works: every entry once, without a gap, to the cent."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest

from chassis import kafka as kafka_
from chassis import replay
from chassis.kafka import Log, TopicPartition, full
from chassis.settings import Settings
from contracts.event import AccountId
from contracts.ledger import LedgerEvent, ProviderAsked, SessionCharged
from contracts.postings import CdrPosted
from contracts.topics import ACCOUNTS as ACCOUNTS_TOPIC
from contracts.topics import LEDGER, POSTINGS
from services.accounts import worker
from tests.accounts.says import Ledger, postpaid
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
