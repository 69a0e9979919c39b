"""What SQL says of money, which is what REST answers: it must be what the log says, row for row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Table, select

from contracts import tables
from contracts.bills import CdrCredited, CdrIssued
from contracts.event import Event
from contracts.invoice_tables import invoices, papers
from contracts.invoices import InvoiceIssued
from contracts.ledger import Entry
from contracts.money_tables import balances, ledger_entries
from deploy.local.system import System
from tests.torture.checks import Verdict, rows_in_sql

Rows = Sequence[Mapping[str, Any]]
READ: dict[Table, tuple[str, ...]] = {
    tables.cdrs: ("id", "session", "account", "total_incl", "credited_by"),
    ledger_entries: ("account", "entry", "balance", "session", "invoice"),
    balances: ("account", "balance", "entry"),
    invoices: ("id", "series", "number", "account", "gross", "refers_to"),
    papers: ("id", "name"),
}


@dataclass
class Books:
    """The rows of each table, by its name."""

    tables: Mapping[str, Rows] = field(default_factory=dict)

    def of(self, table: Table) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the rows of a table, each as a tuple of what is read of it, by its own name."""
        key = len(table.primary_key.columns) - 1  # without the tenant
        rows = (tuple(row[name] for name in READ[table]) for row in self.tables.get(table.name, ()))
        return {row[:key]: row[key:] for row in rows}


async def read(system: System) -> Books:
    """Return what is in SQL now."""
    found = await rows_in_sql(system, *(select(*(table.c[name] for name in names)) for table, names in READ.items()))
    return Books({table.name: rows for table, rows in zip(READ, found, strict=True)})


def compared(books: Books, bills: Iterable[Event], ledger: Iterable[Event], issued: Iterable[Event]) -> Verdict:
    """SQL has a row for each CDR, credit, entry and document of the log, with its amounts, and no other; each document is written."""
    verdict = Verdict()
    documents = {each.draft.invoice: each for each in issued if isinstance(each, InvoiceIssued)}
    entries = [event for event in ledger if isinstance(event, Entry)]
    newest = {each.account: each for each in entries}
    verdict.add(_same(books, tables.cdrs, _cdrs(bills)))
    verdict.add(
        _same(
            books,
            ledger_entries,
            {
                (each.account, each.entry): (
                    f"{each.balance:f}",
                    getattr(each, "session", None),
                    getattr(each, "invoice", None),
                )
                for each in entries
            },
        )
    )
    verdict.add(_same(books, balances, {(a,): (f"{each.balance:f}", each.entry) for a, each in newest.items()}))
    wanted = {
        (id,): (each.series, each.number, each.draft.account, f"{each.draft.gross:f}", each.draft.refers_to)
        for id, each in documents.items()
    }
    verdict.add(_same(books, invoices, wanted))
    verdict.add(_same(books, papers, {(id,): (each.name,) for id, each in documents.items()}))
    return verdict


def _cdrs(bills: Iterable[Event]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for event in bills:
        match event:
            case CdrIssued():
                found[event.cdr,] = (event.session, event.account, _text(event.priced.total_incl), None)
            case CdrCredited():
                found[event.cdr,] = (event.session, event.account, _text(event.total_incl), None)
                found[event.credits,] = (*found[event.credits,][:3], event.cdr)
            case _:
                pass
    return found


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _same(books: Books, table: Table, wanted: Mapping[tuple[Any, ...], tuple[Any, ...]]) -> Verdict:
    """Compare the rows of a table with what they must be."""
    seen, verdict = books.of(table), Verdict()
    for key, row in wanted.items():
        if key not in seen:
            verdict.lost.append(f"{table.name}: SQL has no row {key}")
        elif seen[key] != row:
            verdict.wrong.append(f"{table.name} {key}: SQL has {seen[key]}, and the log {row}")
    verdict.doubled += [f"{table.name}: SQL has a row {key} that the log has not" for key in seen if key not in wanted]
    return verdict
