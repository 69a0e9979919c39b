"""What is written of what has a number, and when it cannot be."""

import asyncio
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest

from contracts.event import AccountId, InvoiceId, Message, TenantId
from contracts.invoices import InvoiceIssued, InvoiceRendered
from contracts.ledger import InvoiceDrafted
from services.invoicing import printer as module
from services.invoicing import renderer
from services.invoicing.document import Charged, Original
from services.invoicing.parties import Buyer
from services.invoicing.pdf import Press, embedded
from services.invoicing.printer import NotYet, Printer
from services.invoicing.renderer import build, patiently
from services.invoicing.sweeper import left_over
from tests.invoicing.given import ACME, BUYER, DECEMBER, NOVEMBER, SELLER, charged, drafted, issued, share

PRESS = Press()


class Known:
    """Knows what a test says."""

    def __init__(self, *sessions: Charged) -> None:
        self.found: list[Charged] = list(sessions)
        self.account: Buyer | None = BUYER
        self.corrected: Original | None = None
        self.waiting: list[InvoiceIssued] = []

    async def sessions(self, draft: InvoiceDrafted) -> Sequence[Charged]:  # noqa: ARG002 - as it is called
        return self.found

    def buyer(self, draft: InvoiceDrafted) -> Buyer | None:  # noqa: ARG002
        return self.account

    async def original(self, tenant: TenantId, invoice: InvoiceId) -> Original | None:  # noqa: ARG002
        return self.corrected

    async def unwritten(
        self,
        tenants: Iterable[str],
        before: datetime,  # noqa: ARG002
        limit: int,
    ) -> Sequence[InvoiceIssued]:
        return [each for each in self.waiting if each.tenant in tenants][:limit]


SESSION = charged(1, share("10.00"))
ISSUED = issued(drafted([SESSION]))


def printer(known: Known) -> Printer:
    return Printer({ACME: SELLER}, known, PRESS)


async def test_a_document_is_written_with_its_digests() -> None:
    paper = await printer(Known(SESSION)).render(ISSUED)
    xml = zlib.decompress(paper.xml)
    assert (paper.tenant, paper.invoice, paper.account, paper.name) == (ACME, "1-november", "anna", "2026-INV-000001")
    assert embedded(paper.pdf) == xml
    assert (paper.pdf_sha256, paper.xml_sha256) == (sha256(paper.pdf).hexdigest(), sha256(xml).hexdigest())


async def test_a_repetition_writes_the_same() -> None:
    assert await printer(Known(SESSION)).render(ISSUED) == await printer(Known(SESSION)).render(ISSUED)


async def test_nothing_is_written_before_all_of_it_is_known() -> None:
    known, note = Known(), issued(drafted([SESSION], refers_to=InvoiceId("earlier")))
    with pytest.raises(NotYet, match="0 sessions of 1"):
        await printer(known).render(ISSUED)
    with pytest.raises(NotYet, match="no invoice earlier"):
        await printer(known).render(note)
    known.found, known.corrected = [SESSION], Original("2026-INV-000001", NOVEMBER)
    assert (await printer(known).render(note)).name == "2026-INV-000001"
    known.account = None
    with pytest.raises(NotYet, match="no account anna"):
        await printer(known).render(ISSUED)


async def test_what_fits_no_record_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(NotYet, match="more than 1000"):
        await printer(Known(SESSION)).render(ISSUED)


async def test_a_renderer_waits_until_the_tables_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "RETRY_S", 0.01)
    known = Known()
    writing = asyncio.create_task(patiently(printer(known), ISSUED, patience_s=30))
    await asyncio.sleep(0)
    known.found = [SESSION]
    (paper,) = await writing
    assert paper.invoice == "1-november"


async def test_it_does_not_wait_for_ever_and_for_a_seller_not_at_all() -> None:
    assert await patiently(printer(Known()), ISSUED, patience_s=0) == []
    assert await patiently(Printer({}, Known(SESSION), PRESS), ISSUED, patience_s=3600) == []


async def test_a_follower_writes_what_it_hears() -> None:
    follower = build(printer(Known(SESSION)))
    message: Message[Any] = Message(ISSUED, "id", DECEMBER)
    (paper,) = await follower.carry_out(message)
    assert isinstance(paper, InvoiceRendered)


async def test_what_was_left_over_is_written_as_soon_as_it_can_be() -> None:
    known = Known(SESSION)
    other = issued(drafted([], account=AccountId("berta"), lines=7))
    strange = issued(drafted([SESSION], tenant=TenantId("nobody")))
    known.waiting = [other, strange, ISSUED]
    assert [paper.invoice async for paper in left_over(printer(known))] == ["1-november"]
