"""What accounts ask of the provider, in tests."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.event import AccountId, PaymentId, TenantId
from contracts.ledger import ProviderAsked
from contracts.postings import Operation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
ADHOC = AccountId("adhoc-p1")


def asked(kind: Operation, amount: str = "50.00", *, payment: str = "p1", **more: Any) -> ProviderAsked:
    said: dict[str, Any] = {"operation": f"{payment}/{kind}", "currency": "EUR", **more}
    account = AccountId(f"adhoc-{payment}")
    return ProviderAsked(
        at=NOON, tenant=ACME, account=account, payment=PaymentId(payment), kind=kind, amount=Decimal(amount), **said
    )
