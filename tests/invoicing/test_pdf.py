"""A document on paper."""

from io import BytesIO
from typing import Any

import facturx
import pytest
from lxml import etree
from msgspec.structs import replace
from pypdf import PdfReader
from typst import TypstError

from services.invoicing import pdf
from services.invoicing.cii import write
from services.invoicing.document import Document
from services.invoicing.parties import Buyer
from services.invoicing.pdf import Press, embedded, missing
from tests.invoicing.given import BUYER, SELLER, charged, share
from tests.invoicing.test_cii import NASTY, VALID, document

PRESS = Press()
XMP = {"fx": "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#", "pdfaid": "http://www.aiim.org/pdfa/ns/id/"}


def printed(document: Document) -> bytes:
    return PRESS.print(document, write(document))


def text_of(made: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(made)).pages)


def root_of(made: bytes) -> Any:
    return PdfReader(BytesIO(made)).trailer["/Root"]


@pytest.mark.parametrize("name", [name for name in VALID if name != "500 lines"])
def test_the_xml_is_inside_byte_for_byte(name: str) -> None:
    made = printed(VALID[name])
    assert embedded(made) == write(VALID[name])
    assert facturx.get_xml_from_pdf(made)[0] == "factur-x.xml"


def test_it_says_that_it_is_pdf_a_3b_and_factur_x() -> None:
    said = etree.fromstring(root_of(printed(VALID["one line"]))["/Metadata"].get_data())
    found = {
        path: [each.text for each in said.iterfind(f".//{path}", XMP)]
        for path in (
            "pdfaid:part",
            "pdfaid:conformance",
            "fx:DocumentType",
            "fx:DocumentFileName",
            "fx:Version",
            "fx:ConformanceLevel",
        )
    }
    assert found == {
        "pdfaid:part": ["3"],
        "pdfaid:conformance": ["B"],
        "fx:DocumentType": ["INVOICE"],
        "fx:DocumentFileName": ["factur-x.xml"],
        "fx:Version": ["1.0"],
        "fx:ConformanceLevel": ["EN 16931"],
    }


def test_it_has_what_pdf_a_3b_wants() -> None:
    made = printed(VALID["one line"])
    root = root_of(made)
    (intent,) = root["/OutputIntents"]
    assert (intent["/S"], intent["/DestOutputProfile"]["/N"]) == ("/GTS_PDFA1", 3)
    (file,) = root["/AF"]
    assert (file["/AFRelationship"], file["/EF"]["/F"]["/Subtype"]) == ("/Alternative", "/text/xml")
    assert made.startswith(b"%PDF-1.7")
    assert "/ID" in PdfReader(BytesIO(made)).trailer
    pages: list[Any] = list(PdfReader(BytesIO(made)).pages)
    fonts = [font for page in pages for font in page["/Resources"]["/Font"].values()]
    assert fonts
    assert all(_is_embedded(font.get_object()) for font in fonts)


def _is_embedded(font: Any) -> bool:
    descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
    return any(name in descriptor for name in ("/FontFile2", "/FontFile3"))


def test_the_same_document_is_the_same_bytes() -> None:
    assert printed(VALID["several rates"]) == printed(VALID["several rates"])


def test_it_says_what_people_want_to_know() -> None:
    said = text_of(printed(VALID["several rates"]))
    for each in ("Invoice 2026-INV-000001", "Acme Lade GmbH", "Anna Ånsås", "2026-12-01", "2026-11-01 to 2026-11-30",
                 "Hafen", "12.346", "DE136695976", "5.5 %", "13.05", "15.15", "Please pay by 2026-12-15", "page 1 of 1", "DE89370400440532013000"):  # fmt: skip
        assert each in said, said


def test_a_credit_note_says_what_it_corrects_and_asks_for_nothing() -> None:
    said = text_of(printed(VALID["credit note"]))
    assert "Credit note 2026-INV-000001" in said
    assert "We credit the following of invoice 2026-INV-000001" in said
    assert "IBAN" not in said


def test_a_fee_and_what_an_allowance_gave_back_stand_on_it() -> None:
    said = text_of(printed(VALID["a subscription"]))
    assert "Subscription, Plus" in said
    assert "Allowance, Hafen" in said
    assert "-4.00" in said


def test_why_there_is_no_vat_is_on_it() -> None:
    assert "Reverse charge" in text_of(printed(VALID["reverse charge"]))
    assert "none: Not subject to VAT" in text_of(printed(VALID["not subject, of a small seller"]))


def test_many_lines_take_many_pages_with_their_heads_and_numbers() -> None:
    made = printed(VALID["500 lines"])
    pages = PdfReader(BytesIO(made)).pages
    assert len(pages) > 10
    assert all("Charged at" in page.extract_text() for page in pages[:-1])
    assert f"page {len(pages)} of {len(pages)}" in pages[-1].extract_text()
    assert len(made) < 200_000


@pytest.mark.parametrize(
    "text", ['#panic("x")', "*b* _i_ $x$ `c`", "#let x = 1", "@ref <label>", "// no /* end", "\\ \" '"]
)
def test_a_name_is_text_and_never_markup(text: str) -> None:
    made = printed(document([charged(1, share("1.00"), place=text)], buyer=replace(BUYER, name=text, street=text)))
    assert text_of(made).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").count(text) == 3


def test_what_no_font_has_is_a_box_and_all_else_stays() -> None:
    buyer = replace(BUYER, name="Müller 漢字 עברית", street=NASTY)
    made = printed(document([charged(1, share("1.00"))], buyer=buyer))
    assert "Müller □□" in text_of(made)
    assert "漢字" in embedded(made).decode()


def test_what_typst_misses_is_named() -> None:
    assert missing('the text `"漢"` could not be displayed … the text `"\\u{1}"` could not be displayed') == {
        "漢",
        "\x01",
    }


def test_what_typst_says_otherwise_is_our_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(pdf, "TEMPLATE", tmp_path / "wrong.typ")
    (tmp_path / "wrong.typ").write_text("#panic()")
    with pytest.raises(TypstError):
        printed(VALID["one line"])


def test_a_buyer_without_a_name_is_the_account() -> None:
    assert "adhoc-1" in text_of(
        printed(document([charged(1, share("1.00"))], buyer=Buyer(account="adhoc-1", pays="paid")))
    )


def test_a_seller_with_little_to_say_says_that() -> None:
    seller = replace(SELLER, vat_id="", tax_number="12/3", registration="", email="", iban="")
    assert "Tax number 12/3" in text_of(printed(document([charged(1, share("1.00"))], seller=seller)))
