"""What two services have to know of Stripe's wire: its signatures, its amounts, and what of ours its objects name.

Pure: no I/O, no clock. The client itself is only in services/payments/stripe.py.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from msgspec import Struct

from contracts import currencies
from contracts.event import AccountId, PaymentId, TenantId

TOLERANCE_S = 300
"""How old a signature may be (docs.stripe.com/webhooks)."""
_TWO_ALL_THE_SAME = frozenset({"ISK", "UGX"})
"""Stripe counts these in hundredths though they have none (docs.stripe.com/currencies, special cases)."""
_WHOLE_ALL_THE_SAME = frozenset({"MGA"})
"""And these as wholes though they have hundredths (docs.stripe.com/currencies, zero-decimal currencies)."""


class Forged(Exception):
    """It was not signed with a secret of ours, or too long ago. The message says what is wrong, and no secret."""


def verify(body: bytes, signature: str, secrets: Iterable[str], now_s: float) -> None:
    """Return if `body` was signed with one of the secrets and lately; otherwise raise `Forged` (PAY-05)."""
    signed_at, presented = _said(signature)
    payload = str(signed_at).encode() + b"." + body
    expected = [hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest() for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in expected for other in presented):
        raise Forged("the signature is none of this body with a secret of VOLTSTREAM_STRIPE_WEBHOOK_SECRETS")
    if abs(now_s - signed_at) > TOLERANCE_S:
        raise Forged(f"it was signed {now_s - signed_at:.0f} s ago, by this machine's clock: more than {TOLERANCE_S} s")


def _said(signature: str) -> tuple[int, list[str]]:
    """Return when a `Stripe-Signature` says it was made, and its signatures of version 1."""
    parts = [part.strip().partition("=") for part in signature.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1" and value.isascii()]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12 or not signatures:
        raise Forged("the header Stripe-Signature should say t=SECONDS,v1=HEX")
    return int(times[0]), signatures


def decimals(currency: str) -> int:
    """Return how many decimals Stripe counts a currency's amounts with."""
    code = currency.upper()
    if code in _WHOLE_ALL_THE_SAME:
        return 0
    return 2 if code in _TWO_ALL_THE_SAME else currencies.decimals(code)


def minor(amount: Decimal, currency: str, rounding: str = ROUND_UP) -> int:
    """Return an amount as Stripe counts it. Of three decimals the last has to be 0 (docs.stripe.com/currencies)."""
    places = decimals(currency)
    least = Decimal(1).scaleb(-min(places, 2))
    return int(amount.quantize(least, rounding).scaleb(places))


def major(count: int, currency: str) -> Decimal:
    """Return an amount that Stripe has counted, with the decimals that its currency has."""
    exact = Decimal(count).scaleb(-decimals(currency))
    return exact.quantize(currencies.unit(currency.upper()))


class Named(Struct, frozen=True):
    """What is ours in an object of Stripe's, as its metadata says. Besides, each kind of operation has its id there."""

    tenant: TenantId
    account: AccountId
    payment: PaymentId

    def metadata(self, kind: str, operation: str) -> dict[str, str]:
        """Return what an object says that comes of an operation."""
        return {"tenant": self.tenant, "account": self.account, "payment": self.payment, kind: operation}


def named(metadata: Mapping[str, Any]) -> Named | None:
    """Return whose payment an object is; None if it is none of ours."""
    said = [metadata.get(name) for name in ("tenant", "account", "payment")]
    if not all(isinstance(one, str) and one for one in said):
        return None
    tenant, account, payment = map(str, said)
    return Named(TenantId(tenant), AccountId(account), PaymentId(payment))
