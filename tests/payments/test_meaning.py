"""What Stripe's words mean: of a payment intent's state, and of an error."""

from typing import Any

import pytest

from contracts.postings import Operation, Outcome
from services.payments.meaning import of_error, of_page, of_refund, outcome_of
from services.payments.provider import Answer
from tests.payments.asks import asked


def intent(status: str, **more: Any) -> dict[str, Any]:
    plain = {"id": "pi_1", "currency": "eur", "amount": 5000, "amount_capturable": 5000, "amount_received": 1234}
    return {**plain, "status": status, **more}


@pytest.mark.parametrize(
    ("kind", "status", "outcome", "amount"),
    [
        ("authorise", "requires_capture", "done", "50.00"),
        ("authorise", "succeeded", "done", "50.00"),
        ("increase", "requires_capture", "done", "50.00"),
        ("increase", "succeeded", "done", "50.00"),
        ("capture", "succeeded", "done", "12.34"),
        ("charge", "succeeded", "done", "12.34"),
        ("release", "canceled", "done", "0.00"),
        ("release", "succeeded", "failed", "None"),
        ("authorise", "canceled", "failed", "None"),
        ("capture", "canceled", "failed", "None"),
        ("charge", "processing", "unreachable", "None"),
        ("authorise", "requires_action", "declined", "None"),
        ("authorise", "requires_payment_method", "declined", "None"),
    ],
)
def test_a_state_is_what_came_of_an_operation(kind: Operation, status: str, outcome: Outcome, amount: str) -> None:
    answer = outcome_of(asked(kind), intent(status))
    assert answer is not None
    assert (answer.outcome, str(answer.amount), answer.reference) == (outcome, amount, "pi_1")


@pytest.mark.parametrize(
    ("kind", "status"), [("capture", "requires_capture"), ("release", "requires_capture"), ("refund", "succeeded")]
)
def test_what_has_not_been_done_has_no_outcome(kind: Operation, status: str) -> None:
    assert outcome_of(asked(kind), intent(status)) is None


def test_a_hold_that_is_too_small_has_not_been_increased() -> None:
    assert outcome_of(asked("increase", "50.01"), intent("requires_capture")) is None


def test_a_payer_who_has_something_to_do_is_told_where() -> None:
    action = {"redirect_to_url": {"url": "https://bank.example.com/3ds"}}
    answer = outcome_of(asked("charge"), intent("requires_action", next_action=action))
    assert answer == Answer("action_required", reference="pi_1", url="https://bank.example.com/3ds")


@pytest.mark.parametrize(("decline", "reason"), [("insufficient_funds", "insufficient_funds"), (None, "card_declined")])
def test_a_decline_says_why(decline: str | None, reason: str) -> None:
    error = {"code": "card_declined", "decline_code": decline}
    answer = outcome_of(asked("charge"), intent("requires_payment_method", last_payment_error=error))
    assert answer == Answer("declined", reference="pi_1", reason=reason)


def test_a_canceled_payment_says_why() -> None:
    answer = outcome_of(asked("capture"), intent("canceled", cancellation_reason="automatic"))
    assert answer == Answer("failed", reference="pi_1", reason="automatic")


def test_a_page_is_open_paid_or_expired() -> None:
    page = {"id": "cs_1", "url": "https://pay.example.com"}
    opened, expired = {**page, "status": "open"}, {**page, "status": "expired"}
    assert of_page(asked("authorise"), opened) == Answer("action_required", None, "cs_1", "https://pay.example.com")
    assert of_page(asked("authorise"), expired) == Answer("failed", reference="cs_1", reason="page_expired")
    assert of_page(asked("release"), opened) is None
    released = of_page(asked("release"), expired)
    assert released is not None
    assert (released.outcome, released.reference) == ("done", "cs_1")


def test_a_refund_is_done_once_it_is_on_its_way() -> None:
    refund = {"amount": 200, "currency": "eur", "payment_intent": "pi_1"}
    for status in ("succeeded", "pending"):
        assert of_refund({**refund, "status": status}).outcome == "done"
    lost = of_refund({**refund, "status": "failed", "failure_reason": "lost_card"})
    assert (lost.outcome, lost.reason) == ("failed", "lost_card")
    assert of_refund({**refund, "status": "canceled"}).reason == "canceled"


def test_an_error_without_a_code_is_called_by_its_type() -> None:
    assert of_error(400, None, {"type": "idempotency_error"}).reason == "idempotency_error"


@pytest.mark.parametrize(
    ("status", "code", "outcome", "reason"),
    [
        (402, "card_declined", "declined", "card_declined"),
        (402, None, "declined", "card_declined"),
        (401, None, "unreachable", "VOLTSTREAM_STRIPE_KEY"),
        (403, None, "unreachable", "VOLTSTREAM_STRIPE_KEY"),
        (400, "amount_too_large", "failed", "amount_too_large"),
        (404, None, "failed", "invalid_request"),
        (409, "lock_timeout", "unreachable", "lock_timeout"),
        (429, "rate_limit", "unreachable", "rate_limit"),
        (500, None, "unreachable", "HTTP 500"),
        (None, None, "unreachable", "no answer"),
    ],
)
def test_an_error_is_a_no_or_a_silence(status: int | None, code: str | None, outcome: str, reason: str) -> None:
    answer = of_error(status, code, {})
    assert answer.outcome == outcome
    assert reason in answer.reason


def test_an_error_names_the_payment_it_is_about_and_the_banks_reason() -> None:
    answer = of_error(402, "card_declined", {"decline_code": "insufficient_funds", "payment_intent": {"id": "pi_1"}})
    assert answer == Answer("declined", reference="pi_1", reason="insufficient_funds")
