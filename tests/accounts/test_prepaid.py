"""Prepaid accounts: money is put on, sessions reserve it, and nobody charges on what is not there."""

from typing import Any

import pytest

from contracts.ledger import FundsExhausted, MoneyTaken, PaymentSettled, PostingRefused, ProviderAsked, Standing
from contracts.postings import TermsChanged
from services.accounts.balance import exact
from services.accounts.state import OPEN_SESSIONS, PAYMENTS, REQUESTS
from tests.accounts.says import ACME, DRIVER, Ledger, at, eur, postpaid, prepaid


def rich(amount: str = "20", **fields: Any) -> Ledger:
    """Return a prepaid account with money on it."""
    one = Ledger(DRIVER, prepaid(mandate="cus/pm", **fields))
    one.hear(one.top_up(amount))
    one.hear(one.answer("done", amount))
    return one


def test_a_top_up_is_charged_to_the_mandate_and_then_the_account_may_charge() -> None:
    one = Ledger(DRIVER, prepaid(mandate="cus/pm"))
    assert one.names(one.top_up("20")) == ["PaymentOpened", "ProviderAsked", "Standing"]
    assert one.last(Standing).why == "no_money"
    asked = one.last(ProviderAsked)
    assert (asked.kind, asked.mandate, asked.amount) == ("charge", "cus/pm", eur(20))
    assert one.names(one.answer("done", "20")) == ["MoneyTaken", "PaymentSettled", "Standing"]
    assert (one.last(Standing).may_charge, one.last(Standing).why, one.state.balance) == (True, "", eur(20))


def test_a_top_up_without_a_mandate_is_held_and_then_taken() -> None:
    one = Ledger(DRIVER, prepaid())
    one.hear(one.top_up("20"))
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).mandate) == ("authorise", "")
    assert one.names(one.answer("done", "20")) == ["PaymentAuthorised", "ProviderAsked"]
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("capture", eur(20))
    one.hear(one.answer("done", "20", 2))
    assert one.last(MoneyTaken).balance == 20


def test_a_top_up_that_comes_after_it_was_given_up_is_released() -> None:
    one = Ledger(DRIVER, prepaid())
    one.hear(one.top_up("20"))
    asked = one.last(ProviderAsked)
    one.hear(one.answer("declined"))
    one.hear(one.answer("done", "20", to=asked))
    assert one.last(ProviderAsked).kind == "release"
    one.hear(one.answer("done"))
    assert one.last(PaymentSettled).state == "released"
    assert one.state.balance == 0


def test_sessions_reserve_what_they_come_to_and_all_are_stopped_when_nothing_is_left() -> None:
    one = rich("20")
    assert one.names(one.cost("12")) == ["ChargingRunning"]
    said = one.names(one.cost("8", session="s2"))
    assert said == ["ChargingRunning", "FundsExhausted", "FundsExhausted", "Standing"]
    assert {each.session for each in one.of(FundsExhausted)} == {"s1", "s2"}
    assert one.names(one.cost("9", session="s2")) == ["ChargingRunning"]
    assert one.last(Standing).why == "no_money"


def test_what_is_reserved_is_not_paid_twice() -> None:
    one = rich("20")
    one.hear(one.cost("12"))
    one.hear(one.cdr("12.50"))
    assert (one.state.balance, one.state.reserved) == (eur("7.50"), eur(0))
    assert not one.of(FundsExhausted)


def test_a_bill_that_is_carried_over_twice_counts_once() -> None:
    one = rich("20")
    bills = [one.cost("5"), one.cdr("7"), one.cost("3", session="s2")]
    for bill in (*bills, *bills, bills[1]):
        one.hear(bill)
    assert (one.state.balance, one.state.reserved, one.state.entries) == (eur(13), eur(3), 2)


def test_a_credit_limit_lets_the_balance_fall_below_0() -> None:
    one = rich("20", credit_limit=eur("10"))
    one.hear(one.cost("29.99"))
    assert not one.of(FundsExhausted)
    one.hear(one.cost("30", 6))
    assert one.last(FundsExhausted).available == 30


def test_more_money_lets_it_charge_again() -> None:
    one = rich("20")
    one.hear(one.cdr("20"))
    assert one.last(Standing).why == "no_money"
    one.hear(one.adjustment("5"))
    assert one.last(Standing).may_charge


def test_a_postpaid_account_with_a_limit_is_stopped_at_it() -> None:
    one = Ledger(DRIVER, postpaid(credit_limit=eur("100")))
    one.hear(one.cdr("90"))
    assert not one.of(Standing)
    one.hear(one.cost("10", session="s2"))
    assert one.last(FundsExhausted).session == "s2"
    assert one.last(Standing).why == "no_money"


def test_a_postpaid_account_without_a_limit_remembers_no_session() -> None:
    one = Ledger(DRIVER, postpaid())
    assert one.names(one.cost("1000")) == []


def test_new_terms_count_at_once() -> None:
    one = Ledger(DRIVER, prepaid(credit_limit=eur("10")))
    changed = TermsChanged(at=at(), tenant=ACME, account=DRIVER)
    assert one.names(changed) == ["Standing"]
    assert one.names(changed) == []
    one.customer = prepaid(closed=True)
    one.hear(changed)
    assert one.last(Standing).why == "closed"


@pytest.mark.parametrize(
    ("customer", "fields", "reason"),
    [
        (postpaid(), {}, "not_prepaid"),
        (None, {}, "not_prepaid"),
        (prepaid(closed=True), {}, "closed"),
        (prepaid(), {"currency": "NOK"}, "wrong_currency"),
        (prepaid(), {"amount": eur("-1")}, "nothing"),
    ],
)
def test_what_cannot_be_put_on_an_account_is_refused(customer: Any, fields: dict[str, Any], reason: str) -> None:
    one = Ledger(DRIVER, customer)
    one.hear(one.top_up(**fields))
    assert one.last(PostingRefused).reason == reason
    one.customer = prepaid()
    assert not [each for each in one.names(one.top_up(**fields)) if each != "Standing"], "a refusal stays one"


def test_an_adjustment_is_entered_once() -> None:
    one = Ledger(DRIVER, postpaid())
    assert one.names(one.adjustment("5")) == ["Adjusted"]
    assert one.names(one.adjustment("5")) == []
    assert one.names(one.adjustment("6", fingerprint="other")) == ["PostingRefused"]
    assert one.last(PostingRefused).reason == "idempotency_key_reused"
    assert one.state.balance == 5


@pytest.mark.parametrize(
    ("amount", "currency", "closed", "reason"),
    [
        ("5", "NOK", False, "wrong_currency"),
        ("0", "EUR", False, "nothing"),
        ("5", "EUR", True, "closed"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(amount: str, currency: str, reason: str, *, closed: bool) -> None:
    one = Ledger(DRIVER, postpaid(closed=closed))
    one.hear(one.adjustment(amount, currency=currency))
    assert one.last(PostingRefused).reason == reason


def test_an_account_that_nobody_knows_keeps_its_ledger() -> None:
    one = Ledger(DRIVER, None)
    assert one.names(one.cdr("5")) == ["SessionCharged"]
    assert one.names(one.adjustment("5")) == ["Adjusted"]
    assert one.names(one.invoice()) == ["InvoiceDrafted"]


def test_a_bill_in_another_currency_is_for_a_person_to_look_at() -> None:
    one = Ledger(DRIVER, prepaid())
    assert one.names(one.cdr("5", currency="NOK")) == ["PostingRefused", "Standing"]
    assert one.state.entries == 0
    one = rich("5")
    assert one.names(one.cdr("5", currency="NOK")) == ["PostingRefused"]


def test_only_so_much_is_remembered() -> None:
    one = rich("1")
    for number in range(OPEN_SESSIONS + 5):
        one.hear(one.cost("0", session=f"s{number}"))
    assert len(one.state.charging) == OPEN_SESSIONS
    for number in range(PAYMENTS + REQUESTS):
        one.hear(one.top_up("1", payment=f"p{number}"))
        one.hear(one.answer("done", "1"))
    assert (len(one.state.payments), len(one.state.requests)) == (PAYMENTS, REQUESTS)


def test_so_many_payments_go_on_at_once_and_no_more() -> None:
    one = Ledger(DRIVER, prepaid(mandate="cus/pm"))
    for number in range(PAYMENTS + 1):
        one.hear(one.top_up("1", payment=f"p{number}"))
    assert one.last(PostingRefused).reason == "too_many_payments"
    assert one.state.going_on == PAYMENTS


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        *[("10", "EUR", "10.00"), ("10.5", "EUR", "10.50"), ("0.125", "EUR", "0.125"), ("10", "JPY", "10")],
        *[("10.00", "JPY", "10"), ("1.5", "KWD", "1.500"), ("7", "???", "7.00")],
    ],
)
def test_an_amount_has_the_decimals_of_its_currency_and_loses_none(amount: str, currency: str, said: str) -> None:
    assert str(exact(eur(amount), currency)) == said


def test_a_session_that_is_over_reserves_nothing_and_the_others_do() -> None:
    one = rich("20")
    for session, amount in (("s1", "3"), ("s2", "4"), ("s3", "5")):
        one.hear(one.cost(amount, session=session))
    one.hear(one.cdr("3", session="s1"))
    assert (one.state.balance, one.state.reserved) == (eur(17), eur(9))
    one.hear(one.nothing(session="s2"))
    assert [each.session for each in one.state.charging] == ["s3"]
