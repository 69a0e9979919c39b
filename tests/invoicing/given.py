"""What invoicing hears and knows, for tests: November of an account at Acme."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from contracts.bills import TaxShare
from contracts.currencies import unit
from contracts.event import AccountId, InvoiceId, Message, SessionId, SiteId, StationId, TenantId
from contracts.invoices import InvoiceIssued, InvoiceRendered, NumberAsked
from contracts.ledger import InvoiceDrafted, SessionCharged
from contracts.postings import Source
from services.invoicing.document import Charged
from services.invoicing.parties import Buyer, Seller

ACME, ANNA = TenantId("acme"), AccountId("anna")
NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
SERIES = "2026-INV"
SELLER = Seller(
    name="Acme Lade GmbH",
    street="Hafenstraße 1",
    postal_code="20457",
    city="Hamburg",
    country="DE",
    vat_id="DE136695976",
    registration="HRB 4711",
    email="billing@acme.example",
    iban="DE89370400440532013000",
    time_zone="Europe/Berlin",
)
BUYER = Buyer(account="anna", name="Anna Ånsås", street="Gate 1", postal_code="0150", city="Oslo", country="DE")


def money(text: str | Decimal | int, currency: str = "EUR") -> Decimal:
    return Decimal(text).quantize(unit(currency), ROUND_HALF_UP)


def share(net: str, rate: str | None = "19", currency: str = "EUR") -> TaxShare:
    tax = Decimal(net) * Decimal(rate or 0) / 100
    return TaxShare(None if rate is None else Decimal(rate), money(net, currency), money(Decimal(net) + tax, currency))


def charged(number: int, *taxes: TaxShare, **other: Any) -> Charged:
    """Return the `number`-th session of the month."""
    said: dict[str, Any] = {
        "cdr": f"cdr-{number:04}",
        "net": sum((tax.net for tax in taxes), Decimal(0)),
        "gross": sum((tax.gross for tax in taxes), Decimal(0)),
        "taxes": taxes,
        "energy_wh": 12_345 + number,
        "started_at": NOVEMBER + timedelta(hours=number % 700, minutes=7),
        "station": "CP-1",
        "place": "Hafen",
        "country": "DE",
        "time_zone": "Europe/Berlin",
    }
    return Charged(**said | other)


def collected(sessions: Iterable[Charged], currency: str = "EUR") -> tuple[TaxShare, ...]:
    """Return VAT once for each rate, on the sum of its nets (D-2)."""
    nets: dict[Decimal | None, Decimal] = {}
    for each in (share for session in sessions for share in session.taxes):
        nets[each.rate] = nets.get(each.rate, Decimal(0)) + each.net
    return tuple(
        TaxShare(rate, net, net + money(net * (rate or 0) / 100, currency))
        for rate, net in sorted(nets.items(), key=lambda item: item[0] or 0)
    )


def drafted(
    sessions: Sequence[Charged],
    kind: Literal["invoice", "credit_note"] = "invoice",
    currency: str = "EUR",
    **other: Any,
) -> InvoiceDrafted:
    taxes = collected(sessions, currency)
    said: dict[str, Any] = {
        "at": DECEMBER,
        "tenant": ACME,
        "account": ANNA,
        "invoice": InvoiceId("1-november"),
        "kind": kind,
        "series": SERIES,
        "currency": currency,
        "period_start": NOVEMBER,
        "period_end": DECEMBER,
        "first_entry": 1,
        "last_entry": max(1, len(sessions)),
        "lines": len(sessions),
        "net": sum((tax.net for tax in taxes), Decimal(0)),
        "gross": sum((tax.gross for tax in taxes), Decimal(0)),
        "taxes": taxes,
    }
    return InvoiceDrafted(**said | other)


def asked(offset: int, invoice: str = "", part: int = 0) -> Message[NumberAsked]:
    """Return that a draft wants a number, which lies at this offset of `ledger`."""
    draft = drafted([], invoice=InvoiceId(invoice or f"{part}-{offset}"))
    event = NumberAsked(at=DECEMBER, tenant=ACME, series=SERIES, source=Source(part, offset), draft=draft)
    return Message(event, f"asked-{part}-{offset}", DECEMBER)


def entry(number: int, invoice: str, **more: Any) -> dict[str, Any]:
    """Return what the `number`-th entry of Anna's account says, that is a line of this document."""
    said: dict[str, Any] = {
        "at": DECEMBER,
        "tenant": ACME,
        "account": ANNA,
        "entry": number,
        "currency": "EUR",
        "movement": None,
        "balance": Decimal(0),
        "source": Source(0, number),
        "invoice": InvoiceId(invoice),
        "session": SessionId("s"),
        "station": StationId("CP-1"),
    }
    return said | more


def entered(number: int, invoice: str, tax: TaxShare, **more: Any) -> SessionCharged:
    """Return that a session was entered, at the harbour."""
    amounts = {"net": tax.net, "gross": tax.gross, "taxes": (tax,)}
    about = {"cdr": f"cdr-{number}", "site": SiteId("harbour"), "energy_wh": 5000, "started_at": NOVEMBER}
    times = {"ended_at": NOVEMBER, "period_start": NOVEMBER, "period_end": DECEMBER}
    return SessionCharged(**entry(number, invoice, **amounts | about | times | more))


def written(draft: InvoiceDrafted) -> InvoiceRendered:
    return InvoiceRendered(
        at=DECEMBER,
        tenant=draft.tenant,
        invoice=draft.invoice,
        account=draft.account,
        name="2026-INV-000001",
        pdf=b"%PDF",
        pdf_sha256="aa",
        xml=b"packed",
        xml_sha256="bb",
    )


def issued(draft: InvoiceDrafted, number: int = 1, source: Source | None = None) -> InvoiceIssued:
    return InvoiceIssued(
        at=draft.at,
        tenant=draft.tenant,
        series=draft.series,
        number=number,
        name=f"{draft.series}-{number:06}",
        draft=draft,
        source=source or Source(0, 0),
    )
