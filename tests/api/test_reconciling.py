"""What does not match is named with its amount; what does is not."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.api.reconciling import differences, sums
from tests.billing.says import NOON

ROW: dict[str, Any] = {
    "session": "s-1", "station": "CP-1", "site": "oslo", "session_wh": 10_000, "register_wh": 10_000, "cdrs": 1,
    "cdr_wh": 10_000, "gross": Decimal("5.00"), "currency": "EUR", "account": "a-1", "charged": Decimal("5.00"),
    "entries": 1, "paid": Decimal(0), "said": "CdrIssued", "due": None,
}  # fmt: skip
NO_CDR: dict[str, Any] = {"cdrs": 0, "cdr_wh": 0, "gross": None, "currency": "", "account": "", "charged": Decimal(0)}


def of(**more: Any) -> list[tuple[str, str, str, str, bool]]:
    found = differences([ROW | more], NOON)
    return [(each.kind, str(each.amount), each.unit, each.why, each.explained) for each in found]


def test_what_matches_is_no_difference() -> None:
    assert of() == []
    assert of(account="adhoc-1", paid=Decimal("5.00")) == []
    assert of(session_wh=None) == []


@pytest.mark.parametrize(
    ("row", "difference"),
    [
        ({"register_wh": 9_000}, ("register_differs", "1000", "Wh", "", False)),
        ({"cdr_wh": 9_999}, ("cdr_energy_differs", "-1", "Wh", "", False)),
        ({"account": ""}, ("no_account", "5.00", "EUR", "no_account", True)),
        ({"entries": 0, "charged": Decimal(0)}, ("not_charged", "-5.00", "EUR", "", False)),
        ({"charged": Decimal("4.50")}, ("charged_differs", "-0.50", "EUR", "", False)),
        ({"account": "adhoc-1", "paid": Decimal("6.00")}, ("payment_differs", "1.00", "EUR", "", False)),
        (NO_CDR | {"said": "TariffMissing"}, ("no_cdr", "10000", "Wh", "no_tariff", True)),
        (NO_CDR | {"said": "ChargedFree"}, ("no_cdr", "10000", "Wh", "free", True)),
        (NO_CDR | {"said": "CdrHeld"}, ("no_cdr", "10000", "Wh", "held", True)),
        (NO_CDR | {"said": "CdrWaived"}, ("no_cdr", "10000", "Wh", "waived", True)),
        (NO_CDR | {"said": "BillDiscarded"}, ("no_cdr", "10000", "Wh", "discarded", True)),
        (NO_CDR | {"said": "SessionMeasured", "due": NOON}, ("no_cdr", "10000", "Wh", "due", True)),
        (
            NO_CDR | {"said": "SessionMeasured", "due": NOON - timedelta(hours=1)},
            ("no_cdr", "10000", "Wh", "overdue", False),
        ),
        (NO_CDR | {"said": ""}, ("no_cdr", "10000", "Wh", "unknown", False)),
    ],
)
def test_what_does_not_match_is_named(row: dict[str, Any], difference: Any) -> None:
    assert of(**row) == [difference]


def test_sessions_add_up_by_site_and_currency() -> None:
    other = ROW | NO_CDR | {"session": "s-2"}
    assert sums([other, ROW, ROW]) == {
        ("oslo", ""): {
            "sessions": 1, "cdrs": 0, "register_wh": 10_000, "session_wh": 10_000, "cdr_wh": 0, "gross": Decimal(0),
            "charged": Decimal(0), "paid": Decimal(0),
        },
        ("oslo", "EUR"): {
            "sessions": 2, "cdrs": 2, "register_wh": 20_000, "session_wh": 20_000, "cdr_wh": 20_000,
            "gross": Decimal("10.00"), "charged": Decimal("10.00"), "paid": Decimal(0),
        },
    }  # fmt: skip
