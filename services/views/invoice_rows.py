"""Documents with numbers, as rows."""

from collections.abc import Iterator

from contracts.invoice_tables import invoices, papers
from contracts.invoices import InvoiceEvent, InvoiceIssued, InvoiceRendered
from contracts.topics import INVOICES, PAPERS
from services.views.bill_rows import plain
from services.views.rows import Put, put

TOPICS = (INVOICES, PAPERS)


def operations(event: InvoiceEvent) -> Iterator[Put]:
    """Yield what becomes of rows by `event`. Of two writings of a document the first counts."""
    match event:
        case InvoiceIssued(draft=draft):
            values = {
                "tenant": event.tenant,
                "id": draft.invoice,
                "series": event.series,
                "number": event.number,
                "name": event.name,
                "kind": draft.kind,
                "account": draft.account,
                "issued_at": event.at,
                "period_start": draft.period_start,
                "period_end": draft.period_end,
                "currency": draft.currency,
                "net": f"{draft.net:f}",
                "gross": f"{draft.gross:f}",
                "lines": draft.lines,
                "refers_to": draft.refers_to,
                "issued": plain(event),
            }
            yield put(invoices, values)
        case InvoiceRendered():  # pragma: no branch
            values = {
                "tenant": event.tenant,
                "id": event.invoice,
                "name": event.name,
                "account": event.account,
                "pdf_sha256": event.pdf_sha256,
                "xml_sha256": event.xml_sha256,
                "pdf": event.pdf,
                "xml": event.xml,
            }
            yield put(papers, values, unless="there")
