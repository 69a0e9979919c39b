"""A document for machines: EN 16931 as UN/CEFACT CII, the same bytes for the same document (CDR-23).

A session is one line of one piece, whose price is its net: what it cost follows from a tariff with more than one price, so no price per
kWh times kWh would be exact. The energy is beside it as an attribute.
"""

from datetime import date, datetime
from decimal import Decimal

from drafthorse.models.accounting import ApplicableTradeTax
from drafthorse.models.document import Document as Cii
from drafthorse.models.party import TaxRegistration, TradeParty
from drafthorse.models.payment import PaymentMeans, PaymentTerms
from drafthorse.models.product import ProductCharacteristic
from drafthorse.models.tradelines import LineItem

from services.invoicing.document import Document, Line, Vat
from services.invoicing.parties import Buyer, Seller
from services.invoicing.words import about, plain, terms

EN16931 = "urn:cen.eu:en16931:2017"
TYPES = {"invoice": "380", "credit_note": "381"}
"""UNTDID 1001."""
PIECE = "C62"
MOST_DECIMALS = 2
TRANSFER, SEPA, ONLINE = "30", "58", "68"
"""UNTDID 4461."""


def write(document: Document) -> bytes:
    """Return the document as XML."""
    cii = Cii()
    cii.context.guideline_parameter.id = EN16931
    cii.header.id = document.name
    cii.header.type_code = TYPES[document.kind]
    cii.header.issue_date_time = _day(document.issued_on)
    _parties(cii, document)
    for line in document.lines:
        cii.trade.items.add(_line(line, document.decimals))
    for vat in document.vat:
        cii.trade.settlement.trade_tax.add(_vat(vat, document.decimals))
    _period_and_original(cii, document)
    _payment(cii, document)
    _totals(cii, document)
    written: bytes = cii.serialize(schema=None)
    return written


def _parties(cii: Cii, document: Document) -> None:
    """Who is not subject to VAT does not say a VAT id (BR-O-02)."""
    subject = all(vat.category != "O" for vat in document.vat)
    _seller(cii.trade.agreement.seller, document.seller, subject=subject)
    _buyer(cii.trade.agreement.buyer, document.buyer, document.seller, subject=subject)


def _seller(party: TradeParty, seller: Seller, *, subject: bool) -> None:
    party.name = plain(seller.name)
    if seller.registration:
        party.legal_organization.id = plain(seller.registration)
    elif not (subject and seller.vat_id):  # something has to say who it is (BR-CO-26)
        party.id = plain(seller.tax_number or seller.name)
    if seller.email:
        party.contact.person_name = plain(seller.name)
        party.contact.email.address = plain(seller.email)
    _address(party, seller, seller.country)
    if subject and seller.vat_id:
        _registered(party, "VA", seller.vat_id)
    elif seller.tax_number:
        _registered(party, "FC", seller.tax_number)


def _buyer(party: TradeParty, buyer: Buyer, seller: Seller, *, subject: bool) -> None:
    party.id = buyer.account
    party.name = plain(buyer.name) or buyer.account
    _address(party, buyer, buyer.country or seller.country)
    if subject and buyer.vat_id:
        _registered(party, "VA", buyer.vat_id)


def _address(party: TradeParty, of: Seller | Buyer, country: str) -> None:
    if of.postal_code:
        party.address.postcode = plain(of.postal_code)
    if of.street:
        party.address.line_one = plain(of.street)
    if of.city:
        party.address.city_name = plain(of.city)
    party.address.country_id = country


def _registered(party: TradeParty, scheme: str, id: str) -> None:
    registration = TaxRegistration()
    registration.id = (scheme, plain(id))
    party.tax_registrations.add(registration)


def _line(line: Line, decimals: int) -> LineItem:
    """A price is never below 0 (BR-27): what is taken back within an invoice is minus one piece."""
    item = LineItem()
    item.document.line_id = str(line.number)
    item.product.seller_assigned_id = line.cdr
    item.product.name = about(line)
    if line.energy_wh:
        energy = ProductCharacteristic()
        energy.description, energy.value = "Energy", f"{Decimal(line.energy_wh) / 1000:f} kWh"
        item.product.characteristics.add(energy)
    item.agreement.net.amount = amount(abs(line.net), decimals)
    item.delivery.billed_quantity = (Decimal(-1) if line.net < 0 else Decimal(1), PIECE)
    tax = item.settlement.trade_tax
    tax.type_code, tax.category_code = "VAT", line.decision.category
    if line.decision.category != "O":
        tax.rate_applicable_percent = f"{line.rate or 0:f}"
    item.settlement.monetary_summation.total_amount = amount(line.net, decimals)
    return item


def _vat(vat: Vat, decimals: int) -> ApplicableTradeTax:
    tax = ApplicableTradeTax()
    tax.calculated_amount = amount(vat.tax, decimals)
    tax.type_code, tax.category_code = "VAT", vat.category
    tax.basis_amount = amount(vat.basis, decimals)
    if vat.text:
        tax.exemption_reason = vat.text
    if vat.code:
        tax.exemption_reason_code = vat.code
    if vat.category != "O":
        tax.rate_applicable_percent = f"{vat.rate:f}"
    return tax


def _period_and_original(cii: Cii, document: Document) -> None:
    settlement = cii.trade.settlement
    settlement.currency_code = document.currency
    settlement.period.start = _day(document.period_start)
    settlement.period.end = _day(document.period_end)
    cii.trade.delivery.event.occurrence = _day(document.period_end)
    if document.original and document.original_on:
        settlement.invoice_referenced_document.issuer_assigned_id = document.original.name
        settlement.invoice_referenced_document.issue_date_time = _day(document.original_on)


def _payment(cii: Cii, document: Document) -> None:
    means, seller = PaymentMeans(), document.seller
    if document.buyer.pays != "transfer":
        means.type_code = ONLINE
        cii.trade.settlement.payment_means.add(means)
    elif seller.iban and document.kind == "invoice":
        means.type_code = SEPA if document.currency == "EUR" else TRANSFER
        means.payee_account.iban = seller.iban.replace(" ", "")
        if seller.bic:
            means.payee_institution.bic = seller.bic
        cii.trade.settlement.payment_means.add(means)
    said = PaymentTerms()
    said.description = terms(document)
    if document.buyer.pays == "transfer" and document.kind == "invoice":
        said.due = _day(document.due_on)
    cii.trade.settlement.terms.add(said)


def _totals(cii: Cii, document: Document) -> None:
    decimals, sums = document.decimals, cii.trade.settlement.monetary_summation
    sums.line_total = amount(document.net, decimals)
    sums.tax_basis_total = amount(document.net, decimals)
    sums.tax_total = (amount(document.tax, decimals), document.currency)
    sums.grand_total = amount(document.gross, decimals)
    if document.buyer.pays == "paid":
        sums.prepaid_total = amount(document.gross, decimals)
    sums.due_amount = amount(Decimal(0) if document.buyer.pays == "paid" else document.gross, decimals)


def amount(value: Decimal, decimals: int) -> Decimal:
    """Return the same amount with its currency's decimals, of which EN 16931 knows two (BR-DEC): a third only where it is not 0.

    Raises `decimal.InvalidOperation` if the amount is out of all bounds.
    """
    exact = (value + 0).quantize(Decimal(1).scaleb(-decimals))  # + 0: there is no -0
    short = exact.quantize(Decimal(1).scaleb(-min(decimals, MOST_DECIMALS)))
    return short if short == exact else exact


def _day(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  (a day has no zone)
