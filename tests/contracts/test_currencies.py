"""How many decimals amounts have."""

from decimal import Decimal

import pytest

from contracts.currencies import decimals, unit


@pytest.mark.parametrize(
    ("currency", "count", "smallest"),
    [("EUR", 2, "0.01"), ("JPY", 0, "1"), ("KWD", 3, "0.001"), ("CLF", 4, "0.0001"), ("???", 2, "0.01")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, count: int, smallest: str) -> None:
    assert (decimals(currency), str(unit(currency))) == (count, smallest)
    assert str(0 * unit(currency)) == str(Decimal(0).scaleb(-count))
