"""Makes the papers of what has a number: the PDF and its XML."""

import asyncio
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from contracts.event import InvoiceId, TenantId
from contracts.invoices import InvoiceIssued, InvoiceRendered
from contracts.ledger import InvoiceDrafted
from services.invoicing.cii import write
from services.invoicing.document import Charged, Document, DoesNotAddUp, Original, compose
from services.invoicing.parties import Buyer, Seller
from services.invoicing.pdf import Press

LARGEST = 2_500_000
"""What a PDF and its packed XML may take together, in bytes: a record holds no more."""


class NotYet(Exception):
    """A document cannot be written now. The message says why."""


class NoSeller(NotYet):
    """And not before the process has started again, with a seller."""


class Known(Protocol):
    """What is known of accounts and their sessions."""

    async def sessions(self, draft: InvoiceDrafted) -> Sequence[Charged]: ...

    def buyer(self, draft: InvoiceDrafted) -> Buyer | None: ...

    async def original(self, tenant: TenantId, invoice: InvoiceId) -> Original | None: ...

    async def unwritten(self, tenants: Iterable[str], before: datetime, limit: int) -> Sequence[InvoiceIssued]: ...


class Printer:
    """Everything that a document is made of."""

    def __init__(self, sellers: Mapping[str, Seller], known: Known, press: Press) -> None:
        self._sellers, self._known, self._press = sellers, known, press

    async def left_over(self, before: datetime, limit: int) -> Sequence[InvoiceIssued]:
        """Return what had its number before then and has no document, although it has a seller. Raises `NotYet`."""
        return await self._known.unwritten(self._sellers, before, limit)

    async def render(self, issued: InvoiceIssued) -> InvoiceRendered:
        """Return the document. Raises `NotYet`."""
        document = await self._document(issued)
        pdf, xml = await asyncio.to_thread(self._printed, document)
        packed = zlib.compress(xml, 9)
        if len(pdf) + len(packed) > LARGEST:
            raise NotYet(f"it takes {len(pdf) + len(packed)} bytes, more than {LARGEST}")
        return InvoiceRendered(
            at=issued.at,
            tenant=issued.tenant,
            invoice=issued.draft.invoice,
            account=issued.draft.account,
            name=issued.name,
            pdf=pdf,
            pdf_sha256=sha256(pdf).hexdigest(),
            xml=packed,
            xml_sha256=sha256(xml).hexdigest(),
        )

    async def _document(self, issued: InvoiceIssued) -> Document:
        draft = issued.draft
        if (seller := self._sellers.get(issued.tenant)) is None:
            raise NoSeller(f"VOLTSTREAM_SELLERS names no seller for {issued.tenant}")
        if (buyer := self._known.buyer(draft)) is None:
            raise NotYet(f"the tables know no account {draft.account}")
        original = None
        if draft.refers_to and (original := await self._known.original(draft.tenant, draft.refers_to)) is None:
            raise NotYet(f"the tables know no invoice {draft.refers_to}")
        try:
            return compose(issued, seller, buyer, await self._known.sessions(draft), original)
        except DoesNotAddUp as why:
            raise NotYet(str(why)) from why

    def _printed(self, document: Document) -> tuple[bytes, bytes]:
        xml = write(document)
        return self._press.print(document, xml), xml
