"""What a PDF says of itself (XMP): Factur-X wants to be named there, and PDF/A wants a description of how (Factur-X 1.09 §6)."""

NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
PROPERTIES = {
    "DocumentFileName": ("factur-x.xml", "the name of the embedded XML document"),
    "DocumentType": ("INVOICE", "the type of the hybrid document"),
    "Version": ("1.0", "the version of the standard of the embedded XML document"),
    "ConformanceLevel": ("EN 16931", "the profile of the embedded XML document"),
}
SCHEMAS_END = "</rdf:Bag></pdfaExtension:schemas>"
END = "</rdf:RDF>"


def said_of(metadata: str) -> str:
    """Return metadata, as Typst writes them, that also name Factur-X."""
    assert metadata.count(SCHEMAS_END) == metadata.count(END) == 1
    named = f'<rdf:Description rdf:about="" xmlns:fx="{NAMESPACE}">{_values()}</rdf:Description>'
    return metadata.replace(SCHEMAS_END, _schema() + SCHEMAS_END).replace(END, named + END)


def _values() -> str:
    return "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in PROPERTIES.items())


def _schema() -> str:
    return _resource(
        "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{_described()}</rdf:Seq></pdfaSchema:property>"
    )


def _described() -> str:
    return "".join(
        _resource(
            f"<pdfaProperty:name>{name}</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType>"
            f"<pdfaProperty:category>external</pdfaProperty:category>"
            f"<pdfaProperty:description>{why}</pdfaProperty:description>"
        )
        for name, (_, why) in PROPERTIES.items()
    )


def _resource(inside: str) -> str:
    return f'<rdf:li rdf:parseType="Resource">{inside}</rdf:li>'
