"""Documents with numbers. Drafts wait for theirs in `drafts`, keyed by series; `invoices` says which number each got.

Written by invoicing only. A document is never edited: what was wrong is taken back by a credit note, which has a number of its own (CDR-21).
"""

from contracts.event import AccountId, Event, InvoiceId, TenantId
from contracts.ledger import InvoiceDrafted
from contracts.postings import Source


class OfSeries(Event, frozen=True, kw_only=True):
    """An event about one series of document numbers; its key is `tenant/series`."""

    tenant: TenantId
    series: str


class NumberAsked(OfSeries, frozen=True, kw_only=True):
    """A draft wants the next number of its series. Carried over from `ledger`, of each partition in order; `source` says from where."""

    source: Source
    draft: InvoiceDrafted


class InvoiceIssued(OfSeries, frozen=True, kw_only=True):
    """The draft has its number, for ever: numbers of a series begin with 1 and have no gap (CDR-20)."""

    number: int
    name: str
    """As people say it, such as `2026-INV-000017`."""
    draft: InvoiceDrafted
    source: Source
    """Where the draft lies in `ledger`: what comes from there again is heard already."""


class InvoiceRendered(Event, frozen=True, kw_only=True):
    """The document as it is sent, byte for byte. Its key is `tenant/invoice`. Of several, the first counts: they say the same."""

    tenant: TenantId
    invoice: InvoiceId
    account: AccountId
    name: str
    pdf: bytes
    """PDF/A-3b with the XML inside (Factur-X)."""
    pdf_sha256: str
    xml: bytes
    """EN 16931 as UN/CEFACT CII, packed (zlib): thousands of lines say nearly the same."""
    xml_sha256: str
    """Of the XML unpacked."""


InvoiceEvent = InvoiceIssued | InvoiceRendered
