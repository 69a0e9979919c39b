"""What is remembered of an account: sums and what is not over, never a list of all that was."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from contracts.bills import TaxShare
from contracts.event import (
    AccountId,
    Instant,
    InvoiceId,
    PaymentId,
    SessionId,
    StationId,
    TenantId,
    TokenId,
    derived_id,
)
from contracts.ledger import PaymentKind
from contracts.postings import AD_HOC, Operation, Source

NOTHING = Decimal(0)
OPEN_SESSIONS = 256
"""So many sessions that go on reserve money, the newest."""
PAYMENTS = 16
"""So many payments that are over are remembered: their answers may come late, and they may be given back.
No more than that many may go on at once."""
REQUESTS = 64
DOCUMENTS = 60
"""So many invoices are remembered, to say which a credited CDR was in."""
STRAYS = 400
STRAY_DIGITS = 16
"""So much of a CDR's id is remembered of it."""
MONTHS = 4
"""So many months of a subscription are remembered: sessions that began in them may be billed late."""
CONSUMED = 180
"""So many CDRs that consumed allowance are remembered, the newest: their credits give it back."""


class Charging(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session that goes on, and what it comes to so far."""

    session: SessionId
    station: StationId
    amount: Decimal
    told: bool = False
    """It has been said that there is nothing left for it, …"""
    told_at: Instant | None = None
    """… and when last, and what it came to then."""
    told_amount: Decimal = NOTHING


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation that the provider was asked for."""

    id: str
    kind: Operation
    amount: Decimal
    attempt: int = 1
    state: Literal["pending", "silent", "done", "refused"] = "pending"
    again_at: Instant | None = None
    """Of a silent one, or one whose payer is waited for: when it is asked for again."""
    waits_until: Instant | None = None
    """Until when the payer may do what is required."""
    undone: bool = False
    """What had been given back by it has come back to us, and so it stays."""


class Payment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment: what was asked for it, and what came of that."""

    id: PaymentId
    kind: PaymentKind
    stage: Literal["asked", "held", "over"] = "asked"
    amount: Decimal
    station: StationId | None = None
    evse: int | None = None
    token: TokenId | None = None
    fingerprint: str = ""
    mandate: str = ""
    reference: str = ""
    held: Decimal = NOTHING
    taken: Decimal = NOTHING
    returned: Decimal = NOTHING
    waived: Decimal = NOTHING
    """What was written off of what it should have paid."""
    operations: tuple[Asked, ...] = ()
    until: Instant | None = None
    """A session that has not begun by then never will."""
    capture_before: Instant | None = None
    used: bool = False
    """A session of it has begun."""
    finished: bool = False
    """Its session is over, or will never be."""

    @property
    def pending(self) -> Asked | None:
        """Return what the provider has not answered yet."""
        return next((each for each in self.operations if each.state in {"pending", "silent"}), None)

    def asked(self, id: str) -> Asked | None:
        return next((each for each in self.operations if each.id == id), None)

    def next_operation(self) -> str:
        """Return the id of the next operation, which is its idempotency key."""
        return derived_id(self.id, "accounts", len(self.operations) + 1)


class Request(Struct, frozen=True):
    """A request that was heard."""

    id: str
    fingerprint: str


class Draft(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An invoice that is not due yet. `start` and `end` are of the sessions' beginnings."""

    id: InvoiceId
    start: Instant
    end: Instant
    first_entry: int = 0
    last_entry: int = 0
    lines: int = 0
    taxes: tuple[TaxShare, ...] = ()


class Document(Struct, frozen=True):
    """An invoice that was drafted."""

    id: InvoiceId
    start: Instant
    end: Instant


class Stray(Struct, frozen=True):
    """A CDR in another invoice than the one of its time: it came too late for that."""

    cdr: str
    """The beginning of its id."""
    invoice: InvoiceId


class SubscribedMonth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A month that was charged. `start` and `end` are of the beginnings of the sessions that consume its allowance."""

    id: str
    start: Instant
    end: Instant
    allowance_wh: int = 0
    used_wh: int = 0

    @property
    def left_wh(self) -> int:
        return self.allowance_wh - self.used_wh


class Consumed(Struct, frozen=True, array_like=True):
    """What a CDR consumed of an allowance."""

    cdr: str
    """The beginning of its id."""
    month: str
    energy_wh: int
    taxes: tuple[TaxShare, ...]


class Debt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was to be paid by `due`."""

    owed: Decimal
    due: Instant
    level: int = 0
    payment: PaymentId | None = None


class Account(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """An account's money."""

    tenant: TenantId = TenantId("")
    account: AccountId = AccountId("")
    currency: str = ""
    """Empty: it has had no money yet."""
    entries: int = 0
    balance: Decimal = NOTHING
    heard: tuple[Source, ...] = ()
    """The newest that was entered of each part."""
    charging: tuple[Charging, ...] = ()
    payments: tuple[Payment, ...] = ()
    requests: tuple[Request, ...] = ()
    drafts: tuple[Draft, ...] = ()
    """Those that sessions are entered in, the oldest first."""
    drafted: int = 0
    """How many documents there are, drafts among them."""
    documents: tuple[Document, ...] = ()
    strays: tuple[Stray, ...] = ()
    months: tuple[SubscribedMonth, ...] = ()
    subscribed_until: Instant | None = None
    """When the month ends that was charged last, if that has not been said yet."""
    consumed: tuple[Consumed, ...] = ()
    credited_at: Instant | None = None
    """When a CDR was credited last: what takes its place comes soon."""
    debt: Debt | None = None
    unpaid: bool = False
    """A debt was written off, and nothing has been paid since."""
    standing: tuple[bool, str] | None = None
    """What was said last of whether it may charge, and why not."""

    @property
    def ad_hoc(self) -> bool:
        return self.account.startswith(AD_HOC)

    @property
    def owed(self) -> Decimal:
        return max(NOTHING, -self.balance)

    @property
    def reserved(self) -> Decimal:
        """Return what the sessions that go on come to."""
        return sum((each.amount for each in self.charging), NOTHING)

    def has_heard(self, source: Source) -> bool:
        return any(each.part == source.part and source.offset <= each.offset for each in self.heard)

    @property
    def going_on(self) -> int:
        """Return how many payments are not over."""
        return sum(1 for each in self.payments if each.stage != "over")

    def payment(self, id: PaymentId) -> Payment | None:
        return next((each for each in self.payments if each.id == id), None)

    def request(self, id: str) -> Request | None:
        return next((each for each in self.requests if each.id == id), None)

    def next_document(self) -> InvoiceId:
        return InvoiceId(derived_id(f"{self.tenant}/{self.account}", "accounts", f"document-{self.drafted + 1}"))


State = Account


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the first of the moments that there are."""
    return min((each for each in moments if each is not None), default=None)
