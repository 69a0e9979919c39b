"""What an amount's VAT is called."""

from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.invoicing.parties import VatRule
from services.invoicing.vat import Decision, decide
from tests.invoicing.given import BUYER, SELLER

DAY = date(2026, 11, 30)
ABROAD = replace(BUYER, country="NL", vat_id="NL004495445B01")
A_PERSON = replace(ABROAD, vat_id="")


@pytest.mark.parametrize(
    ("buyer", "rate", "category"),
    [
        (BUYER, "19", "S"),
        (ABROAD, "19", "S"),
        (BUYER, "0", "Z"),
        (ABROAD, "0", "AE"),
        (ABROAD, None, "O"),
        (A_PERSON, "0", "Z"),
    ],
)
def test_what_counts_where_a_seller_says_nothing(buyer: object, rate: str | None, category: str) -> None:
    assert isinstance(buyer, type(BUYER))
    assert decide(SELLER, buyer, "DE", DAY, None if rate is None else Decimal(rate)).category == category


def test_the_first_rule_that_fits_counts_and_only_in_its_days() -> None:
    rules = (
        VatRule(until=DAY, category="E", text="until then"),
        VatRule(since=DAY, place="CH", category="O", text="there"),
        VatRule(seller="DE", buyer="NL", category="AE", text="them"),
        VatRule(category="Z"),
    )
    seller = replace(SELLER, vat=rules)
    assert decide(seller, BUYER, "DE", date(2026, 11, 29), Decimal(0)) == Decision("E", "until then")
    assert decide(seller, BUYER, "CH", DAY, Decimal(0)) == Decision("O", "there")
    assert decide(seller, ABROAD, "DE", DAY, Decimal(0)) == Decision("AE", "them")
    assert decide(seller, BUYER, "DE", DAY, Decimal(0)) == Decision("Z")


@pytest.mark.parametrize("other", [VatRule(seller="AT", category="E"), VatRule(buyer="AT", category="E")])
def test_a_rule_for_another_country_does_not_fit(other: VatRule) -> None:
    seller = replace(SELLER, vat=(other, VatRule(category="Z")))
    assert decide(seller, BUYER, "DE", DAY, Decimal(0)) == Decision("Z")
