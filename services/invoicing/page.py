"""What stands on the pages of a document, as text."""

from decimal import Decimal
from typing import Any

from services.invoicing.document import Document, Line, Vat
from services.invoicing.parties import Buyer, Seller
from services.invoicing.words import beside, energy, plain, terms

TITLES = {"invoice": "Invoice", "credit_note": "Credit note"}


def contents(document: Document) -> dict[str, Any]:
    """Return everything that the template shows."""
    it = document
    return {
        "title": f"{TITLES[it.kind]} {it.name}",
        "name": it.name,
        "currency": it.currency,
        "seller": {"name": plain(it.seller.name), "address": _address(it.seller), "footer": _footer(it.seller)},
        "buyer": [plain(it.buyer.name) or it.buyer.account, *_address(it.buyer), *_vat_id(it.buyer)],
        "facts": _facts(it),
        "wording": _wording(it),
        "lines": [_line(line, it) for line in it.lines],
        "vat": [_vat(vat, it) for vat in it.vat],
        "total": ["Total", *(money(each, it) for each in (it.net, it.tax, it.gross))],
        "notes": sorted({f"{_rate(vat.category, vat.rate)}: {plain(vat.text)}" for vat in it.vat if vat.text}),
        "terms": terms(it),
        "pay": _pay(it),
    }


def money(amount: Decimal, document: Document) -> str:
    """Return an amount with its currency's decimals and commas between thousands."""
    return f"{amount + 0:,.{document.decimals}f}"


def _facts(document: Document) -> list[tuple[str, str]]:
    corrects, corrects_on = document.original, document.original_on
    said = [
        ("Number", document.name),
        ("Date", document.issued_on.isoformat()),
        ("Period", f"{document.period_start.isoformat()} to {document.period_end.isoformat()}"),
        ("Account", plain(document.buyer.account)),
    ]
    return [*said, ("Corrects", f"{corrects.name} of {corrects_on.isoformat()}")] if corrects and corrects_on else said


def _wording(document: Document) -> str:
    if document.original is None:
        return ""
    return f"We credit the following of invoice {document.original.name}, which is reduced by these amounts."


def _line(line: Line, document: Document) -> list[str]:
    rate = _rate(line.decision.category, line.rate or Decimal(0))
    return [
        str(line.number),
        line.day.isoformat(),
        beside(line),
        energy(line.energy_wh),
        rate,
        money(line.net, document),
    ]


def _vat(vat: Vat, document: Document) -> list[str]:
    amounts = (vat.basis, vat.tax, vat.basis + vat.tax)
    return [_rate(vat.category, vat.rate), *(money(each, document) for each in amounts)]


def _rate(category: str, rate: Decimal) -> str:
    return "none" if category == "O" else f"{rate:f} %" if category in {"S", "Z"} else f"{rate:f} % ({category})"


def _address(of: Seller | Buyer) -> list[str]:
    town = " ".join(filter(None, (plain(of.postal_code), plain(of.city))))
    return [each for each in (plain(of.street), town, of.country) if each]


def _vat_id(of: Seller | Buyer) -> list[str]:
    return [f"VAT id {plain(of.vat_id)}"] if of.vat_id else []


def _footer(seller: Seller) -> list[str]:
    tax = [f"Tax number {plain(seller.tax_number)}"] if seller.tax_number else []
    return [
        plain(seller.name),
        *_vat_id(seller),
        *tax,
        *filter(None, (plain(seller.registration), plain(seller.email))),
    ]


def _pay(document: Document) -> list[tuple[str, str]]:
    seller = document.seller
    if document.kind != "invoice" or document.buyer.pays != "transfer" or not seller.iban:
        return []
    return [("IBAN", seller.iban), *([("BIC", seller.bic)] if seller.bic else []), ("For", document.name)]
