"""An example of an invoice, made of nothing but what is here: to see what a seller's documents look like."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from contracts.bills import TaxShare
from contracts.event import AccountId, InvoiceId, TenantId
from contracts.invoices import InvoiceIssued
from contracts.ledger import InvoiceDrafted
from contracts.postings import Source
from services.invoicing.cii import write
from services.invoicing.document import Charged, compose
from services.invoicing.parties import Buyer, Seller
from services.invoicing.pdf import Press

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
SELLER = Seller(name="Example Charging", city="Oslo", country="NO", vat_id="NO974760673MVA", time_zone="Europe/Oslo")
BUYER = Buyer(account="fleet-7", name="Example Fleet", street="Havnegata 2", city="Oslo", country="NO")
TAXES = (TaxShare(Decimal(25), Decimal("39.60"), Decimal("49.50")),)


def written(folder: Path, seller: Seller, fonts: str) -> tuple[Path, Path]:
    """Write an invoice into a folder, and return where its PDF and its XML are."""
    document = compose(_issued(), seller, BUYER, [_session()])
    xml = write(document)
    paths = folder / "invoice.pdf", folder / "invoice.xml"
    for path, content in zip(paths, (Press(fonts).print(document, xml), xml), strict=True):
        path.write_bytes(content)
    return paths


def _session() -> Charged:
    return Charged(
        cdr="5b0c5c1e-7a0e-5d5a-9d0e-3c1f5a1e0b11",
        net=TAXES[0].net,
        gross=TAXES[0].gross,
        taxes=TAXES,
        energy_wh=11_000,
        started_at=MARCH,
        station="RDAM-123",
        place="Harbour",
        country="NO",
        time_zone="Europe/Oslo",
    )


def _issued() -> InvoiceIssued:
    draft = InvoiceDrafted(
        at=APRIL,
        tenant=TenantId("default"),
        account=AccountId(BUYER.account),
        invoice=InvoiceId("example"),
        kind="invoice",
        series="2026-INV",
        currency="NOK",
        period_start=MARCH,
        period_end=APRIL,
        first_entry=1,
        last_entry=1,
        lines=1,
        net=TAXES[0].net,
        gross=TAXES[0].gross,
        taxes=TAXES,
    )
    source, name = Source(0, 0), "2026-INV-000001"
    return InvoiceIssued(
        at=APRIL, tenant=draft.tenant, series=draft.series, number=1, name=name, draft=draft, source=source
    )
