"""Invoices over REST."""

import zlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from contracts.event import AccountId, InvoiceId, TenantId
from contracts.invoices import InvoiceRendered
from contracts.postings import InvoiceAsked
from contracts.topics import INVOICES, PAPERS
from tests.api.network import Network
from tests.invoicing.given import DECEMBER, NOVEMBER, charged, drafted, issued, share

DEFAULT = TenantId("default")


def paper(invoice: str, pdf: bytes) -> InvoiceRendered:
    return InvoiceRendered(
        at=DECEMBER,
        tenant=DEFAULT,
        invoice=InvoiceId(invoice),
        account=AccountId("anna"),
        name="2026-INV-000001",
        pdf=pdf,
        pdf_sha256="aa",
        xml=zlib.compress(b"<xml/>"),
        xml_sha256="bb",
    )


@pytest.fixture
async def billed(network: Network) -> None:
    """Two invoices of Anna's, the first of which is written, and a credit note of Berta's."""
    session = charged(1, share("10.00"))
    for number, (account, kind, month) in enumerate(
        [("anna", "invoice", 0), ("anna", "invoice", 1), ("berta", "credit_note", 1)], start=1
    ):
        later = timedelta(days=30 * month)
        about: dict[str, Any] = {"tenant": DEFAULT, "account": AccountId(account), "invoice": InvoiceId(f"i-{number}")}
        times: dict[str, Any] = {
            "at": DECEMBER + later,
            "period_start": NOVEMBER + later,
            "period_end": DECEMBER + later,
        }
        draft = drafted([session], "credit_note" if kind == "credit_note" else "invoice", **about, **times)
        await network.says(INVOICES, issued(draft, number))
    await network.says(PAPERS, paper("i-1", b"%PDF"), paper("i-1", b"another"))


async def listed(client: AsyncClient, **wanted: Any) -> list[str]:
    answer = await client.get("/v1/invoices", params=wanted)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


@pytest.mark.usefixtures("billed")
async def test_the_newest_comes_first_in_pages(admin: AsyncClient) -> None:
    page = (await admin.get("/v1/invoices", params={"limit": 2})).json()
    assert [each["id"] for each in page["items"]] == ["i-3", "i-2"]
    assert await listed(admin, cursor=page["next_cursor"]) == ["i-1"]


@pytest.mark.usefixtures("billed")
async def test_they_are_found_by_account_kind_and_time(admin: AsyncClient, acme: AsyncClient) -> None:
    assert await listed(admin, account="anna") == ["i-2", "i-1"]
    assert await listed(admin, kind="credit_note") == ["i-3"]
    assert await listed(admin, since=_said(DECEMBER)) == ["i-3", "i-2"]
    assert await listed(admin, before=_said(NOVEMBER + timedelta(days=1))) == ["i-1"]
    assert await listed(acme) == []


def _said(moment: datetime) -> str:
    return moment.isoformat()


@pytest.mark.usefixtures("billed")
async def test_one_is_shown_and_says_whether_it_is_written(admin: AsyncClient) -> None:
    written = (await admin.get("/v1/invoices/i-1")).json()
    assert (written["name"], written["net"], written["gross"]) == ("2026-INV-000001", "10.00", "11.90")
    assert (written["pdf_sha256"], written["xml_sha256"]) == ("aa", "bb")
    assert (await admin.get("/v1/invoices/i-2")).json()["pdf_sha256"] is None
    assert (await admin.get("/v1/invoices/none")).status_code == 404


@pytest.mark.usefixtures("billed")
async def test_the_papers_are_those_that_were_written_first(admin: AsyncClient, acme: AsyncClient) -> None:
    pdf = await admin.get("/v1/invoices/i-1/pdf")
    assert (pdf.content, pdf.headers["content-type"], pdf.headers["etag"]) == (b"%PDF", "application/pdf", '"aa"')
    assert "2026-INV-000001.pdf" in pdf.headers["content-disposition"]
    xml = await admin.get("/v1/invoices/i-1/xml")
    assert (xml.content, xml.headers["content-type"], xml.headers["etag"]) == (b"<xml/>", "application/xml", '"bb"')
    for path in ("pdf", "xml"):
        same = {"If-None-Match": (await admin.get(f"/v1/invoices/i-1/{path}")).headers["etag"]}
        assert (await admin.get(f"/v1/invoices/i-1/{path}", headers=same)).status_code == 304
        assert (await admin.get(f"/v1/invoices/i-2/{path}")).status_code == 404
        assert (await acme.get(f"/v1/invoices/i-1/{path}")).status_code == 404


async def test_an_invoice_can_be_asked_for_before_its_time(admin: AsyncClient, network: Network) -> None:
    network.deaf = True
    key = {"Idempotency-Key": "november"}
    first = await admin.post("/v1/accounts/anna/invoices", headers=key)
    again = await admin.post("/v1/accounts/anna/invoices", headers=key)
    assert (first.status_code, first.headers["location"]) == (202, "/v1/invoices?account=anna")
    assert first.json() == again.json()
    one, other = network.written
    assert isinstance(one, InvoiceAsked)
    assert isinstance(other, InvoiceAsked)
    assert (one.account, one.request) == ("anna", first.json()["request"])
    assert one.request == other.request
