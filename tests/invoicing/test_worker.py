"""Invoicing as it runs: from a draft in the ledger to its papers."""

import asyncio
import zlib
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from chassis import sql
from chassis.copies import Copies
from chassis.kafka import Log, create_topics, partition_of_key
from chassis.settings import Settings
from contracts import tables
from contracts.event import AccountId, InvoiceId, Message
from contracts.invoices import InvoiceRendered
from contracts.topics import DRAFTS, INVOICES, LEDGER, PAPERS
from services.invoicing import carrier, worker
from services.invoicing.carrier import Lying
from services.invoicing.pdf import embedded
from services.views.worker import MIGRATIONS, TOPICS, Views
from tests.chassis.test_loop import everything
from tests.given import given
from tests.invoicing.given import ACME, DECEMBER, SELLER, charged, drafted, entered, share
from tests.invoicing.test_numbers import Process, running
from tests.invoicing.validity import broken_rules
from tests.views.given import chunk

AD_HOC = AccountId("adhoc-7")


def test_a_draft_is_carried_over_with_its_place_in_the_ledger() -> None:
    settings, draft = Settings(partitions=4), drafted([])
    stream = worker.build_carrier(settings)
    lying = stream.regard(Message(draft, "id", DECEMBER, offset=17), Copies())
    assert isinstance(lying, Lying)
    (asked,) = given(carrier).when(lying)
    assert (asked.series, asked.draft, asked.source.offset) == (draft.series, draft, 17)
    assert asked.source.part == partition_of_key(b"acme/anna", 4)
    assert carrier.evolve(carrier.initial, asked) == carrier.initial


def test_it_reads_the_ledger_and_writes_invoices() -> None:
    carrying, numbering = worker.build_carrier(Settings()), worker.build(Settings())
    assert (carrying.inputs, carrying.outputs, carrying.rekeyed) == ((LEDGER,), (DRAFTS,), True)
    assert (numbering.inputs, numbering.outputs) == ((DRAFTS,), (INVOICES,))


async def tables_with(settings: Settings, account: AccountId) -> None:
    """Let views have taken in that a session was entered."""
    engine = sql.build(settings)
    try:
        await sql.until_there(engine)
        await sql.migrate(engine, MIGRATIONS, tables.REVISION)
        views = Views(engine)
        await views.positions({(each.name, 0) for each in TOPICS})
        line = entered(1, "i-1", share("10.00"), account=account)
        await views.apply([chunk(LEDGER, [line])])
    finally:
        await engine.dispose()


async def paper(settings: Settings) -> InvoiceRendered:
    async with asyncio.timeout(90):
        while not (found := await everything(settings, PAPERS.name)):
            await asyncio.sleep(0.2)
    assert found[0].value is not None
    return PAPERS.decode(found[0].value)


@pytest.mark.timeout(300)
async def test_a_draft_in_the_ledger_becomes_papers_with_a_number(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    database = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'voltstream.sqlite'}")
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2, session_timeout_ms=6000, sql=database)
    await create_topics(settings)
    await tables_with(settings, AD_HOC)
    sellers = tmp_path / "sellers.json"
    sellers.write_bytes(msgspec.json.encode({ACME: SELLER}))
    draft = drafted([charged(1, share("10.00"))], account=AD_HOC, invoice=InvoiceId("i-1"))
    log = Log(settings, linger_ms=0)
    await log.start()
    try:
        await log.append(LEDGER, draft, id="drafted", source="/test", timeout=30)
    finally:
        await log.stop()
    async with running(Process(settings, tmp_path, VOLTSTREAM_SELLERS=str(sellers))):
        written = await paper(settings)
    xml = zlib.decompress(written.xml)
    assert (written.name, written.account, written.invoice) == ("2026-INV-000001", "adhoc-7", "i-1")
    assert embedded(written.pdf) == xml
    assert broken_rules(xml) == []
    assert b"11.90" in xml
