"""How Stripe counts money: docs.stripe.com/currencies."""

from decimal import ROUND_DOWN, Decimal

import pytest

from chassis.stripe_wire import major, minor


@pytest.mark.parametrize(
    ("amount", "currency", "count", "back"),
    [
        ("12.34", "EUR", 1234, "12.34"),
        ("1500", "JPY", 1500, "1500"),
        ("1500", "ISK", 150_000, "1500"),
        ("1500", "UGX", 150_000, "1500"),
        ("1.230", "KWD", 1230, "1.230"),
        ("2500.00", "MGA", 2500, "2500.00"),
    ],
)
def test_an_amount_is_counted_as_stripe_counts_its_currency(amount: str, currency: str, count: int, back: str) -> None:
    assert minor(Decimal(amount), currency) == count
    assert str(major(count, currency.lower())) == back


@pytest.mark.parametrize(
    ("amount", "currency", "up", "down"),
    [("1.234", "KWD", 1240, 1230), ("0.001", "BHD", 10, 0), ("12.50", "MGA", 13, 12), ("0.29", "EUR", 29, 29)],
)
def test_what_stripe_cannot_count_is_held_and_given_back_whole_and_never_taken(
    amount: str, currency: str, up: int, down: int
) -> None:
    assert minor(Decimal(amount), currency) == up
    assert minor(Decimal(amount), currency, ROUND_DOWN) == down
