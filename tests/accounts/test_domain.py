"""Accounts' money from a posting to what follows."""

from contracts.ledger import ChargingAllowed, MoneyTaken, PaymentSettled, ProviderAsked, Standing
from services.accounts import domain
from tests.accounts.says import ad_hoc, at, eur


def test_a_hold_comes_before_the_start_and_what_it_cost_is_taken_after_the_end() -> None:
    one = ad_hoc()
    assert one.names(one.hold("50")) == ["PaymentOpened", "ProviderAsked"]
    assert one.names(one.answer()) == ["PaymentAuthorised", "ChargingAllowed", "Standing"]
    assert one.last(ChargingAllowed).until == at(16)
    assert one.last(Standing).may_charge
    assert one.names(one.cost("0")) == ["ChargingRunning"]
    assert one.names(one.cdr("12.40")) == ["SessionCharged", "ProviderAsked", "Standing"]
    assert one.last(Standing).why == "no_hold"
    asked = one.last(ProviderAsked)
    assert (asked.kind, asked.amount, asked.reference) == ("capture", eur("12.40"), "pi_1")
    assert one.names(one.answer("done", "12.40", 61)) == ["MoneyTaken", "PaymentSettled"]
    assert one.last(PaymentSettled).state == "captured"
    assert one.last(MoneyTaken).balance == 0
    assert domain.deadline(one.state) is None
    assert sum(one.places.values()) == 0
