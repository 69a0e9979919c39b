"""Ad-hoc payments (D-11, PAY-01 to PAY-06): held first, taken at the end, and whatever goes wrong between."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.event import PaymentId, TokenId
from contracts.ledger import (
    ChargingAllowed,
    FundsExhausted,
    MoneyReturned,
    PaymentAuthorised,
    PaymentSettled,
    PostingRefused,
    ProviderAsked,
    ProviderRefused,
    SessionCharged,
    Standing,
    WrittenOff,
)
from services.accounts import domain
from tests.accounts.says import Ledger, ad_hoc, at, eur


def test_a_hold_that_is_declined_never_starts() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    assert one.names(one.answer("declined", reason="no_funds")) == ["ProviderRefused", "PaymentSettled"]
    assert (one.last(PaymentSettled).state, one.last(PaymentSettled).reason) == ("declined", "no_funds")
    assert not one.of(ChargingAllowed)
    assert not one.of(Standing)


def waited_for() -> Ledger:
    """Return an account whose payer has been told where to pay."""
    one = ad_hoc()
    one.hear(one.hold())
    one.hear(one.answer("action_required", url="https://pay"))
    return one


def test_a_payer_who_has_something_to_do_is_waited_for() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    assert one.names(one.answer("action_required", url="https://pay")) == ["PaymentActionRequired"]
    assert one.names(one.answer("action_required", url="https://pay")) == []
    assert one.names(one.answer("done", minutes=5)) == ["PaymentAuthorised", "ChargingAllowed", "Standing"]


def test_a_provider_that_does_not_say_that_the_payer_has_paid_is_asked() -> None:
    one = waited_for()
    assert domain.deadline(one.state) == at(1) + timedelta(seconds=15)
    assert [type(each).__name__ for each in one.tick()] == ["ProviderAsked"]
    again = one.last(ProviderAsked)
    assert (again.kind, again.attempt, again.operation) == ("authorise", 2, one.of(ProviderAsked)[0].operation)
    assert one.names(one.answer("done", minutes=2)) == ["PaymentAuthorised", "ChargingAllowed", "Standing"]
    assert one.names(one.answer("done", minutes=3)) == [], "the webhook comes after all"


def test_whoever_is_asked_whether_the_payer_has_paid_may_be_silent_too() -> None:
    one = waited_for()
    for _ in range(4):
        again = one.until(ProviderAsked)
        assert one.names(one.answer("unreachable", at=again.at)) == ["ProviderSilent"]
    assert one.names(one.answer("done", minutes=9)) == ["PaymentAuthorised", "ChargingAllowed", "Standing"]


def given_up(one: Ledger) -> Ledger:
    """Let the provider say that the payer has not paid, until nobody waits any more."""
    while (asked := one.last(ProviderAsked)).kind == "authorise":
        if one.tick() and one.last(ProviderAsked).kind == asked.kind:
            one.hear(one.answer("action_required", at=one.last(ProviderAsked).at, url="https://pay"))
    return one


def test_a_payer_who_takes_too_long_can_pay_no_more() -> None:
    one = given_up(waited_for())
    assert len(one.of(ProviderAsked)) < 15
    assert (one.last(ProviderAsked).at, one.last(ProviderAsked).kind) == (at(31), "release")
    assert one.names(one.answer("done", "0", 31)) == ["PaymentSettled"]
    over = one.last(PaymentSettled)
    assert (over.state, over.reason, over.token) == ("failed", "payer_took_too_long", TokenId("t1"))
    assert domain.deadline(one.state) is None


def test_a_hold_that_comes_after_all_is_released() -> None:
    one = given_up(waited_for())
    authorise, release = one.of(ProviderAsked)[0], one.last(ProviderAsked)
    assert one.names(one.answer("done", minutes=40, to=authorise)) == ["PaymentAuthorised"]
    assert one.names(one.answer("done", minutes=41, to=release)) == ["PaymentSettled"]
    assert one.last(PaymentSettled).state == "released"
    assert domain.deadline(one.state) is None
    assert not one.of(ChargingAllowed)


def test_a_hold_that_comes_when_all_is_over_is_released() -> None:
    one = given_up(waited_for())
    one.hear(one.answer("failed", minutes=31))
    assert one.last(PaymentSettled).state == "failed"
    authorise = one.of(ProviderAsked)[0]
    assert one.names(one.answer("done", minutes=40, to=authorise)) == ["PaymentAuthorised", "ProviderAsked"]
    assert one.names(one.answer("done", minutes=41)) == ["PaymentSettled"]
    assert one.last(PaymentSettled).state == "released"


def test_a_session_that_never_begins_releases_the_hold() -> None:
    one = ad_hoc().held()
    assert domain.deadline(one.state) == at(31)
    assert [type(each).__name__ for each in one.tick()] == ["ProviderAsked", "Standing"]
    assert (one.last(ProviderAsked).kind, one.last(Standing).why) == ("release", "no_hold")
    assert one.last(ProviderAsked).currency == "EUR"


def test_a_session_that_costs_nothing_releases_the_hold() -> None:
    one = ad_hoc().held()
    one.hear(one.cost("0"))
    assert one.names(one.nothing()) == ["NothingCharged", "ProviderAsked", "Standing"]
    assert one.last(ProviderAsked).kind == "release"
    one.hear(one.answer("failed", minutes=61))
    assert one.last(PaymentSettled).state == "released"


def test_a_session_that_was_over_before_its_hold_was_there_is_paid_from_it() -> None:
    one = ad_hoc()
    one.hear(one.hold("50"))
    one.hear(one.cdr("20", 0))
    assert one.names(one.answer()) == ["PaymentAuthorised", "ProviderAsked"]
    assert one.last(ProviderAsked).kind == "capture"


def test_a_cdr_of_0_releases_the_hold() -> None:
    one = ad_hoc().held()
    assert one.names(one.cdr("0")) == ["SessionCharged", "ProviderAsked", "Standing"]
    assert one.last(SessionCharged).movement is None
    assert one.last(ProviderAsked).kind == "release"


def test_what_is_a_little_more_than_the_hold_is_waived() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("50.99"))
    assert one.last(ProviderAsked).amount == 50
    assert one.names(one.answer("done", "50", 61)) == ["MoneyTaken", "PaymentSettled", "WrittenOff"]
    assert (one.last(WrittenOff).reason, one.last(WrittenOff).balance) == ("too_small", eur(0))
    assert one.places["losses"] == eur("-0.99")
    assert domain.deadline(one.state) is None


def test_what_is_much_more_than_the_hold_is_owed() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("51"))
    assert one.names(one.answer("done", "50", 61)) == ["MoneyTaken", "PaymentSettled", "DebtFound"]
    assert one.state.owed == 1
    assert one.state.debt is not None
    assert one.state.debt.due == at(61)


def test_a_capture_that_fails_leaves_the_whole_owed() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    assert one.names(one.answer("failed", minutes=61)) == ["ProviderRefused", "PaymentSettled", "ProviderAsked"]
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("release", eur(50))
    assert one.names(one.answer("done", "0", 62)) == ["PaymentSettled", "DebtFound"]
    assert (one.last(PaymentSettled).state, one.last(PaymentSettled).reason) == ("failed", "not_captured")
    assert one.state.owed == 20


def test_a_success_that_is_heard_after_its_failure_counts() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    asked = one.last(ProviderAsked)
    one.hear(one.answer("failed", minutes=61))
    assert one.names(one.answer("done", "20", 62, to=asked)) == ["MoneyTaken", "PaymentSettled"]
    assert (one.state.balance, one.state.debt) == (eur(0), None)
    assert one.names(one.answer("failed", minutes=63, to=asked)) == []
    assert one.names(one.answer("done", "20", 64, to=asked)) == []


def test_a_failure_counts_once() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    asked = one.last(ProviderAsked)
    one.hear(one.answer("failed", minutes=61))
    assert one.names(one.answer("failed", minutes=62, to=asked)) == []


def test_a_credit_after_the_capture_is_given_back_once_no_correction_can_come() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    assert one.names(one.credit("20", 70)) == ["SessionCredited"]
    assert domain.deadline(one.state) == at(80)
    one.tick()
    asked = one.last(ProviderAsked)
    assert (asked.kind, asked.amount) == ("refund", eur(20))
    assert one.names(one.answer("done", "20", 81)) == ["MoneyReturned", "PaymentSettled"]
    assert one.last(PaymentSettled).state == "refunded"
    assert (one.state.balance, one.last(MoneyReturned).balance) == (eur(0), eur(0))
    assert domain.deadline(one.state) is None


def test_a_correction_gives_back_only_the_difference() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    one.hear(one.credit("20", 70))
    one.hear(one.cdr("18", 70, cdr="cdr-2", corrects="cdr-s1"))
    assert one.last(ProviderAsked).amount == 2, "at once: what takes the credited one's place is there"
    one.hear(one.answer("done", "2", 81))
    settled = one.last(PaymentSettled)
    assert (settled.state, settled.taken, settled.returned) == ("partially_refunded", eur(20), eur(2))


def test_what_cannot_be_given_back_stays_the_accounts() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    one.hear(one.credit("20", 70))
    one.tick()
    assert one.names(one.answer("failed", minutes=81)) == ["ProviderRefused"]
    assert one.state.balance == 20
    assert domain.deadline(one.state) is None


def test_a_credit_before_the_capture_leaves_nothing_to_take() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("0"))
    one.hear(one.credit("20", 50))
    assert one.names(one.cdr("20", 55)) == ["SessionCharged", "ProviderAsked", "Standing"]
    assert one.last(ProviderAsked).kind == "release"


def test_a_capture_that_was_too_little_is_waived_and_its_hold_let_go() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("0.30"))
    one.hear(one.answer("failed", minutes=61, reason="amount_too_small"))
    assert one.last(ProviderAsked).kind == "release"
    assert one.names(one.answer("done", "0", 62)) == ["PaymentSettled", "WrittenOff"]
    assert domain.deadline(one.state) is None


def test_a_capture_that_is_heard_of_after_it_was_refused_stays_one() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    capture = one.last(ProviderAsked)
    one.hear(one.answer("failed", minutes=61))
    release = one.last(ProviderAsked)
    one.hear(one.answer("done", "20", 62, to=capture))
    one.hear(one.answer("failed", minutes=63, to=release, reason="already_captured"))
    assert (one.last(PaymentSettled).state, one.last(PaymentSettled).taken) == ("captured", eur(20))
    assert one.state.balance == 0


def refunded_20() -> Ledger:
    """Return an account whose session was credited whole, and whose refund the provider has taken on."""
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    one.hear(one.credit("20", 70))
    one.tick()
    one.hear(one.answer("done", "20", 81))
    return one


def test_a_refund_that_fails_after_all_is_money_that_has_come_back() -> None:
    one = refunded_20()
    failed = one.answer("failed", "20", 90, reason="lost_or_stolen_card")
    assert one.names(failed) == ["MoneyReturned", "ProviderRefused", "PaymentSettled"]
    assert (one.state.balance, one.places["provider"]) == (eur(20), eur(-20))
    settled = one.last(PaymentSettled)
    assert (settled.state, settled.taken, settled.returned) == ("captured", eur(20), eur(0))
    assert domain.deadline(one.state) is None, "a person looks at it"


def test_a_refund_that_has_failed_after_all_stays_so_whatever_is_said_again() -> None:
    one = refunded_20()
    one.hear(one.answer("failed", "20", 90))
    assert one.names(one.answer("done", "20", 81)) == []
    assert one.names(one.answer("failed", "20", 90)) == []
    assert one.state.balance == 20


def test_an_attempt_too_many_at_a_refund_fails_and_changes_nothing() -> None:
    assert (one := refunded_20()).names(one.answer("failed", None, 90)) == []


def test_what_was_waived_is_not_given_back_when_it_is_owed_no_more() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("10"))
    one.hear(one.answer("done", "10", 61))
    one.hear(one.credit("10", 70))
    assert one.names(one.cdr("10.50", 70, cdr="second")) == ["SessionCharged", "WrittenOff"]
    one.hear(one.credit("10.50", 80, credits="second"))
    assert one.names(one.cdr("9.50", 80, cdr="third")) == ["SessionCharged", "WrittenOff", "ProviderAsked"]
    assert (one.last(WrittenOff).reason, one.places["losses"]) == ("owed_no_more", eur(0))
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("refund", eur("0.50"))


def test_what_was_dunned_for_in_vain_is_no_credit_of_a_bill_that_is_taken_back() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("80"))
    one.hear(one.answer("done", "50", 61))
    assert one.until(WrittenOff).reason == "dunned_in_vain"
    days = 60 * 24 * 40
    one.hear(one.credit("80", days))
    assert one.names(one.cdr("60", days, cdr="second")) == ["SessionCharged", "WrittenOff"]
    assert (one.state.balance, one.places["losses"], one.last(ProviderAsked).kind) == (eur(0), eur(-10), "capture")


# ---- while it charges ---------------------------------------------------------------------------------------------------


def test_more_is_held_when_a_session_has_nearly_used_up_what_is() -> None:
    one = ad_hoc().held("50")
    assert one.names(one.cost("44.99")) == ["ChargingRunning"]
    assert one.names(one.cost("45", 6)) == ["ChargingRunning", "ProviderAsked"]
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("increase", eur(100))
    assert one.names(one.cost("46", 7)) == ["ChargingRunning"]
    assert one.names(one.answer("done", "100", 8)) == ["PaymentAuthorised"]
    assert one.names(one.cost("89", 9)) == ["ChargingRunning"]
    assert not one.of(FundsExhausted)


def test_a_session_is_stopped_once_when_no_more_can_be_held() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    assert one.names(one.answer("declined", minutes=8)) == ["ProviderRefused", "FundsExhausted"]
    assert (one.last(FundsExhausted).amount, one.last(FundsExhausted).available) == (eur(45), eur(50))
    assert one.names(one.cost("46", 9)) == ["ChargingRunning"]


def test_a_session_that_goes_on_though_it_was_to_stop_is_told_again() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    one.hear(one.answer("declined", minutes=8))
    assert one.names(one.cost("60", 17)) == ["ChargingRunning"]
    assert one.names(one.cost("61", 18)) == ["ChargingRunning", "FundsExhausted"]
    assert one.names(one.cost("62", 19)) == ["ChargingRunning"]
    assert one.names(one.cost("61", 40)) == ["ChargingRunning"], "it has stopped, and says so late"


@pytest.mark.parametrize("how", ["unreachable", "late"])
def test_a_session_is_stopped_when_nobody_knows_whether_more_is_held(how: str) -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    said = one.answer("unreachable", minutes=6) if how == "unreachable" else one.cost("50", 6)
    assert "FundsExhausted" in one.names(said)


def test_a_hold_grows_to_four_times_what_it_was() -> None:
    one = ad_hoc().held("50")
    for step, total in enumerate((100, 150, 200)):
        one.hear(one.cost(f"{total - 55}", 10 + step))
        one.hear(one.answer("done", f"{total}", 10 + step))
    assert one.names(one.cost("181", 20)) == ["ChargingRunning", "FundsExhausted"]


def test_a_capture_waits_for_the_answer_to_an_increase() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    assert one.names(one.cdr("60")) == ["SessionCharged", "Standing"]
    one.hear(one.answer("done", "100", 61))
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("capture", eur(60))


def test_an_increase_that_is_heard_of_too_late_changes_nothing() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    asked = one.last(ProviderAsked)
    one.hear(one.answer("declined", minutes=8))
    one.hear(one.cdr("40"))
    one.hear(one.answer("done", "40", 61))
    assert one.names(one.answer("done", "100", 70, to=asked)) == []


def test_a_session_is_stopped_a_day_before_its_hold_lapses_and_paid_for_an_hour_before() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    one.hear(one.answer("done", capture_before=at(days=7)))
    one.hear(one.cost("30"))
    assert domain.deadline(one.state) == at(days=6)
    assert [type(each).__name__ for each in one.tick()] == ["FundsExhausted"]
    assert domain.deadline(one.state) == at(-60, days=7)
    one.tick()
    assert (one.last(ProviderAsked).kind, one.last(ProviderAsked).amount) == ("capture", eur(30))
    one.hear(one.answer("done", "30", 60 * 24 * 7 - 50))
    assert one.state.balance == 30
    one.hear(one.cdr("31.50", 60 * 24 * 7))
    assert one.state.owed == eur("1.50")


def test_a_hold_that_was_used_for_nothing_is_released_before_it_lapses() -> None:
    one = ad_hoc().held()
    one.hear(one.cost("0"))
    one.tick()
    assert [type(each).__name__ for each in one.tick()] == ["ProviderAsked", "Standing"]
    assert one.last(ProviderAsked).kind == "release"


def test_a_hold_that_lapsed_stops_its_session_and_what_it_cost_is_owed() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("30"))
    lapsed = one.answer(kind="expired", operation="", minutes=30)
    assert one.names(lapsed) == ["PaymentSettled", "FundsExhausted", "Standing"]
    assert one.names(lapsed) == []
    assert one.names(one.cdr("31")) == ["SessionCharged", "DebtFound"]


def test_an_increase_that_is_answered_when_the_payment_is_over_is_waited_for_no_more() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    asked = one.last(ProviderAsked)
    one.hear(one.answer(kind="expired", operation="", minutes=30))
    assert (one.state.payments[0].pending, one.of(ProviderRefused)[-1].operation) == (None, asked.operation)
    assert one.names(one.answer("done", "100", 31, to=asked)) == []
    assert one.names(one.cdr("46")) == ["SessionCharged", "DebtFound"]


def test_more_for_a_payment_that_was_given_up_meanwhile_is_nothing() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cost("45"))
    asked = one.last(ProviderAsked)
    over = replace(one.state.payments[0], stage="over", finished=True)
    one.state = replace(one.state, payments=(over,))  # as states are that were written before an expiry refused it
    assert "ProviderRefused" in one.names(one.answer("done", "100", 31, to=asked))
    assert one.names(one.answer("done", "100", 32, to=asked)) == []
    assert one.state.payments[0].pending is None


def test_a_page_that_lapsed_holds_nothing() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    one.hear(one.answer("action_required", url="https://pay"))
    assert one.names(one.answer(kind="expired", operation="", minutes=9)) == ["ProviderRefused", "PaymentSettled"]
    assert domain.deadline(one.state) is None


def test_a_dispute_takes_back_what_was_taken() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    disputed = one.answer(kind="disputed", operation="", minutes=90, amount="20", reason="fraudulent")
    assert one.names(disputed) == ["MoneyReturned", "PaymentSettled", "DebtFound"]
    assert one.last(PaymentSettled).state == "disputed"
    assert one.names(disputed) == []
    assert one.state.owed == 20
    assert one.places["provider"] == 0, "it took what it had given"


def test_a_dispute_of_one_euro_is_one_too() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("1"))
    one.hear(one.answer("done", "1", 61))
    disputed = one.answer(kind="disputed", operation="", minutes=90, amount="1", reason="fraudulent")
    assert one.names(disputed) == ["MoneyReturned", "PaymentSettled", "DebtFound"]


def test_a_hold_of_which_the_provider_says_no_end_lasts_six_days() -> None:
    assert ad_hoc().held("50").last(PaymentAuthorised).capture_before == at(1, days=6)


def test_a_payer_whose_hold_is_there_may_charge_for_no_further_reason() -> None:
    said = ad_hoc().held("50").last(Standing)
    assert (said.may_charge, said.why) == (True, "")


def test_a_dispute_that_takes_nothing_yet_is_nothing_yet() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    assert one.names(one.answer("failed", kind="disputed", operation="", minutes=90)) == []


def test_a_dispute_of_a_part_counts_once() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    disputed = one.answer("done", "5", 90, kind="disputed", operation="dp_1")
    one.hear(disputed)
    assert one.names(disputed) == []
    assert one.state.owed == 5
    assert "MoneyReturned" in one.names(one.answer("done", "5", 91, kind="disputed", operation="dp_2"))


def test_a_dispute_of_a_payment_that_is_forgotten_is_for_a_person_to_enter() -> None:
    one = ad_hoc().held("50")
    disputed = one.answer("done", "5", 90, kind="disputed", operation="dp_1", payment=PaymentId("of long ago"))
    assert one.names(disputed) == ["PostingRefused"]
    assert one.last(PostingRefused).reason == "payment_forgotten"
    assert one.names(disputed) == []
    assert one.names(replace(disputed, operation="o-1", kind="capture")) == []


def test_a_dispute_that_was_won_gives_back_what_it_took() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    one.hear(one.answer("done", "20", 61))
    dispute: dict[str, Any] = {"kind": "disputed", "operation": "dp_1"}
    lost, won = one.answer("done", "20", 90, **dispute), one.answer("failed", "20", 99, **dispute)
    one.hear(lost)
    assert one.names(won) == ["MoneyReturned", "ProviderRefused", "PaymentSettled"]
    assert (one.state.balance, one.state.debt, one.last(PaymentSettled).state) == (eur(0), None, "captured")
    assert one.names(won) == one.names(lost) == []


# ---- when nobody answers ------------------------------------------------------------------------------------------------


def test_what_nobody_knows_is_asked_again_under_the_same_key_later_and_later() -> None:
    one = ad_hoc().held("50")
    one.hear(one.cdr("20"))
    first = one.last(ProviderAsked)
    waits = []
    for attempt in range(2, 9):
        now = one.last(ProviderAsked).at
        answer = one.answer("unreachable", at=now)
        assert one.names(answer) == ["ProviderSilent"]
        assert one.names(answer) == []
        deadline = domain.deadline(one.state)
        assert deadline is not None
        waits.append((deadline - now).total_seconds())
        one.tick()
        again = one.last(ProviderAsked)
        assert (again.operation, again.amount, again.attempt) == (first.operation, first.amount, attempt)
    assert waits == [10, 30, 120, 600, 3600, 21_600, 21_600]
    one.hear(one.answer("done", "20", 999))
    assert one.state.balance == 0


def test_whoever_waits_at_a_station_is_not_kept_for_ever() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    for _ in range(2):
        one.hear(one.answer("unreachable"))
        one.tick()
    assert one.names(one.answer("unreachable")) == ["ProviderRefused", "PaymentSettled"]
    assert one.names(one.answer("done")) == ["PaymentAuthorised", "ProviderAsked"]
    assert one.last(ProviderAsked).kind == "release"


def test_an_answer_to_what_nobody_asked_means_nothing() -> None:
    one = ad_hoc().held()
    assert one.names(one.answer(payment=PaymentId("p2"))) == []
    assert one.names(one.answer(operation="o2")) == []


# ---- what cannot be asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"amount": eur("0")}, "nothing"), ({"currency": "NOK"}, "wrong_currency"), ({"payment": "p2"}, "not_ad_hoc")],
)
def test_what_cannot_be_held_is_refused(fields: dict[str, Any], reason: str) -> None:
    one = ad_hoc()
    if "amount" not in fields:
        one.hear(one.hold() if "payment" in fields else one.cost("1"))
    [refused] = one.hear(one.hold(**fields))
    assert refused.reason == reason  # type: ignore[union-attr]  # a PostingRefused


def test_a_hold_has_an_account_of_its_own() -> None:
    one = Ledger()
    assert one.names(one.hold()) == ["PostingRefused"]


def test_a_hold_that_is_asked_twice_is_asked_for_once() -> None:
    one = ad_hoc()
    one.hear(one.hold())
    assert one.names(one.hold()) == []
    assert one.names(one.hold(fingerprint="another")) == ["PostingRefused"]
