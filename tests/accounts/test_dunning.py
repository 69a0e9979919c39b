"""What is owed and not paid: reminded of, and written off at last (PAY-09)."""

from contracts.event import derived_id
from contracts.ledger import (
    DebtFound,
    DunningReached,
    InvoiceDrafted,
    PaymentOpened,
    ProviderAsked,
    Standing,
    WrittenOff,
)
from services.accounts import domain, dunning
from tests.accounts.says import DRIVER, Ledger, ad_hoc, at, eur, postpaid

DAY = 24 * 60


def declined(mandate: str = "cus/pm") -> Ledger:
    """Return an account that was invoiced, and whose collection, if it has a mandate, was declined."""
    one = Ledger(DRIVER, postpaid(mandate=mandate))
    one.hear(one.cdr("10"))
    one.hear(one.invoice())
    if mandate:
        one.hear(one.answer("declined", minutes=130))
    return one


def test_what_could_not_be_collected_is_dunned_from_then_on_and_tried_again() -> None:
    one = declined()
    assert domain.deadline(one.state) == at(130, days=3)
    assert [type(each).__name__ for each in one.tick()] == ["DunningReached", "PaymentOpened", "ProviderAsked"]
    assert (one.last(DunningReached).level, one.last(DunningReached).owed) == (1, eur(10))
    first, again = one.of(PaymentOpened)
    assert one.last(DunningReached).payment == first.payment, "the one that was declined"
    due = at(130).isoformat()
    assert again.payment == derived_id(f"acme/driver-1/{due}", "accounts", "dunning-1"), (
        "however often it is worked out"
    )


def test_what_is_in_no_invoice_yet_is_neither_collected_nor_owed_with_the_one_before() -> None:
    one = Ledger(DRIVER, postpaid(mandate="cus/pm"))
    one.hear(one.cdr("10"))
    one.hear(one.cdr("7", 21 * DAY, "s2", started=21 * DAY))
    invoice = one.until(InvoiceDrafted)
    assert (invoice.gross, one.last(ProviderAsked).amount, one.last(DebtFound).owed) == (eur(10), eur(10), eur(10))
    one.hear(one.answer("declined", at=invoice.at))
    assert one.last(DebtFound).owed == eur(10)
    one.until(DunningReached)
    assert (one.last(DunningReached).owed, one.last(ProviderAsked).amount) == (eur(10), eur(10))
    one.hear(one.answer("done"))
    one.until(InvoiceDrafted)
    assert one.last(ProviderAsked).amount == eur(7)


def test_after_the_second_reminder_nobody_charges() -> None:
    one = declined()
    one.tick()
    one.hear(one.answer("declined", minutes=3 * DAY + 140))
    assert not one.of(Standing)
    assert domain.deadline(one.state) == at(130, days=10)
    one.tick()
    assert (one.last(DunningReached).level, one.last(Standing).why) == (2, "owes")


def test_what_is_paid_at_last_ends_it() -> None:
    one = declined()
    one.tick()
    one.tick()
    assert one.last(Standing).why == "owes"
    one.hear(one.adjustment("4"))
    assert one.last(Standing).why == "owes"
    assert one.state.debt is not None
    assert one.state.debt.owed == 6
    one.hear(one.adjustment("6", request="r2"))
    assert one.last(Standing).may_charge
    assert one.state.debt is None


def test_nothing_is_taken_twice_at_once() -> None:
    one = declined()
    one.tick()
    asked = one.last(ProviderAsked)
    one.tick()
    assert one.last(ProviderAsked) == asked


def test_what_an_account_spends_is_no_part_of_its_debt_and_what_it_gets_is() -> None:
    one = declined(mandate="")
    one.hear(one.adjustment("-0.50"))
    assert one.state.debt is not None
    assert (one.state.debt.owed, one.state.owed) == (eur(10), eur("10.50"))
    one.hear(one.adjustment("0.50", request="r2"))
    assert one.state.debt is not None
    assert one.state.debt.owed == eur("9.50")


def test_what_was_dunned_in_vain_is_written_off_and_nobody_charges_until_something_is_paid() -> None:
    one = declined(mandate="")
    assert one.state.debt is not None
    assert one.state.debt.due == at(120, days=14)
    for level in (1, 2, 3):
        one.tick()
        assert one.last(DunningReached).level == level
    assert [type(each).__name__ for each in one.tick()] == ["WrittenOff"]
    assert (one.last(WrittenOff).reason, one.state.balance) == ("dunned_in_vain", eur(0))
    assert dunning.deadline(one.state) is None
    assert one.last(Standing).why == "owes"
    one.hear(one.adjustment("-1"))
    assert one.last(Standing).why == "owes"
    one.hear(one.adjustment("11", request="r2"))
    assert one.last(Standing).may_charge


def test_sessions_after_an_invoice_are_no_debt_yet() -> None:
    one = declined()
    one.hear(one.cdr("5", session="s2"))
    assert one.state.debt is not None
    assert (one.state.debt.owed, one.state.owed) == (eur(10), eur(15))


def test_of_several_invoices_dunning_counts_from_the_first() -> None:
    one = declined()
    one.tick()
    one.hear(one.cdr("5", 200, session="s2"))
    one.hear(one.invoice(300, request="i2"))
    assert one.state.debt is not None
    assert (one.state.debt.owed, one.state.debt.level, one.state.debt.due) == (eur(15), 1, at(130))


def test_an_ad_hoc_debt_is_dunned_and_written_off_like_any() -> None:
    one = ad_hoc().held("5")
    one.hear(one.cdr("10"))
    one.hear(one.answer("done", "5", 61))
    for _ in range(4):
        one.tick()
    assert one.last(WrittenOff).reason == "dunned_in_vain"
    assert one.state.balance == 0
    assert domain.deadline(one.state) is None


def test_a_debt_nobody_opened_a_payment_for_is_one_too() -> None:
    one = ad_hoc()
    assert "DebtFound" in one.names(one.cdr("10"))
    assert one.state.owed == eur("10")


def test_a_collection_whose_debt_was_paid_meanwhile_leaves_none() -> None:
    one = Ledger(DRIVER, postpaid(mandate="cus/pm"))
    one.hear(one.cdr("10"))
    one.hear(one.invoice())
    one.hear(one.adjustment("10"))
    assert one.names(one.answer("declined", minutes=130)) == ["ProviderRefused", "PaymentSettled"]
    assert one.state.debt is None


def test_while_a_refund_goes_on_nobody_knows_what_an_ad_hoc_driver_owes() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    one.hear(one.credit("20"))
    assert [type(each).__name__ for each in one.tick()] == ["ProviderAsked"]
    assert one.last(ProviderAsked).kind == "refund"
    assert one.names(one.cdr("25", 90, cdr="cdr-2")) == ["SessionCharged"]
    assert "DebtFound" in one.names(one.answer("done", "20", 91))
    assert one.state.owed == 25
