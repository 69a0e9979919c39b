"""What an amount's VAT is called: a table that each seller has, with dates (CDR-22). No rate is known here: rates come from tariffs."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from msgspec import Struct

from services.invoicing.parties import Buyer, Category, Seller, VatRule


class Decision(Struct, frozen=True):
    """A category, and why there is no VAT, in words and as a code."""

    category: Category
    text: str = ""
    code: str = ""


def decide(seller: Seller, buyer: Buyer, place: str, day: date, rate: Decimal | None) -> Decision:
    """Return what an amount is called that a tariff taxes so. None: it says nothing of VAT. What bears a rate is taxed, whatever tables say."""
    if rate:
        return Decision("S")
    rule = next(rule for rule in seller.vat if _fits(rule, seller, buyer, place, day, rate))
    return Decision(rule.category, rule.text, rule.code)


def _fits(rule: VatRule, seller: Seller, buyer: Buyer, place: str, day: date, rate: Decimal | None) -> bool:
    asked: Iterable[tuple[object, object]] = (
        (rule.seller, seller.country),
        (rule.buyer, buyer.country),
        (rule.place, place),
        (rule.abroad, buyer.country != seller.country),
        (rule.business, bool(buyer.vat_id)),
        (rule.taxable, rate is not None),
    )
    return rule.since <= day < rule.until and all(wanted is None or wanted == found for wanted, found in asked)
