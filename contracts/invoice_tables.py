"""Tables of documents with numbers, filled by views from `invoices` and `papers`."""

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, Table, Text

from contracts.tables import Instant, metadata

invoices = Table(
    "invoices",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("series", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("name", Text, nullable=False),  # as people say it
    Column("kind", Text, nullable=False),  # invoice, credit_note
    Column("account", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),  # the first moment after it
    Column("currency", Text, nullable=False),
    Column("net", Text, nullable=False),  # decimal numbers
    Column("gross", Text, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("refers_to", Text),  # of a credit note: the invoice it corrects
    Column("issued", JSON, nullable=False),  # `contracts.invoices.InvoiceIssued`, whole
    Index("invoices_by_age", "tenant", "issued_at", "id"),
    Index("invoices_by_account", "tenant", "account", "issued_at", "id"),
)

papers = Table(
    "papers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # the invoice's
    Column("name", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("pdf_sha256", Text, nullable=False),
    Column("xml_sha256", Text, nullable=False),  # of the XML unpacked
    Column("pdf", LargeBinary, nullable=False),
    Column("xml", LargeBinary, nullable=False),  # packed (zlib)
)
