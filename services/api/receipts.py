"""Receipts for those who paid without an account (CDR-24): whoever has the address sees what they paid for, and nothing else.

The address ends in a token that derives from the deployment's secret and the payment, so that nobody can guess it; without it, no payment
is known here.
"""

import hmac
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import Row

from chassis.secrets import Secrets
from contracts import money_tables, tables
from contracts.currencies import unit
from services.api import examples, receipt_page
from services.api.backends import Backends, Behind
from services.api.cdrs import Tax
from services.api.examples import like
from services.api.problems import answers, not_found

router = APIRouter(prefix="/v1", tags=["payments"], responses=answers(400, 404, 422, 503))

Decimals = str
MOST = 100
"""CDRs and credits that a receipt shows, the newest: a session has one, and two more for each correction."""
HEADERS = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Vary": "Accept",
}
"""What a browser may do with it: whoever knows the address knows all."""


class ReceiptSeller(BaseModel):
    """Who sold the energy, as the deployment's sellers say (VOLTSTREAM_SELLERS)."""

    name: str
    street: str
    postal_code: str
    city: str
    country: str
    vat_id: str
    tax_number: str
    registration: str
    email: str


class ReceiptLine(BaseModel):
    """A price, what it was billed for, and what that comes to."""

    dimension: str
    price: Decimals
    billed: Decimals
    unit: str = Field(description="of `billed`: Wh, s or pieces")
    vat: Decimals | None = Field(description="in percent; null: the tariff says nothing of VAT")
    net: Decimals
    gross: Decimals


class ReceiptCdr(BaseModel):
    """A CDR of the session, or a credit, which takes one back: its amounts are negative."""

    cdr: str
    kind: str = Field(description="CDR or CREDIT_CDR")
    credits: str | None
    issued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    energy_wh: int | None
    lines: list[ReceiptLine]
    taxes: list[Tax]
    net: Decimals
    gross: Decimals


class Receipt(BaseModel):
    """What somebody paid for. Before the session is billed there are no `cdrs`."""

    model_config = like(examples.RECEIPT)

    payment: str
    state: str
    seller: ReceiptSeller | None
    station: str | None
    place: str | None = Field(description="the name of the site")
    address: str | None
    time_zone: str = Field(description="of the place")
    currency: str
    cdrs: list[ReceiptCdr] = Field(description="the oldest first")
    taxes: list[Tax] = Field(description="per rate, of all of them together")
    net: Decimals
    vat: Decimals
    gross: Decimals
    paid: Decimals = Field(description="what was taken, less what was given back")


def path_of(secrets: Secrets, tenant: str, payment: str) -> str:
    """Return where the receipt of a payment is."""
    return f"/v1/receipts/{quote(tenant, safe='')}/{quote(payment, safe='')}/{_token(secrets, tenant, payment)}"


def _token(secrets: Secrets, tenant: str, payment: str) -> str:
    return secrets.derive("receipt", f"{tenant}/{payment}").hex()[:40]


@router.get(
    "/receipts/{tenant}/{payment}/{token}",
    operation_id="get_receipt",
    response_model=Receipt,
    responses={
        200: {
            "content": {"text/html": {"schema": {"type": "string"}, "examples": {"one": {"value": "<!doctype html>…"}}}}
        }
    },
)
async def get_receipt(
    tenant: str,
    payment: str,
    token: str,
    behind: Behind,
    accept: Annotated[str, Header(max_length=4096, description="`text/html`: a page to print; else JSON")] = "",
) -> Response:
    """Return what somebody without an account paid for. It wants no key: the address itself cannot be guessed."""
    if not hmac.compare_digest(_token(behind.secrets, tenant, payment).encode(), token.encode()):
        raise not_found("receipt at this address")
    row = await behind.queries.thing(money_tables.payments, tenant, payment)
    if row is None:
        raise not_found("receipt at this address")
    receipt = await _receipt(behind, row)
    if "text/html" in accept:
        return HTMLResponse(receipt_page.page(receipt.model_dump()), headers=HEADERS)
    return JSONResponse(receipt.model_dump(mode="json"), headers=HEADERS)


async def _receipt(behind: Backends, row: Row[Any]) -> Receipt:
    cdrs = [] if row.session is None else await behind.queries.cdrs(row.tenant, None, MOST, session=row.session)
    shown = [_cdr(each) for each in reversed(cdrs) if each.account == row.account]
    site = await _site(behind, row.tenant, next((each.site for each in cdrs if each.site), None))
    seller = behind.sellers.get(row.tenant)
    net, gross = (added((getattr(each, name) for each in shown), row.currency) for name in ("net", "gross"))
    return Receipt(
        payment=row.id,
        state=row.state,
        seller=None if seller is None else ReceiptSeller(**msgspec.to_builtins(seller)),
        station=row.station,
        place=None if site is None else site.name,
        address=None if site is None else site.address,
        time_zone="UTC" if site is None else site.time_zone,
        currency=row.currency,
        cdrs=shown,
        taxes=_together([tax for each in shown for tax in each.taxes], row.currency),
        net=net,
        vat=f"{Decimal(gross) - Decimal(net):f}",
        gross=gross,
        paid=added((row.taken or "0", f"-{row.returned or '0'}"), row.currency),
    )


async def _site(behind: Backends, tenant: str, site: str | None) -> Row[Any] | None:
    return None if site is None else await behind.queries.thing(tables.sites, tenant, site)


def _cdr(row: Row[Any]) -> ReceiptCdr:
    net = row.total_excl if row.total_excl is not None else row.total_incl
    gross = row.total_incl if row.total_incl is not None else row.total_excl
    lines = (row.priced or {}).get("lines", [])
    return ReceiptCdr(
        cdr=row.id,
        kind=row.kind,
        credits=row.credits,
        issued_at=row.issued_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        energy_wh=row.energy_wh,
        lines=[
            ReceiptLine(**{"vat": None} | {name: line.get(name) for name in ReceiptLine.model_fields}) for line in lines
        ],
        taxes=[Tax(**each) for each in row.taxes or []],
        net=net or "0",
        gross=gross or "0",
    )


def _together(taxes: Iterable[Tax], currency: str) -> list[Tax]:
    """Return what the parts come to per rate, the highest first and what says nothing of VAT last."""
    by_rate: dict[Decimal | None, list[Tax]] = {}
    for each in taxes:
        by_rate.setdefault(None if each.rate is None else Decimal(each.rate), []).append(each)
    rates = sorted(by_rate, key=lambda rate: Decimal(-1) if rate is None else rate, reverse=True)
    return [
        Tax(
            rate=by_rate[rate][0].rate,
            net=added([each.net for each in by_rate[rate]], currency),
            gross=added([each.gross for each in by_rate[rate]], currency),
        )
        for rate in rates
    ]


def added(amounts: Iterable[str], currency: str) -> str:
    """Return a sum, with at least the decimals of its currency."""
    return f"{sum(map(Decimal, amounts), 0 * unit(currency)):f}"
