"""A bill that is corrected after its month was invoiced, by the rules of billing, of payments and of accounts in turn."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.bills import BillEvent, CdrCredited
from contracts.event import Event, Message
from contracts.ledger import InvoiceDrafted, PaymentAuthorised, ProviderAsked, SessionCharged, SessionCredited
from contracts.topics import POSTINGS
from services.accounts import domain
from services.accounts.settling import STOP_BEFORE
from services.payments import domain as router
from tests.accounts.says import AD_HOC, Ledger, ad_hoc, at, postpaid
from tests.billing.history import AC, after
from tests.billing.says import ACME, ANNA, NOON, corrected, ended, started, ticked

BILLED = (started(AC), ended(60, 10_000), ticked(65))
MONTH = 8 * 24 * 60
"""Until December."""
CORRECTED = (*BILLED, corrected(60, 8_000, recorded=2 * MONTH), ticked(2 * MONTH + 5))


def posted(bills: Sequence[BillEvent]) -> list[Event]:
    """Return what the router makes of bills; what it says is read back as accounts read it."""
    said = [
        event
        for offset, bill in enumerate(bills)
        for event in router.decide(router.initial, router.Heard(Message(bill, "id", NOON, offset), 0))
    ]
    return [POSTINGS.decode(msgspec.json.encode(event)) for event in said]


def test_a_session_that_says_nothing_before_its_end_keeps_its_hold() -> None:
    """Its station sends no meter values, and no status: that it has begun is all that is known for hours."""
    begun = replace(started(AC), account=AD_HOC)
    one = ad_hoc().held("50")
    before = posted(after(begun)[1])
    hear(one, [replace(each, at=at(5)) for each in before])
    assert domain.deadline(one.state) == one.last(PaymentAuthorised).capture_before - STOP_BEFORE
    hear(one, posted(after(begun, ended(240, 10_000), ticked(245))[1])[len(before) :])
    assert one.last(ProviderAsked).kind == "capture"


def account() -> Ledger:
    return Ledger(ANNA, replace(postpaid(), tenant=ACME, id=ANNA))


def hear(one: Ledger, postings: Sequence[Event]) -> None:
    for posting in postings:
        one.hear(posting)


def test_the_credit_of_an_invoiced_session_is_a_credit_note_that_refers_to_its_invoice() -> None:
    one = account()
    before = posted(after(*BILLED)[1])
    hear(one, before)
    one.tick()
    invoice = one.last(InvoiceDrafted)
    hear(one, posted(after(*CORRECTED)[1])[len(before) :])
    credited, note = one.last(SessionCredited), one.last(InvoiceDrafted)
    assert credited.invoiced_in == invoice.invoice
    assert (note.kind, note.refers_to, note.net) == ("credit_note", invoice.invoice, -invoice.net)
    assert one.last(SessionCharged).invoice not in {invoice.invoice, note.invoice}


def test_the_credit_of_what_no_invoice_has_yet_is_a_line_of_the_same() -> None:
    one = account()
    hear(one, posted(after(*CORRECTED)[1]))
    assert one.last(SessionCredited).invoice == one.until(InvoiceDrafted).invoice
    assert one.last(SessionCredited).invoiced_in is None


def test_a_credit_says_when_its_session_began() -> None:
    [credit] = [each for each in after(*CORRECTED)[1] if isinstance(each, CdrCredited)]
    assert credit.started_at == NOON
