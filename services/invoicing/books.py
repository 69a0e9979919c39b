"""What is known of accounts and their sessions: buyers from the directory's copy, all else from the tables that views keep."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, and_, exists, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.copies import Copies
from chassis.persons import person_of
from chassis.secrets import CannotOpen, Secrets
from contracts import tables
from contracts.bills import TaxShare
from contracts.event import InvoiceId, TenantId
from contracts.invoice_tables import invoices, papers
from contracts.invoices import InvoiceIssued
from contracts.ledger import InvoiceDrafted
from contracts.money_tables import ledger_entries as entries
from contracts.postings import AD_HOC
from contracts.reference import CustomerAccount, Person, Site
from contracts.topics import ACCOUNTS, SITES
from services.invoicing.document import Charged, Original, What
from services.invoicing.parties import Buyer
from services.invoicing.places import country_of
from services.invoicing.printer import NotYet

T = TypeVar("T")

WHAT: dict[str, What] = {
    "subscription": "subscription",
    "allowance": "allowance",
    "allowance_returned": "allowance",
}
"""Of what an entry is a line, by its kind; those of sessions are not named."""

_credited = entries.alias("credited")
_OF_IT = and_(
    _credited.c.tenant == entries.c.tenant,
    _credited.c.account == entries.c.account,
    _credited.c.cdr == entries.c.credits,
    _credited.c.kind == "session",
)
_ENTRIES = select(
    entries.c.entry,
    entries.c.kind,
    entries.c.name,
    entries.c.cdr,
    entries.c.station,
    entries.c.net,
    entries.c.gross,
    entries.c.taxes,
    func.coalesce(entries.c.site, _credited.c.site).label("site"),
    func.coalesce(entries.c.energy_wh, _credited.c.energy_wh).label("energy_wh"),
    func.coalesce(entries.c.started_at, _credited.c.started_at, type_=tables.Instant()).label("started_at"),
).outerjoin_from(entries, _credited, _OF_IT)
_WRITTEN = exists().where(papers.c.tenant == invoices.c.tenant, papers.c.id == invoices.c.id)


class Books:
    """Reads what is known now."""

    def __init__(self, engine: AsyncEngine, copies: Copies, secrets: Secrets) -> None:
        self._engine, self._copies, self._secrets = engine, copies, secrets

    def buyer(self, draft: InvoiceDrafted) -> Buyer | None:
        """Return whom a draft is for; None: nobody of this name is known."""
        if draft.account.startswith(AD_HOC):
            return Buyer(account=draft.account, pays="paid")
        found = self._copies.of(ACCOUNTS).get(f"{draft.tenant}/{draft.account}")
        if not isinstance(found, CustomerAccount):
            return None
        try:
            return buyer_of(found, person_of(self._secrets, found))
        except CannotOpen as error:
            raise NotYet(f"whose account {found.id} is cannot be read: {error}") from error

    async def sessions(self, draft: InvoiceDrafted) -> Sequence[Charged]:
        """Return the sessions that are the draft's lines, as far as the tables have them."""
        c = entries.c
        of_it = (c.tenant == draft.tenant, c.account == draft.account, c.invoice == draft.invoice)
        question = _ENTRIES.where(*of_it, c.entry.between(draft.first_entry, draft.last_entry))
        rows = await self._ask(lambda connection: connection.execute(question).all())
        return [self._charged(draft.tenant, row) for row in rows if row.started_at is not None]

    def _charged(self, tenant: TenantId, row: Any) -> Charged:
        site = self._copies.of(SITES).get(f"{tenant}/{row.site}")
        at = {"place": site.name, "time_zone": site.time_zone} if isinstance(site, Site) else {}
        if row.kind == "subscription":
            at = {"place": row.name}
        return Charged(
            what=WHAT.get(row.kind, "session"),
            cdr=row.cdr or f"{row.kind}-{row.entry}",
            net=Decimal(row.net),
            gross=Decimal(row.gross),
            taxes=tuple(msgspec.convert(share, TaxShare) for share in row.taxes),
            energy_wh=row.energy_wh or 0,
            started_at=row.started_at,
            station=row.station or "",
            country=country_of(at.get("time_zone", "")),
            **at,
        )

    async def original(self, tenant: TenantId, invoice: InvoiceId) -> Original | None:
        """Return what a credit note corrects, once it has its number here."""
        i = invoices.c
        question = select(i.name, i.issued_at).where(i.tenant == tenant, i.id == invoice)
        row = await self._ask(lambda connection: connection.execute(question).first())
        return None if row is None else Original(row.name, row.issued_at)

    async def unwritten(self, tenants: Iterable[str], before: datetime, limit: int) -> Sequence[InvoiceIssued]:
        """Return what these had given a number before then and has no document, the oldest first."""
        i = invoices.c
        question = select(i.issued).where(i.tenant.in_(sorted(tenants)), i.issued_at < before, ~_WRITTEN)
        question = question.order_by(i.issued_at, i.tenant, i.id).limit(limit)
        rows = await self._ask(lambda connection: connection.execute(question).all())
        return [msgspec.convert(row.issued, InvoiceIssued) for row in rows]

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        try:
            return await sql.ask(self._engine, question)
        except (SQLAlchemyError, OSError) as error:
            if not sql.away(error):
                raise
            raise NotYet(f"the database is away: {sql.said(error)}") from error


def buyer_of(account: CustomerAccount, person: Person) -> Buyer:
    """Return an account as its documents name it. Who pays beforehand has paid."""
    address = person.address
    return Buyer(
        account=account.id,
        name=address.name or person.name,
        street=address.street,
        postal_code=address.postal_code,
        city=address.city,
        country=address.country,
        vat_id=person.vat_id,
        time_zone=account.time_zone,
        pays="paid" if account.kind == "prepaid" else "mandate" if account.mandate else "transfer",
    )
