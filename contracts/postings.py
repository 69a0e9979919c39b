"""What concerns an account's money: what its sessions cost, what somebody asks of it, and what the payment provider said.

Written by the api and by payments, which carries over what `bills` says, without a transaction and perhaps twice: `source` says where
it was read, so that an account hears each once. An ad-hoc payment is an account of its own, `adhoc-` and the payment's id.
"""

from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct

from contracts.bills import TaxShare
from contracts.event import (
    AccountId,
    Event,
    Instant,
    PaymentId,
    RequestId,
    SessionId,
    SiteId,
    StationId,
    TenantId,
    TokenId,
)
from contracts.reference import CustomerAccount

AD_HOC = "adhoc-"
"""How the name of an account begins that is of one payment, and that no directory knows."""

Operation = Literal["authorise", "increase", "charge", "capture", "release", "refund"]
"""What a payment provider can be asked for (PAY-07). authorise holds money, increase holds more (its amount is the new total), capture takes up to what is held
and frees the rest, release frees it all; charge takes at once from a saved mandate; refund gives back what was taken."""
Outcome = Literal["done", "action_required", "declined", "failed", "unreachable"]
"""action_required: the payer has something to do first. failed: it can never succeed, such as a hold that lapsed.
unreachable: nobody knows; asked again later under the same idempotency key."""


class Source(Struct, frozen=True):
    """Where a record was read that concerns an account. Of one partition number, each offset counts once, in order."""

    part: int
    offset: int


class OfAccount(Event, frozen=True, kw_only=True):
    """An event about one account; its key is `tenant/account`."""

    tenant: TenantId
    account: AccountId


class OfBill(OfAccount, frozen=True, kw_only=True):
    """What a session of the account costs."""

    source: Source
    session: SessionId
    station: StationId
    currency: str


class CostPosted(OfBill, frozen=True, kw_only=True):
    """A session that goes on comes to this so far, taxes included; where they are unknown, without them.

    Said first when the session has begun and has a price: 0. That keeps the hold of an ad-hoc payment.
    """

    amount: Decimal


class CdrPosted(OfBill, frozen=True, kw_only=True):
    """A session is billed. `corrects`: a CDR that was credited just before."""

    cdr: str
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...] = ()
    """Their sums are net and gross."""
    energy_wh: int
    started_at: Instant
    ended_at: Instant
    site: SiteId | None = None
    corrects: str | None = None
    energy: tuple[TaxShare, ...] = ()
    """What of the amounts is for energy, by rate, exact to six decimals. Empty: nothing is, or an older release wrote it."""


class CreditPosted(OfBill, frozen=True, kw_only=True):
    """A CDR counts no more. The amounts are the exact negatives of its own."""

    cdr: str
    """The credit's id."""
    credits: str
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...] = ()
    started_at: Instant | None = None
    """When the session began, as its CDR said: by that its invoice is found. None: nobody knows any more."""


class NothingDue(OfBill, frozen=True, kw_only=True):
    """The session is over and costs nothing: it was free, discarded or waived. What was held for it is released."""


class HoldAsked(OfAccount, frozen=True, kw_only=True):
    """Somebody without an account wants to charge: hold this amount, then start (D-11, PAY-01)."""

    awaited: ClassVar[bool] = True

    payment: PaymentId
    amount: Decimal
    currency: str
    station: StationId
    evse: int
    token: TokenId
    """Made for this payment alone; it may not charge before the hold is there."""
    requested_by: str
    fingerprint: str = ""


class TopUpAsked(OfAccount, frozen=True, kw_only=True):
    """Money is to be put on a prepaid account."""

    awaited: ClassVar[bool] = True

    payment: PaymentId
    amount: Decimal
    currency: str
    requested_by: str
    fingerprint: str = ""


class AdjustmentAsked(OfAccount, frozen=True, kw_only=True):
    """A person gives the account something, or takes it (an amount below 0), outside any payment provider."""

    awaited: ClassVar[bool] = True

    request: RequestId
    amount: Decimal
    currency: str
    reason: str
    requested_by: str
    fingerprint: str = ""


class InvoiceAsked(OfAccount, frozen=True, kw_only=True):
    """Bill what has been entered until now and was in no invoice, before the month is over."""

    awaited: ClassVar[bool] = True

    request: RequestId
    requested_by: str


class TermsChanged(OfAccount, frozen=True, kw_only=True):
    """The directory says something else of the account: whether it may charge is looked at again."""

    terms: CustomerAccount | None = None
    """What it says, without whose the account is: so it is known though the directory's own word comes later. None: an older release."""


class ProviderAnswered(OfAccount, frozen=True, kw_only=True):
    """What came of an operation, as its answer or a webhook said. The same may be said twice and in any order."""

    payment: PaymentId
    operation: str
    """The id of the operation asked for (`ProviderAsked`); empty if the provider did it by itself, such as a dispute."""
    kind: Operation | Literal["expired", "disputed"]
    outcome: Outcome
    amount: Decimal | None = None
    """What is held in all, was taken, or was given back by it."""
    reference: str = ""
    """The provider's own id of the payment."""
    url: str = ""
    """Where the payer does what is required."""
    reason: str = ""
    capture_before: Instant | None = None
    """Until when what is held can be taken (PAY-03), if the provider says so."""


PostingEvent = (
    CostPosted
    | CdrPosted
    | CreditPosted
    | NothingDue
    | HoldAsked
    | TopUpAsked
    | AdjustmentAsked
    | InvoiceAsked
    | TermsChanged
    | ProviderAnswered
)
