"""Invoices and credit notes, and the papers themselves."""

import zlib
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import ColumnElement, Row

from chassis import clock
from contracts.event import AccountId, RequestId, TenantId, derived_id
from contracts.invoice_tables import invoices, papers
from contracts.postings import InvoiceAsked
from contracts.topics import POSTINGS
from services.api import examples
from services.api.access import Operator, Reader
from services.api.backends import Backends, Behind
from services.api.changes import Acting
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers, not_found
from services.api.queries import Asked
from services.api.versions import UNCHANGED, unchanged

router = APIRouter(prefix="/v1", tags=["invoices"], responses=answers(400, 401, 403, 422, 503))

Decimals = str
Since = Annotated[AwareDatetime | None, Query(description="only those whose period ends after it")]
Before = Annotated[AwareDatetime | None, Query(description="only those whose period begins before it")]


class Invoice(BaseModel):
    """A document with a number, for ever: what is wrong is taken back by a credit note, which has a number of its own."""

    model_config = like(examples.INVOICE)

    id: str
    series: str
    number: int = Field(description="of its series: from 1, without a gap")
    name: str = Field(description="the number as people say it")
    kind: str = Field(description="invoice or credit_note, whose amounts are negative here")
    account: str
    issued_at: datetime
    period_start: datetime
    period_end: datetime = Field(description="the first moment after the period")
    currency: str
    net: Decimals
    gross: Decimals
    lines: int = Field(description="how many sessions it is about")
    refers_to: str | None = Field(description="of a credit note: the id of the invoice it corrects")
    pdf_sha256: str | None = Field(description="null: not written yet")
    xml_sha256: str | None


class AskedFor(BaseModel):
    """Somebody wants an invoice now. It comes when accounts and invoicing have done their part; without anything to bill, none does."""

    model_config = like(examples.INVOICE_ASKED)

    request: str
    account: str
    invoices: str = Field(description="where it will be")


def _invoice(row: Row[Any]) -> Invoice:
    return Invoice(**{name: getattr(row, name) for name in Invoice.model_fields})


@router.get("/invoices", operation_id="list_invoices")
async def list_invoices(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    account: Text | None = None,
    kind: Literal["invoice", "credit_note"] | None = None,
    since: Since = None,
    before: Before = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Invoice]:
    """List invoices and credit notes, the newest first."""
    wanted = _wanted(account, kind, since, before)
    rows = await behind.queries.invoices(caller.tenant, decode(cursor, Asked), limit + 1, wanted)
    page, after = cut(rows, limit, lambda row: Asked(row.issued_at, row.id))
    return Page(items=[_invoice(row) for row in page], next_cursor=linked(request, response, after))


def _wanted(
    account: str | None, kind: str | None, since: datetime | None, before: datetime | None
) -> list[ColumnElement[bool]]:
    c = invoices.c
    same = {c.account: account, c.kind: kind}
    wanted = [column == value for column, value in same.items() if value is not None]
    after = [c.period_end > since] if since is not None else []
    earlier = [c.period_start < before] if before is not None else []
    return [*wanted, *after, *earlier]


@router.get("/invoices/{id}", operation_id="get_invoice", responses=answers(404))
async def get_invoice(id: str, caller: Reader, behind: Behind) -> Invoice:
    """Return one of them."""
    row = await behind.queries.invoice(caller.tenant, existing("invoice", id))
    if row is None:
        raise not_found(f"invoice {id}")
    return _invoice(row)


def _of(media_type: str, value: str) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"type": "string", "format": "binary"}, "examples": {"one": {"value": value}}}
    return answers(404) | UNCHANGED | {200: {"content": {media_type: schema}}}


@router.get(
    "/invoices/{id}/pdf",
    operation_id="get_invoice_pdf",
    response_class=Response,
    responses=_of("application/pdf", "%PDF-1.7 …"),
)
async def get_invoice_pdf(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Response:
    """Return the document as PDF/A-3 with the XML inside (Factur-X)."""
    paper = await _paper(behind, caller.tenant, id)
    same = unchanged(request, response, f'"{paper.pdf_sha256}"')
    return same or _file(paper.pdf, "application/pdf", f"{paper.name}.pdf", paper.pdf_sha256)


@router.get(
    "/invoices/{id}/xml",
    operation_id="get_invoice_xml",
    response_class=Response,
    responses=_of("application/xml", "<rsm:CrossIndustryInvoice …"),
)
async def get_invoice_xml(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Response:
    """Return the document for machines: EN 16931 as UN/CEFACT CII."""
    paper = await _paper(behind, caller.tenant, id)
    same = unchanged(request, response, f'"{paper.xml_sha256}"')
    return same or _file(zlib.decompress(paper.xml), "application/xml", f"{paper.name}.xml", paper.xml_sha256)


async def _paper(behind: Backends, tenant: str, id: str) -> Row[Any]:
    row = await behind.queries.thing(papers, tenant, existing("invoice", id))
    if row is None:
        raise not_found(f"invoice {id} that is written")
    return row


def _file(content: bytes, media_type: str, name: str, sha256: str) -> Response:
    headers = {
        "ETag": f'"{sha256}"',
        "Vary": "Authorization",
        "Cache-Control": "private",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
    }
    return Response(content, media_type=media_type, headers=headers)


@router.post("/accounts/{id}/invoices", operation_id="ask_invoice", status_code=202, responses=answers(404))
async def ask_invoice(id: str, caller: Operator, act: Acting, behind: Behind, response: Response) -> AskedFor:
    """Bill what has been entered until now and was in no invoice, before the month is over."""
    account, request = existing("account", id), act.id("invoice")
    event = InvoiceAsked(
        at=clock.now(),
        tenant=TenantId(caller.tenant),
        account=AccountId(account),
        request=RequestId(request),
        requested_by=caller.key,
    )
    await behind.journal.append(POSTINGS, event, derived_id(request, "api", "invoice"), act.trace)
    where = f"/v1/invoices?account={quote(account)}"
    response.headers["Location"] = where
    return AskedFor(request=request, account=account, invoices=where)
