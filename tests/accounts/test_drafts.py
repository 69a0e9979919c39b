"""Invoices that are due: by the month, on demand, and what corrects them (CDR-21, TAR-33)."""

from datetime import UTC, datetime
from typing import Any

from contracts.event import SiteId, derived_id
from contracts.ledger import DebtFound, InvoiceDrafted, PaymentOpened, PostingRefused, ProviderAsked, SessionCharged
from contracts.ledger import SessionCredited as Credited
from services.accounts import domain
from services.accounts.drafts import month_of
from services.accounts.state import STRAYS
from tests.accounts.says import DRIVER, Ledger, at, eur, postpaid, prepaid, share

DAY = 24 * 60
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def monthly(**fields: Any) -> Ledger:
    return Ledger(DRIVER, postpaid(**fields))


def test_a_month_is_one_of_the_accounts_zone() -> None:
    start, end = month_of(at(), "Europe/Oslo")
    assert (start.isoformat(), end.isoformat()) == ("2026-10-31T23:00:00+00:00", "2026-11-30T23:00:00+00:00")


def test_every_moment_of_a_month_is_in_it() -> None:
    last = datetime(2026, 11, 30, 23, 59, 59, 999_999, UTC)
    assert month_of(last, "UTC") == month_of(at(), "UTC") == (datetime(2026, 11, 1, tzinfo=UTC), DECEMBER)
    assert month_of(DECEMBER, "UTC").start == DECEMBER


def test_sessions_of_a_months_first_moment_are_in_its_one_invoice() -> None:
    one = monthly()
    for session in ("s1", "s2"):
        one.hear(one.cdr("1", 21 * DAY, session, started_at=DECEMBER))
    assert len({each.invoice for each in one.of(SessionCharged)}) == len(one.state.drafts) == 1


def test_a_month_is_invoiced_a_few_days_after_its_end_with_vat_once_for_each_rate() -> None:
    one = monthly()
    for number in range(3):
        taxes = (share("25", "0.38", "0.48"), share("10", "0.05", "0.06"))
        one.hear(one.cdr("0.54", session=f"s{number}", net=eur("0.43"), taxes=taxes))
    assert domain.deadline(one.state) == datetime(2026, 12, 4, tzinfo=UTC)
    one.tick()
    drafted = one.last(InvoiceDrafted)
    assert (drafted.kind, drafted.series, drafted.lines) == ("invoice", "2026-INV", 3)
    assert drafted.currency == one.state.currency == "EUR"
    assert (drafted.first_entry, drafted.last_entry, drafted.period_end) == (1, 3, DECEMBER)
    assert drafted.taxes == (share("25", "1.14", "1.43"), share("10", "0.15", "0.17"))
    assert (drafted.net, drafted.gross) == (eur("1.29"), eur("1.60"))
    assert {each.invoice for each in one.of(SessionCharged)} == {drafted.invoice}


def test_what_is_owed_is_taken_from_the_mandate_when_it_is_invoiced() -> None:
    one = monthly(mandate="cus/pm")
    one.hear(one.cdr("10"))
    one.tick()
    assert one.last(PaymentOpened).kind == "collection"
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("charge", eur(10))
    one.hear(one.answer("done", "10", 30 * DAY))
    assert (one.state.balance, one.state.debt) == (eur(0), None)
    assert domain.deadline(one.state) is None


def test_without_a_mandate_it_is_to_be_paid_within_a_fortnight() -> None:
    one = monthly()
    one.hear(one.cdr("10"))
    one.tick()
    assert one.last(DebtFound).due == datetime(2026, 12, 18, tzinfo=UTC)
    assert not one.of(PaymentOpened)


def test_a_prepaid_accounts_invoice_takes_nothing() -> None:
    one = Ledger(DRIVER, prepaid(mandate="cus/pm", credit_limit=eur("50")))
    one.hear(one.cdr("10"))
    one.tick()
    assert one.of(InvoiceDrafted)
    assert not one.of(PaymentOpened)
    assert not one.of(DebtFound)


def test_what_was_paid_already_is_not_collected() -> None:
    one = monthly(mandate="cus/pm")
    one.hear(one.adjustment("10"))
    one.hear(one.cdr("10"))
    one.tick()
    assert not one.of(PaymentOpened)
    assert not one.of(DebtFound)


def test_each_session_is_in_the_month_in_which_it_began() -> None:
    one = monthly()
    one.hear(one.cdr("1"))
    one.hear(one.cdr("2", 21 * DAY, "s2", started=21 * DAY))
    one.hear(one.cdr("4", 22 * DAY, "s3", started=20 * DAY))
    one.tick()
    november = one.last(InvoiceDrafted)
    assert (november.gross, november.lines, november.first_entry, november.last_entry) == (eur(5), 2, 1, 3)
    december = one.until(InvoiceDrafted)
    assert (december.gross, december.period_start) == (eur(2), DECEMBER)
    assert december.series == "2027-INV"


def test_a_session_that_came_too_late_is_in_the_next_invoice_and_is_found_there() -> None:
    one = monthly()
    one.hear(one.cdr("1"))
    one.tick()
    november = one.last(InvoiceDrafted)
    one.hear(one.cdr("3", 25 * DAY, "late"))
    one.hear(one.cdr("5", 25 * DAY, "later"))
    one.hear(one.credit("3", 26 * DAY, "late"))
    assert one.last(Credited).invoiced_in is None
    assert one.last(Credited).invoice == one.last(SessionCharged).invoice != november.invoice
    one.hear(one.credit("1", 26 * DAY))
    assert one.last(Credited).invoiced_in == november.invoice


def test_a_session_that_began_in_what_is_left_of_a_month_is_in_its_second_invoice() -> None:
    one = monthly()
    one.hear(one.cdr("1"))
    one.hear(one.invoice(2 * DAY))
    one.hear(one.cdr("2", 3 * DAY, "s2", started=3 * DAY))
    assert one.until(InvoiceDrafted).period_start == at(2 * DAY)
    assert one.last(InvoiceDrafted).gross == 2
    one.hear(one.credit("2", 5 * DAY, "s2", started_at=at(3 * DAY)))
    assert one.last(InvoiceDrafted).refers_to == one.last(SessionCharged).invoice


def test_the_credit_of_what_was_invoiced_is_a_credit_note() -> None:
    one = monthly()
    one.hear(one.cdr("10", net=eur("8"), taxes=(share("25", "8", "10"),)))
    one.tick()
    invoice = one.last(InvoiceDrafted)
    one.hear(one.credit("10", 30 * DAY, net=eur("-8"), taxes=(share("25", "-8", "-10"),)))
    note = one.last(InvoiceDrafted)
    assert (note.kind, note.series, note.refers_to) == ("credit_note", "2026-CN", invoice.invoice)
    assert (note.net, note.gross, note.lines, note.first_entry) == (eur(-8), eur(-10), 1, 2)
    assert one.last(Credited).invoice == note.invoice != invoice.invoice
    assert note.invoice == derived_id("acme/driver-1", "accounts", "document-2")


def test_the_credit_of_what_is_not_invoiced_yet_is_a_line_of_the_same_invoice() -> None:
    one = monthly()
    one.hear(one.cdr("10"))
    one.hear(one.credit("10"))
    one.hear(one.cdr("8", 70, cdr="cdr-2"))
    one.tick()
    assert (one.last(InvoiceDrafted).gross, one.last(InvoiceDrafted).lines) == (eur(8), 3)


def test_a_credit_of_what_nobody_knows_any_more_is_in_the_open_invoice_or_a_note_of_its_own() -> None:
    one = monthly()
    one.hear(one.credit("1", started_at=None))
    assert (one.last(InvoiceDrafted).kind, one.last(InvoiceDrafted).refers_to) == ("credit_note", None)
    one.hear(one.cdr("3"))
    one.hear(one.credit("1", 80, started_at=None))
    assert one.last(Credited).invoice == one.last(SessionCharged).invoice
    one.hear(one.credit("5", 90, started_at=None))
    one.tick()
    assert (one.last(InvoiceDrafted).kind, one.last(InvoiceDrafted).gross) == ("credit_note", eur(-3))


def test_an_invoice_that_is_asked_for_is_drafted_at_once_and_once() -> None:
    one = monthly()
    assert one.names(one.invoice()) == ["PostingRefused"]
    assert one.last(PostingRefused).reason == "nothing_to_bill"
    one.hear(one.cdr("10"))
    assert one.names(one.invoice(request="i2")) == ["InvoiceDrafted", "DebtFound"]
    assert (one.last(InvoiceDrafted).request, one.last(InvoiceDrafted).period_end) == ("i2", at(120))
    assert one.names(one.invoice(request="i2")) == []


def test_an_invoice_that_nobody_asked_for_is_no_request() -> None:
    one = monthly()
    one.hear(one.cdr("10"))
    one.tick()
    assert one.of(InvoiceDrafted)
    assert one.state.requests == ()


def test_an_account_that_the_directory_no_longer_knows_is_invoiced_by_the_months_of_utc() -> None:
    one = Ledger(DRIVER)
    one.hear(one.cdr("10"))
    assert one.until(InvoiceDrafted).period_end == DECEMBER


def test_an_ad_hoc_driver_gets_an_invoice_when_they_ask() -> None:
    one = Ledger("adhoc-p1").held()  # type: ignore[arg-type]  # an AccountId
    one.hear(one.cdr("10"))
    one.hear(one.answer("done", "10", 61))
    assert domain.deadline(one.state) is None
    assert one.names(one.invoice()) == ["InvoiceDrafted"]


def test_only_the_newest_strays_are_remembered() -> None:
    one = monthly()
    one.hear(one.cdr("1"))
    one.tick()
    for number in range(STRAYS + 3):
        one.hear(one.cdr("1", 25 * DAY, f"s{number}"))
    assert len(one.state.strays) == STRAYS


def test_a_first_bill_in_another_currency_than_the_account_is_for_a_person_to_look_at() -> None:
    one = monthly()
    assert one.names(one.cdr("10", currency="NOK")) == ["PostingRefused"]
    assert one.last(PostingRefused).reason == "wrong_currency"
    assert one.state.entries == 0


def test_what_is_charged_says_where_it_was() -> None:
    one = monthly()
    one.hear(one.cdr("10", site=SiteId("oslo")))
    assert one.last(SessionCharged).site == "oslo"


def test_what_comes_to_less_than_nothing_however_little_is_no_invoice() -> None:
    one = monthly()
    one.hear(one.cdr("1"))
    one.hear(one.credit("1.01", started_at=None))
    assert (one.until(InvoiceDrafted).kind, one.last(InvoiceDrafted).gross) == ("credit_note", eur("-0.01"))


def test_a_euro_and_less_is_taken_from_the_mandate_too() -> None:
    for owed in ("1", "0.01"):
        one = monthly(mandate="cus/pm")
        one.hear(one.cdr(owed))
        one.tick()
        assert one.last(ProviderAsked).amount == eur(owed)


def test_a_session_is_in_a_month_of_the_accounts_zone() -> None:
    one = monthly(time_zone="Europe/Oslo")
    one.hear(one.cdr("1"))
    assert one.last(SessionCharged).period_start == datetime(2026, 10, 31, 23, tzinfo=UTC)
