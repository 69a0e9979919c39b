"""What becomes of an account's money: every movement in double entry, payments, what is asked of the provider, and invoices due.
Written by accounts only.

An entry takes from one place and gives to another, so that all places together are always 0 (PAY-08).
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from contracts.bills import TaxShare
from contracts.event import (
    AccountId,
    Event,
    Instant,
    InvoiceId,
    PaymentId,
    RequestId,
    SessionId,
    SiteId,
    StationId,
    TenantId,
    TokenId,
)
from contracts.postings import OfAccount, Operation, Source

Place = Literal["customer", "revenue", "provider", "adjustments", "losses"]
"""customer: what the account has with us (below 0: it owes); revenue: what sessions were billed; provider: below 0 by what the payment
provider took for us, less what it gave back; adjustments: by hand; losses: what was waived or written off."""


class Movement(Struct, frozen=True):
    """An amount above 0 goes from one place to another."""

    source: Place
    to: Place
    amount: Decimal


class Entry(OfAccount, frozen=True, kw_only=True):
    """Money has moved. `entry` counts an account's entries from 1, without a gap; `balance` is what the account has then."""

    entry: int
    currency: str
    movement: Movement | None
    """None: the amount is 0."""
    balance: Decimal


class SessionCharged(Entry, frozen=True, kw_only=True):
    """A CDR was entered."""

    source: Source
    invoice: InvoiceId
    """Of which invoice it is a line, or will be."""
    period_start: Instant
    period_end: Instant
    """Of that invoice: when its sessions began, but for those that came too late for theirs."""
    cdr: str
    session: SessionId
    station: StationId
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...] = ()
    energy_wh: int
    started_at: Instant
    ended_at: Instant
    site: SiteId | None = None


class SessionCredited(Entry, frozen=True, kw_only=True):
    """The credit of a CDR was entered. The amounts are its exact negatives."""

    source: Source
    invoice: InvoiceId
    """Of which document it is a line, or will be: the invoice that the CDR is in too, or else a credit note."""
    cdr: str
    credits: str
    session: SessionId
    station: StationId
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...] = ()
    invoiced_in: InvoiceId | None = None
    """The invoice that the credited CDR was part of, which is corrected by a credit note."""


class SubscriptionCharged(Entry, frozen=True, kw_only=True):
    """A month of a subscription was entered, as its terms are when the month begins. What they become then counts from the next month."""

    id: str
    """Of the month: the same for the same account and month."""
    invoice: InvoiceId
    """Of which invoice it is a line, or will be."""
    period_start: Instant
    period_end: Instant
    """Of that invoice."""
    name: str
    month_start: Instant
    month_end: Instant
    """Sessions that begin in it consume its allowance."""
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...]
    allowance_wh: int | None = None
    """None: there is no allowance."""


class AllowanceConsumed(Entry, frozen=True, kw_only=True):
    """A CDR's first kWh were within the allowance of their month: their price is given back. The CDR itself is as it was."""

    invoice: InvoiceId
    """That of the CDR."""
    cdr: str
    session: SessionId
    station: StationId
    energy_wh: int
    net: Decimal
    """Below 0: what the energy stands for, in proportion of the CDR's energy, rounded once for each rate."""
    gross: Decimal
    taxes: tuple[TaxShare, ...]
    month: str
    """The id of the month (`SubscriptionCharged`) whose allowance it is,"""
    left_wh: int
    """and what is left of that then."""
    started_at: Instant
    site: SiteId | None = None


class AllowanceReturned(Entry, frozen=True, kw_only=True):
    """A CDR that had consumed allowance was credited, and so it has consumed nothing: the exact negative of `AllowanceConsumed`."""

    invoice: InvoiceId
    """That of the credit."""
    cdr: str
    """The credit's id."""
    credits: str
    session: SessionId
    station: StationId
    energy_wh: int
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...]
    month: str
    left_wh: int | None = None
    """None: the month is so long ago that nobody counts it any more."""


class MoneyTaken(Entry, frozen=True, kw_only=True):
    """The provider took money for us: a capture, a top-up, the collection of an invoice."""

    payment: PaymentId
    operation: str
    reference: str = ""
    """The provider's own id of the payment."""


class MoneyReturned(Entry, frozen=True, kw_only=True):
    """The provider gave money back, or lost it to a dispute. Towards the customer: it has come back, as a refund that
    failed after all, or a dispute that was won.
    """

    payment: PaymentId
    operation: str = ""
    """The refund's, or the provider's own id of the dispute."""


class Adjusted(Entry, frozen=True, kw_only=True):
    """A person moved money by hand."""

    request: RequestId
    reason: str
    requested_by: str
    fingerprint: str = ""


class WrittenOff(Entry, frozen=True, kw_only=True):
    """Nobody will pay this: it is less than it is worth to ask for, or was asked for in vain. owed_no_more: a credit took it back, so that
    it was no loss; it moves the other way.
    """

    payment: PaymentId | None = None
    reason: Literal["too_small", "dunned_in_vain", "owed_no_more"]


class PostingRefused(OfAccount, frozen=True, kw_only=True):
    """What was asked cannot be done. `reason` is for programs, `detail` for people."""

    request: str
    """The id of the request or payment."""
    reason: str
    detail: str
    fingerprint: str = ""


PaymentKind = Literal["hold", "top_up", "collection"]


class OfPayment(OfAccount, frozen=True, kw_only=True):
    """A step in the life of a payment."""

    payment: PaymentId


class PaymentOpened(OfPayment, frozen=True, kw_only=True):
    """A payment began. hold: before an ad-hoc start; top_up: of a prepaid balance; collection: of what an account owes."""

    kind: PaymentKind
    amount: Decimal
    currency: str
    station: StationId | None = None
    evse: int | None = None
    token: TokenId | None = None
    mandate: str = ""
    """What is taken from it. Empty: the payer says how they pay."""
    fingerprint: str = ""
    requested_by: str = ""


class ProviderAsked(OfPayment, frozen=True, kw_only=True):
    """The provider is to do this: whoever carries it out writes what came of it to `postings`. This is the outbox (PAY-04)."""

    operation: str
    """The idempotency key: the same for every attempt."""
    kind: Operation
    amount: Decimal
    currency: str
    attempt: int = 1
    reference: str = ""
    """The provider's id of the payment, once it is known."""
    mandate: str = ""
    """What a charge is taken from."""
    description: str = ""


class PaymentActionRequired(OfPayment, frozen=True, kw_only=True):
    """The payer has something to do first, or still has."""

    operation: str
    url: str
    reference: str = ""
    again_at: Instant | None = None
    """When the provider is asked whether it is done, should it not say so before."""


class ProviderSilent(OfPayment, frozen=True, kw_only=True):
    """Nobody knows what came of an operation. It is asked for again then, under the same key."""

    operation: str
    again_at: Instant


class ProviderRefused(OfPayment, frozen=True, kw_only=True):
    """An operation was declined, or can never succeed."""

    operation: str
    kind: Operation
    reason: str = ""


class PaymentAuthorised(OfPayment, frozen=True, kw_only=True):
    """So much is held in all."""

    operation: str
    held: Decimal
    reference: str
    capture_before: Instant
    """Until when it can be taken (PAY-03)."""


class PaymentSettled(OfPayment, frozen=True, kw_only=True):
    """The payment is over. captured: money was taken, `taken` less `returned` in all; released: none was."""

    state: Literal["captured", "released", "declined", "failed", "refunded", "partially_refunded", "disputed"]
    taken: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)
    reason: str = ""
    operation: str = ""
    """What ended it, where no other event says so."""
    token: TokenId | None = None
    """That was made for this payment alone."""


class ChargingAllowed(OfPayment, frozen=True, kw_only=True):
    """The hold is there: the station may start. Carried out by a command whose id is the payment's."""

    station: StationId
    evse: int
    token: TokenId
    until: Instant
    """A start that has not happened by then releases the hold."""


class FundsExhausted(OfAccount, frozen=True, kw_only=True):
    """A session that goes on has used up what there is for it: it is to be stopped (PAY-02). Said again if it goes on all the same."""

    session: SessionId
    station: StationId
    amount: Decimal
    available: Decimal


class ChargingRunning(OfAccount, frozen=True, kw_only=True):
    """A session of the account comes to this so far: remembered only when it matters to what is left."""

    source: Source
    session: SessionId
    station: StationId
    currency: str
    amount: Decimal


class NothingCharged(OfAccount, frozen=True, kw_only=True):
    """A session of the account is over and cost nothing."""

    source: Source
    session: SessionId


class SubscriptionEnded(OfAccount, frozen=True, kw_only=True):
    """The last month that was charged is over, and no further one begins."""

    why: Literal["none_agreed", "closed", "wrong_currency"]


class DebtFound(OfAccount, frozen=True, kw_only=True):
    """The account owes this, which was to be paid by `due`: dunning counts from then (PAY-09)."""

    owed: Decimal
    currency: str
    due: Instant
    payment: PaymentId | None = None
    """What was to pay for it and did not, or has yet to."""


class DunningReached(OfAccount, frozen=True, kw_only=True):
    """What the account owes was not paid for so long (PAY-09): 1 after 3 days, 2 after 10, 3 after 20. From 2 on nobody charges."""

    level: int
    owed: Decimal
    currency: str
    payment: PaymentId | None = None


class InvoiceDrafted(OfAccount, frozen=True, kw_only=True):
    """A document is due: these entries, which add up to these amounts. It has no number yet."""

    invoice: InvoiceId
    kind: Literal["invoice", "credit_note"]
    series: str
    """Whose next number it gets: such as `2026-INV`."""
    currency: str
    period_start: Instant
    period_end: Instant
    first_entry: int
    last_entry: int
    """Of the account's entries between these, those that name it as their `invoice` are its lines."""
    lines: int
    """How many."""
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...] = ()
    """VAT once for each rate, on the sum of its nets (TAR-33): may differ by a minor unit from the sum of the lines' own."""
    refers_to: InvoiceId | None = None
    """Of a credit note: the invoice it corrects."""
    request: RequestId | None = None
    """By which it was asked for before its time."""


class Standing(Event, frozen=True, kw_only=True):
    """Whether whoever charges on this account may, and why not. The newest of an account counts."""

    tenant: TenantId
    account: AccountId
    may_charge: bool
    why: Literal["", "no_hold", "no_money", "owes", "closed"] = ""


LedgerEvent = (
    SessionCharged
    | SessionCredited
    | SubscriptionCharged
    | AllowanceConsumed
    | AllowanceReturned
    | MoneyTaken
    | MoneyReturned
    | Adjusted
    | WrittenOff
    | PostingRefused
    | PaymentOpened
    | ProviderAsked
    | PaymentActionRequired
    | ProviderSilent
    | ProviderRefused
    | PaymentAuthorised
    | PaymentSettled
    | ChargingAllowed
    | FundsExhausted
    | ChargingRunning
    | NothingCharged
    | SubscriptionEnded
    | DebtFound
    | DunningReached
    | InvoiceDrafted
)
