"""A document on paper: PDF/A-3b with its XML inside (Factur-X), the same bytes for the same document, without a network.

A character that no font has is shown as a box; the XML has it. `VOLTSTREAM_FONTS` names a folder with more fonts, such as for Chinese.
"""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import typst
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, StreamObject

from services.invoicing.document import Document
from services.invoicing.page import contents
from services.invoicing.xmp import said_of

TEMPLATE = Path(__file__).with_name("invoice.typ")
BOX = "\N{WHITE SQUARE}"
MISSING = re.compile(r'the text `"(.+?)"` could not be displayed')
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
TRIES = 5
TAGGED = 100
"""Up to so many lines a document is tagged for those who have it read out; of thousands, tags would be nine tenths of it."""


class Press:
    """Prints documents, with the fonts that there are."""

    def __init__(self, fonts: str = "") -> None:
        self._fonts = typst.Fonts(include_system_fonts=False, font_paths=[fonts] if fonts else [])
        own = typst.Fonts(include_system_fonts=False)
        self._families = sorted(set(self._fonts.families()) - set(own.families()))

    def print(self, document: Document, xml: bytes) -> bytes:
        """Return the document as PDF/A-3b."""
        text = json.dumps(contents(document) | {"fonts": self._families}, ensure_ascii=False)
        stamp = int(document.issued_at.timestamp())
        for _ in range(TRIES):
            try:
                return as_facturx(self._typeset(text, xml, stamp, tagged=len(document.lines) <= TAGGED))
            except typst.TypstError as wrong:
                text = _without(text, missing(wrong.diagnostic), wrong)
        raise AssertionError("the fonts lack something new each time")

    def _typeset(self, text: str, xml: bytes, stamp: int, *, tagged: bool) -> bytes:
        compiler = typst.Compiler(TEMPLATE, font_paths=self._fonts, sys_inputs={"document": text, "xml": xml.decode()})
        made = compiler.compile(format="pdf", pdf_standards="a-3b", timestamp=stamp, pdf_tags=tagged)
        assert isinstance(made, bytes)
        return made


def missing(diagnostic: str) -> set[str]:
    """Return the characters that no font has, as Typst names them."""
    named = (ESCAPED.sub(lambda code: chr(int(code[1], 16)), text) for text in MISSING.findall(diagnostic))
    return {each for text in named for each in text}


def _without(text: str, characters: set[str], wrong: Exception) -> str:
    if not characters:
        raise wrong
    return text.translate({ord(each): BOX for each in characters})


def as_facturx(pdf: bytes) -> bytes:
    """Return a PDF/A-3b whose metadata say that the XML in it is the invoice (Factur-X 1.09 §6)."""
    writer = PdfWriter(clone_from=BytesIO(pdf))
    writer.pdf_header = "%PDF-1.7"
    root: Any = writer.root_object
    metadata = StreamObject()
    metadata.set_data(said_of(root["/Metadata"].get_data().decode()).encode())
    metadata.update({NameObject("/Type"): NameObject("/Metadata"), NameObject("/Subtype"): NameObject("/XML")})
    root[NameObject("/Metadata")] = writer._add_object(metadata)  # noqa: SLF001  (pypdf has no other way)
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def embedded(pdf: bytes) -> bytes:
    """Return the XML inside."""
    (xml,) = PdfReader(BytesIO(pdf)).attachments["factur-x.xml"]
    return xml
