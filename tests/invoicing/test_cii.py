"""A document for machines, against the official rules of EN 16931."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from msgspec.structs import replace

from services.invoicing.cii import amount, write
from services.invoicing.document import Charged, Document, Original, compose
from services.invoicing.parties import Buyer, Seller, VatRule
from services.invoicing.words import about
from tests.invoicing.given import BUYER, NOVEMBER, SELLER, charged, drafted, issued, share
from tests.invoicing.validity import broken_rules, is_of_the_schema

ABROAD = Buyer(account="fleet", name="Fleet B.V.", city="Utrecht", country="NL", vat_id="NL004495445B01")
SMALL = replace(
    SELLER, vat_id="", tax_number="12/345/67890", registration="", email="", iban="", street="", postal_code="", city=""
)
EXEMPT = replace(SELLER, bic="COBADEFFXXX", vat=(VatRule(category="E", text="Exempt, small enterprise"),))
ORIGINAL = Original("2026-INV-000001", NOVEMBER)
NASTY = "\x00\x1b Ünïcödé 漢字 עברית <&\"'> ]]> " + "long " * 100


def amounts(net: str) -> dict[str, Any]:
    one = share(net)
    return {"net": one.net, "gross": one.gross, "taxes": (one,)}


FEE = charged(
    0, share("8.32"), what="subscription", cdr="subscription-1", energy_wh=0, place="Plus", time_zone="UTC",
    started_at=NOVEMBER - timedelta(hours=1),
)  # fmt: skip
GIVEN = charged(1, share("-4.00"), what="allowance", energy_wh=5000)


def document(
    sessions: list[Charged],
    kind: Any = "invoice",
    currency: str = "EUR",
    seller: Seller = SELLER,
    buyer: Buyer = BUYER,
) -> Document:
    original = ORIGINAL if kind == "credit_note" else None
    return compose(issued(drafted(sessions, kind, currency)), seller, buyer, sessions, original)


VALID: dict[str, Document] = {
    "one line": document([charged(1, share("10.00"))]),
    "500 lines": document([charged(n, share("3.33")) for n in range(500)]),
    "several rates": document([charged(1, share("10.00"), share("2.00", "7")), charged(2, share("1.05", "5.5"))]),
    "rounding": document([charged(n, share("0.33", "7.7")) for n in range(7)]),
    "a zero rate": document([charged(1, share("10.00", "0"))]),
    "zero and other rates": document([charged(1, share("10.00", "0"), share("3.00"))]),
    "nothing due": document([charged(1, share("0.00"))]),
    "reverse charge": document([charged(1, share("10.00", "0"))], buyer=ABROAD),
    "not subject to VAT": document([charged(1, share("10.00", None))], buyer=ABROAD),
    "not subject, of a small seller": document([charged(1, share("10.00", None))], seller=SMALL),
    "not subject, beside a rate": document([charged(1, share("10.00", None), share("1.00"))]),
    "exempt": document([charged(1, share("10.00", "0"))], seller=EXEMPT),
    "a small seller": document([charged(1, share("10.00"))], seller=SMALL),
    "yen": document([charged(1, share("523", "10", "JPY"))], currency="JPY"),
    "dinar": document([charged(1, share("1.200", "10", "KWD"))], currency="KWD"),
    "collected": document([charged(1, share("10.00"))], buyer=replace(BUYER, pays="mandate")),
    "paid": document([charged(1, share("10.00"))], buyer=Buyer(account="adhoc-1", pays="paid")),
    "a session taken back": document([charged(1, share("10.00")), charged(1, share("-4.00"), cdr="credit")]),
    "credit note": document([charged(1, share("-10.00"))], "credit_note"),
    "credit note, several rates": document([charged(1, share("-10.00"), share("-1.00", "7"))], "credit_note"),
    "credit note, reverse charge": document([charged(1, share("-10.00", "0"))], "credit_note", buyer=ABROAD),
    "credit note, yen": document([charged(1, share("-523", "10", "JPY"))], "credit_note", "JPY"),
    "credit note, paid": document([charged(1, share("-9.00"))], "credit_note", buyer=Buyer(account="a", pays="paid")),
    "a subscription": document([FEE, charged(1, share("10.00")), GIVEN]),
    "a subscription alone": document([FEE]),
    "a subscription and no VAT on energy": document([FEE, charged(1, share("10.00", None))]),
    "all that was charged is given back": document([charged(1, share("10.00")), replace(GIVEN, **amounts("-10.00"))]),
    "credit note, allowance taken again": document(
        [charged(1, share("-10.00")), replace(GIVEN, **amounts("4.00"))], "credit_note"
    ),
    "credit note of nothing": document(
        [charged(1, share("-10.00")), replace(GIVEN, **amounts("10.00"))], "credit_note"
    ),
    "names of all kinds": document(
        [charged(1, share("10.00"), place=NASTY)], buyer=replace(BUYER, name=NASTY, street=NASTY, city=NASTY)
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_it_holds_to_the_schema_and_to_every_rule(name: str) -> None:
    xml = write(VALID[name])
    assert is_of_the_schema(xml)
    assert broken_rules(xml) == []


@pytest.mark.parametrize(
    ("wrong", "right", "rule"),
    [
        (b">11.91<", b">11.90<", "BR-CO-15"),
        (b">1.91<", b">1.90<", "BR-CO-14"),
        (b">Z<", b">S<", "BR-S-"),
        (b">999<", b">380<", "'ram:TypeCode' is not allowed"),
    ],
)
def test_the_rules_notice_what_is_broken(wrong: bytes, right: bytes, rule: str) -> None:
    xml = write(VALID["one line"])
    assert xml.count(right)
    assert any(rule in said for said in broken_rules(xml.replace(right, wrong, 1)))


def test_the_third_decimal_is_exact_though_en_16931_has_none() -> None:
    xml = write(document([charged(1, share("1.234", "5", "KWD"))], currency="KWD"))
    assert b"<ram:GrandTotalAmount>1.296<" in xml
    assert is_of_the_schema(xml)
    assert any("BR-DEC" in said for said in broken_rules(xml))


def test_the_same_document_is_the_same_bytes() -> None:
    assert write(VALID["several rates"]) == write(VALID["several rates"])


def test_a_credit_note_is_one_and_names_its_original() -> None:
    xml = write(VALID["credit note"])
    assert b"<ram:TypeCode>381<" in xml
    assert b"<ram:IssuerAssignedID>2026-INV-000001<" in xml
    assert b">-" not in xml


def test_a_fee_and_what_an_allowance_gave_back_are_lines_of_their_own() -> None:
    sessions = [FEE, charged(1, share("10.00")), GIVEN]
    first, session, given = document(sessions, buyer=replace(BUYER, time_zone="Europe/Berlin")).lines
    assert [about(each) for each in (first, session, given)] == [
        "Subscription, 2026-11, Plus",
        "Charging, 2026-11-01, Hafen",
        "Allowance, 2026-11-01, Hafen",
    ]
    xml = write(VALID["a subscription"])
    assert xml.count(b">5 kWh<") == 1
    assert b"<ram:LineTotalAmount>-4.00<" in xml
    assert b"<ram:LineTotalAmount>14.32<" in xml


def test_an_amount_has_its_currencys_decimals() -> None:
    assert [str(amount(Decimal(text), decimals)) for text, decimals in (("1", 2), ("-0", 2), ("1.5", 3), ("5", 0))] == [
        "1.00",
        "0.00",
        "1.50",
        "5",
    ]
    with pytest.raises(InvalidOperation):
        amount(Decimal("1e30"), 2)
