"""What the torture of money would notice: each kind of harm, done to books that were well."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace as changed

from contracts.bills import CdrCredited, CdrIssued, Priced
from contracts.event import AccountId, Event, InvoiceId, PaymentId, StationId
from contracts.invoices import InvoiceIssued
from contracts.ledger import InvoiceDrafted, MoneyTaken, Movement, SessionCharged, SessionCredited, SubscriptionCharged
from contracts.postings import Source
from tests.torture import money_books, money_tables
from tests.torture.checks import Verdict
from tests.torture.money_books import Provider
from tests.torture.money_tables import Books
from tests.torture.visits import CURRENCY, LONG_AGO, TENANT, Visit

AD_HOC = Visit(1, 1, "ad_hoc", StationId("CP"), AccountId(""), wh=1000)
FLEET = Visit(1, 2, "postpaid", StationId("CP"), AccountId("postpaid-01"), wh=2000)
VISITS = [AD_HOC, FLEET]
FIRST = Source(0, 1)
INTENT = {
    "id": "pi_1",
    "amount_received": 1125,
    "amount_capturable": 0,
    "captures": 1,
    "metadata": {"payment": AD_HOC.payment},
}


def of(visit: Visit, **more: Any) -> dict[str, Any]:
    return {"at": LONG_AGO, "tenant": TENANT, "account": visit.account, **more}


def cdr(visit: Visit, **more: Any) -> CdrIssued:
    said = {
        **of(visit, station=visit.station, session=visit.session, cdr=f"cdr-{visit.number}", number=1),
        "priced": Priced(currency=CURRENCY, total_excl=None, total_incl=visit.gross, energy_wh=visit.wh, seconds=60),
        "tariff": "AC",
        "tariff_version": 1,
        "token": visit.token,
        "started_at": LONG_AGO,
        "ended_at": LONG_AGO,
    }
    return CdrIssued(**(said | more))


def charge(visit: Visit, **more: Any) -> SessionCharged:
    said = {
        **of(visit, entry=1, currency=CURRENCY, balance=-visit.gross, source=FIRST, invoice=InvoiceId("i")),
        "movement": Movement("customer", "revenue", visit.gross),
        "period_start": LONG_AGO,
        "period_end": LONG_AGO,
        "cdr": f"cdr-{visit.number}",
        "session": visit.session,
        "station": visit.station,
        "net": visit.gross,
        "gross": visit.gross,
        "energy_wh": visit.wh,
        "started_at": LONG_AGO,
        "ended_at": LONG_AGO,
    }
    return SessionCharged(**(said | more))


def taken(visit: Visit) -> MoneyTaken:
    movement = Movement("provider", "customer", visit.gross)
    what = {"entry": 2, "currency": CURRENCY, "balance": Decimal(0), "movement": movement}
    return MoneyTaken(**of(visit, **what, payment=PaymentId(visit.payment), operation="o"))


def draft(**more: Any) -> InvoiceDrafted:
    said = {
        **of(FLEET, invoice=InvoiceId("i"), kind="invoice", series="2026-INV", currency=CURRENCY),
        "period_start": LONG_AGO,
        "period_end": LONG_AGO,
        "first_entry": 1,
        "last_entry": 1,
        "lines": 1,
        "net": FLEET.gross,
        "gross": FLEET.gross,
    }
    return InvoiceDrafted(**(said | more))


def issued(number: int = 1) -> InvoiceIssued:
    return InvoiceIssued(
        at=LONG_AGO, tenant=TENANT, series="2026-INV", number=number, name="n", draft=draft(), source=FIRST
    )


FEE = Decimal("9.90")
MONTH: dict[str, Any] = {
    **of(FLEET, entry=2, currency=CURRENCY, balance=-FLEET.gross - FEE, movement=Movement("customer", "revenue", FEE)),
    "invoice": InvoiceId("i"),
    "period_start": LONG_AGO,
    "period_end": LONG_AGO,
}
SUBSCRIBED = SubscriptionCharged(
    **MONTH, id="m", name="Plus", month_start=LONG_AGO, month_end=LONG_AGO, net=FEE, gross=FEE, taxes=()
)


LEDGER: list[Event] = [charge(AD_HOC), taken(AD_HOC), charge(FLEET), draft()]
BOOKS = Provider((INTENT,))


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return len(verdict.lost), len(verdict.doubled), len(verdict.wrong)


def ledger(*events: Event) -> Verdict:
    return money_books.of_ledger(VISITS, money_books.accounts_of(events))


def provider(*intents: dict[str, Any]) -> Verdict:
    return money_books.of_provider(money_books.accounts_of(LEDGER), Provider(intents))


def invoices(*events: Event) -> Verdict:
    return money_books.of_invoices(money_books.accounts_of(LEDGER), LEDGER, events)


def test_books_that_agree() -> None:
    assert money_books.of_bills(VISITS, [cdr(AD_HOC), cdr(FLEET)])
    assert ledger(*LEDGER)
    assert provider(INTENT)
    assert invoices(issued())
    verdict, sums = money_books.of_ad_hoc(VISITS, money_books.accounts_of(LEDGER), BOOKS)
    assert verdict
    assert (sums.captured, sums.owed, sums.billed) == (Decimal("11.25"), Decimal(0), AD_HOC.gross)


def test_a_session_has_one_cdr_that_counts_of_the_right_amount() -> None:
    assert counts(money_books.of_bills(VISITS, [cdr(AD_HOC)])) == (1, 0, 0)
    assert counts(money_books.of_bills(VISITS, [cdr(AD_HOC), cdr(AD_HOC, cdr="b"), cdr(FLEET)])) == (0, 1, 0)
    assert counts(money_books.of_bills([FLEET], [cdr(AD_HOC), cdr(FLEET)])) == (0, 1, 0)
    other = replace(FLEET, wh=2010)
    assert counts(money_books.of_bills([AD_HOC, other], [cdr(AD_HOC), cdr(FLEET)])) == (0, 0, 1)


def test_a_ledger_has_each_session_once_and_adds_up() -> None:
    assert counts(ledger(*LEDGER[:2])) == (1, 0, 0)
    again = changed(charge(FLEET), entry=2, balance=-2 * FLEET.gross)
    assert counts(ledger(*LEDGER, again)) == (0, 0, 1)
    assert counts(ledger(*LEDGER[:2], charge(FLEET, entry=2))) == (0, 0, 1)
    assert counts(ledger(*LEDGER[:2], charge(FLEET, balance=Decimal(0)))) == (0, 0, 1)


def test_a_payment_is_captured_once_and_as_the_ledger_says() -> None:
    assert counts(provider({**INTENT, "captures": 2})) == (0, 1, 0)
    assert counts(provider(INTENT, {**INTENT, "id": "pi_2"})) == (0, 1, 1)
    assert counts(provider({**INTENT, "amount_received": 1124})) == (0, 0, 1)
    assert counts(provider({**INTENT, "amount_capturable": 5})) == (0, 0, 1)


def test_what_was_never_taken_is_lost() -> None:
    accounts = money_books.accounts_of([charge(AD_HOC)])
    verdict, sums = money_books.of_ad_hoc(VISITS, accounts, Provider())
    assert counts(verdict) == (1, 0, 1), "and nobody asks for it"
    assert (sums.captured, sums.owed) == (Decimal(0), AD_HOC.gross)


def test_numbers_have_no_gap_and_each_draft_has_one() -> None:
    assert counts(invoices()) == (1, 0, 0)
    assert counts(invoices(issued(2))) == (0, 0, 1)
    assert counts(invoices(issued(), issued(2))) == (0, 1, 0)
    assert counts(invoices(changed(issued(), draft=draft(lines=2)))) == (0, 0, 1)
    accounts = money_books.accounts_of(LEDGER)
    assert counts(money_books.of_invoices(accounts, LEDGER[:3], [])) == (1, 0, 0)


def credit(**more: Any) -> SessionCredited:
    said = {
        **of(FLEET, entry=2, currency=CURRENCY, balance=Decimal(0), source=FIRST, invoice=InvoiceId("note")),
        "movement": Movement("revenue", "customer", FLEET.gross),
        "cdr": "credit-2",
        "credits": "cdr-2",
        "session": FLEET.session,
        "station": FLEET.station,
        "net": -FLEET.gross,
        "gross": -FLEET.gross,
        "invoiced_in": InvoiceId("i"),
    }
    return SessionCredited(**(said | more))


def test_a_credit_note_refers_to_the_invoice_of_what_it_takes_back() -> None:
    note = draft(invoice=InvoiceId("note"), kind="credit_note", series="2026-CN", gross=-FLEET.gross)
    right = changed(note, refers_to=InvoiceId("i"))

    def told(one: InvoiceDrafted, credited: SessionCredited) -> Verdict:
        events = [charge(FLEET), draft(), credited, one]
        numbered = [issued(), changed(issued(), series="2026-CN", draft=one)]
        return money_books.of_invoices(money_books.accounts_of(events), events, numbered)

    assert told(right, credit())
    assert counts(told(changed(note, refers_to=InvoiceId("other")), credit())) == (0, 0, 1)
    assert counts(told(right, credit(credits="cdr-3"))) == (0, 0, 1)
    assert counts(told(right, credit(invoice=InvoiceId("later")))) == (0, 0, 1)


def test_a_fee_is_no_session_and_is_invoiced_as_well() -> None:
    whole = draft(lines=2, net=FLEET.gross + FEE, gross=FLEET.gross + FEE)

    def told(drafted: InvoiceDrafted, *entries: Event) -> Verdict:
        events = [charge(AD_HOC), taken(AD_HOC), charge(FLEET), *entries, drafted]
        assert ledger(*events)
        numbered = changed(issued(), draft=drafted)
        return money_books.of_invoices(money_books.accounts_of(events), events, [numbered])

    assert told(whole, SUBSCRIBED)
    assert counts(told(draft(), SUBSCRIBED)) == (1, 0, 0)
    assert counts(told(whole)) == (1, 0, 0)


CREDIT = CdrCredited(
    **of(FLEET, station=FLEET.station, session=FLEET.session, cdr="credit-2", credits="cdr-2", currency=CURRENCY),
    total_excl=None,
    total_incl=-FLEET.gross,
)
BILLS: list[Event] = [cdr(AD_HOC), cdr(FLEET), CREDIT]


def in_sql() -> dict[str, list[dict[str, Any]]]:
    """What SQL says when all is well."""
    one = {"account": AD_HOC.account, "session": AD_HOC.session, "total_incl": f"{AD_HOC.gross:f}"}
    two = {"account": FLEET.account, "session": FLEET.session}
    gross = f"{FLEET.gross:f}"
    return {
        "cdrs": [
            {"id": "cdr-1", **one, "credited_by": None},
            {"id": "cdr-2", **two, "total_incl": gross, "credited_by": "credit-2"},
            {"id": "credit-2", **two, "total_incl": f"-{gross}", "credited_by": None},
        ],
        "ledger_entries": [{**two, "entry": 1, "balance": f"-{gross}", "invoice": "i"}],
        "balances": [{**two, "entry": 1, "balance": f"-{gross}"}],
        "invoices": [
            {"id": "i", "series": "2026-INV", "number": 1, **two, "gross": gross, "refers_to": None},
        ],
        "papers": [{"id": "i", "name": "n"}],
    }


def compared(rows: dict[str, list[dict[str, Any]]]) -> tuple[int, int, int]:
    return counts(money_tables.compared(Books(rows), BILLS, [charge(FLEET)], [issued()]))


def test_sql_has_what_the_log_has() -> None:
    assert compared(in_sql()) == (0, 0, 0)


@pytest.mark.parametrize("table", list(in_sql()))
def test_a_row_that_is_missing_or_too_much_in_sql_is_seen(table: str) -> None:
    well = in_sql()
    assert compared(well | {table: well[table][1:]}) == (1, 0, 0)
    further = dict.fromkeys(well[table][0], "x")
    assert compared(well | {table: [*well[table], further]}) == (0, 1, 0)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("cdrs", "total_incl"),
        ("cdrs", "credited_by"),
        ("ledger_entries", "balance"),
        ("ledger_entries", "invoice"),
        ("balances", "entry"),
        ("invoices", "number"),
        ("invoices", "refers_to"),
        ("papers", "name"),
    ],
)
def test_a_row_that_says_something_else_in_sql_is_seen(table: str, column: str) -> None:
    well = in_sql()
    assert compared(well | {table: [well[table][0] | {column: "x"}, *well[table][1:]]}) == (0, 0, 1)
