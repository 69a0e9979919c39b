"""A thousand drafts from several writers, while the process that gives them numbers is killed again and again."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.kafka import Log, create_topics
from chassis.settings import Settings
from contracts.event import AccountId, InvoiceId
from contracts.invoices import InvoiceIssued
from contracts.ledger import InvoiceDrafted
from contracts.topics import INVOICES, LEDGER
from tests.chassis.test_loop import everything
from tests.invoicing.given import drafted

pytestmark = pytest.mark.timeout(240)

DRAFTS, WRITERS, KILLS = 1000, 4, 4
SERIES = ("2026-INV", "2026-CN", "2027-INV")


def draft(number: int) -> InvoiceDrafted:
    account = AccountId(f"account-{number % 37}")
    return drafted([], invoice=InvoiceId(f"draft-{number}"), account=account, series=SERIES[number % len(SERIES)])


async def write(settings: Settings, numbers: range) -> None:
    """Write drafts into the ledger, each now and then twice, as a ledger that is folded anew would."""
    log, dice = Log(settings, linger_ms=0), random.Random(numbers.start)
    await log.start()
    try:
        for number in numbers:
            for _ in range(2 if dice.random() < 0.05 else 1):
                await log.append(LEDGER, draft(number), id=f"drafted-{number}", source="/test", timeout=30)
    finally:
        await log.stop()


class Process:
    """Invoicing, which is started again when it has been killed."""

    def __init__(self, settings: Settings, folder: Path, **more: str) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
        self._environment = plain | {
            "VOLTSTREAM_KAFKA": settings.kafka,
            "VOLTSTREAM_TOPIC_PREFIX": settings.topic_prefix,
            "VOLTSTREAM_PARTITIONS": str(settings.partitions),
            "VOLTSTREAM_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
            "VOLTSTREAM_TRANSACTION_TIMEOUT_MS": str(settings.transaction_timeout_ms),
            "VOLTSTREAM_MEMBER": "invoicing-0",
            "VOLTSTREAM_SECRET": "a-secret-of-the-tests-and-of-nobody-else",
            "VOLTSTREAM_SQL": f"sqlite+aiosqlite:///{folder / 'voltstream.sqlite'}",
            **more,
        }
        self._log = folder / "invoicing.log"

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.invoicing", env=self._environment, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[None]:
    await process.start()
    try:
        yield
    finally:
        await process.kill()


async def issued(settings: Settings) -> list[InvoiceIssued]:
    return [INVOICES.decode(record.value) for record in await everything(settings, INVOICES.name) if record.value]


async def until_issued(settings: Settings, count: int) -> None:
    async with asyncio.timeout(90):
        while len(await issued(settings)) < count:
            await asyncio.sleep(0.2)


async def test_numbers_have_no_gap_and_each_draft_has_one_whatever_is_killed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000)
    await create_topics(settings)
    process, each = Process(settings, tmp_path), DRAFTS // WRITERS
    async with running(process):
        writing = [asyncio.create_task(write(settings, range(n * each, n * each + each))) for n in range(WRITERS)]
        for kill in range(1, KILLS + 1):
            await until_issued(settings, kill * DRAFTS // (KILLS + 2))
            await process.kill()
            await process.start()
        await asyncio.gather(*writing)
        await until_issued(settings, DRAFTS)
    found = await issued(settings)
    assert Counter(event.draft.invoice for event in found) == Counter(f"draft-{n}" for n in range(DRAFTS))
    for series in SERIES:
        numbers = [event.number for event in found if event.series == series]
        assert numbers == list(range(1, len(numbers) + 1))
