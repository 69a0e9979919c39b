"""What charging costs: the tariff of a session, its running cost, and its CDRs. Written by billing only.

A CDR is never edited and never deleted: what turns out otherwise is a credit CDR, its exact negative, and a new one (CDR-03).
Amounts are decimal numbers in the currency's decimals. A total that is None is unknown, as the tariff does not say the taxes.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from contracts.event import AccountId, Instant, JobId, RequestId, SiteId, TokenId, TransactionId
from contracts.operations import Prices
from contracts.sessions import OfSession
from contracts.tariffs import Policy, Restrictions, Tariff

Decimals = str
"""A decimal number as text: an exact amount with six decimals, or a quantity with three."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """What was known of a session at a moment: its energy so far, what the connector said of itself, or that it ended."""

    at: Instant
    energy_wh: int | None = None
    state: str | None = None


class BillLine(Struct, frozen=True, omit_defaults=True):
    """One price: what was measured and what is billed, in Wh, s or pieces, and what it comes to; and why it counted."""

    dimension: str
    element: int
    component: int
    price: Decimal
    unit: str
    measured: Decimals
    billed: Decimals
    net_exact: Decimals
    gross_exact: Decimals
    net: Decimal
    gross: Decimal
    vat: Decimal | None = None
    discount_percent: Decimals = "0.00"
    restrictions: Restrictions | None = None


class BillPeriod(Struct, frozen=True, omit_defaults=True):
    """A stretch with the same prices (OCPI ChargingPeriod)."""

    start: Instant
    state: Literal["CHARGING", "PARKING", "GRACE"]
    energy_kwh: Decimals
    hours: Decimals


class TaxShare(Struct, frozen=True, omit_defaults=True):
    """What part of an amount bears one rate of VAT, in percent. None: the tariff says nothing of VAT."""

    rate: Decimal | None
    net: Decimal
    gross: Decimal


class Priced(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A bill. `input_hash` names all that it follows from: the same input is the same bill (CDR-04)."""

    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    energy_wh: int
    seconds: int
    lines: tuple[BillLine, ...] = ()
    periods: tuple[BillPeriod, ...] = ()
    limit: Literal["min_price", "max_price"] | None = None
    flags: tuple[str, ...] = ()
    input_hash: str = ""


class Review(Struct, frozen=True, omit_defaults=True):
    """What somebody decided of a session that was held, who and why."""

    id: RequestId
    decision: Literal["release", "waive"]
    reason: str
    requested_by: str
    """The id of the API key."""
    fingerprint: str = ""


class SignedValue(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A signed meter value with which a session began or ended. Its text is in `sessions` (`SignedValueTaken`), byte for byte."""

    moment: Literal["begin", "end"]
    at: Instant
    format: str
    """OCMF, ALFEN, EDL, or empty: nobody knows it."""
    sha256: str
    """Of the text, in hex."""
    report: str
    """Of the `SignedValueTaken`."""
    verdict: Literal["genuine", "not_genuine", "unreliable", "unverified", "unreadable"]
    """unreliable: genuine, but the meter does not vouch for it. unverified: no key is registered, or nobody knows the format."""
    characters: int
    page: int | None = None
    wh: Decimal | None = None
    """The register."""
    began_at_wh: Decimal | None = None
    """The register at the session's begin, where this value says it too."""


class Billed(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A session as it is billed: all that its bill follows from, and the CDR that counts."""

    tariff: Tariff
    policy: Policy = Policy()
    tariff_version: int
    time_zone: str
    token: TokenId
    account: AccountId | None = None
    site: SiteId | None = None
    evse: int
    connector: int
    started_at: Instant
    usage: tuple[Usage, ...]
    flags: tuple[str, ...] = ()
    number: int
    cdr: str
    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    taxes: tuple[TaxShare, ...] = ()
    input_hash: str
    signed: tuple[SignedValue, ...] = ()


class Display(Struct, frozen=True, omit_defaults=True):
    """A station that shows costs: what it calls the session's transaction, and the register with which that began."""

    transaction: TransactionId
    began_at_wh: int = 0


class CostShown(Struct, frozen=True, omit_defaults=True):
    """What the display of a station is to say: the cost with taxes, and, of a session that goes on, what counts now."""

    transaction: TransactionId
    cost: Decimal
    currency: str
    energy_wh: int
    register_wh: int
    idle: bool = False
    prices: Prices = Prices()


class TariffBound(OfSession, frozen=True, kw_only=True):
    """The session is priced by this version, whatever becomes of the tariff (TAR-02). The whole of it is here.

    Said again of a session that is over, by a re-rating that is applied: this version counts from now on.
    """

    tariff: Tariff
    policy: Policy = Policy()
    tariff_version: int
    assignment: str
    """The scope by which it counts."""
    time_zone: str
    token: TokenId
    account: AccountId | None = None
    """Who pays, as the token said when the session began (CDR-02)."""
    site: SiteId | None = None
    evse: int = 0
    connector: int = 0
    job: JobId | None = None
    """The re-rating that was applied."""
    display: Display | None = None
    """None: the station shows no costs."""


class TariffMissing(OfSession, frozen=True, kw_only=True):
    """Nobody has said what charging costs here: the session has no price, which is not a price of 0."""

    evse: int
    connector: int
    account: AccountId | None = None


class ChargedFree(OfSession, frozen=True, kw_only=True):
    """Charging costs nothing here, and that is meant. Its CDR says 0 (TAR-28)."""

    assignment: str
    account: AccountId | None = None
    currency: str = ""
    """The site's. Empty: written by a release that made no CDR of it."""
    time_zone: str = "UTC"
    token: TokenId | None = None
    site: SiteId | None = None
    evse: int = 0
    connector: int = 0
    display: Display | None = None


class DisplayRenamed(OfSession, frozen=True, kw_only=True):
    """The station has been given another transaction id: by that it shows the cost."""

    transaction: TransactionId


class CostUpdated(OfSession, frozen=True, kw_only=True):
    """What the session comes to so far, and what was learnt of it since the last time."""

    account: AccountId | None = None

    usage: tuple[Usage, ...]
    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    energy_wh: int
    shown: CostShown | None = None
    """What the station is to show now: not each time, but after a while and when a price has changed."""


class SessionMeasured(OfSession, frozen=True, kw_only=True):
    """All that was used is known, as far as anybody knows now. Its CDR is due then, so that late values still count."""

    usage: tuple[Usage, ...]
    due: Instant
    energy_known: bool = True
    flags: tuple[str, ...] = ()
    shown: CostShown | None = None
    """What the station is to show as the whole cost. None also where somebody should look first."""
    started_at: Instant | None = None
    """When it began, where its end tells better than its start did: what was used between is on a line then."""


class CdrHeld(OfSession, frozen=True, kw_only=True):
    """Somebody should look before this is billed (TAR-21). `why` is in words for programs."""

    why: tuple[str, ...]
    priced: Priced
    account: AccountId | None = None
    corrects: str | None = None
    """The CDR that counts until somebody has decided."""


class CdrIssued(OfSession, frozen=True, kw_only=True):
    """What the session is billed."""

    cdr: str
    number: int
    """The how-manieth CDR of its session this is."""
    tariff: str
    tariff_version: int
    token: TokenId
    account: AccountId | None = None
    site: SiteId | None = None
    started_at: Instant
    ended_at: Instant
    priced: Priced
    corrects: str | None = None
    """The CDR that this one takes the place of."""
    taxes: tuple[TaxShare, ...] = ()
    review: Review | None = None
    """It was held, and this released it."""
    job: JobId | None = None
    """The re-rating that it comes of."""
    signed: tuple[SignedValue, ...] = ()
    """What the meter signed at the session's begin and end (OCPI signed_data)."""


class CdrCredited(OfSession, frozen=True, kw_only=True):
    """A CDR counts no more: this takes back its totals exactly."""

    cdr: str
    credits: str
    account: AccountId | None = None
    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    taxes: tuple[TaxShare, ...] = ()
    started_at: Instant | None = None
    """When the session began, as the credited CDR says: by that an account finds its invoice. None: an older release wrote it."""


class CdrConfirmed(OfSession, frozen=True, kw_only=True):
    """What became known of the session since its CDR changes nothing of it."""

    cdr: str
    input_hash: str
    review: Review | None = None
    job: JobId | None = None


class CdrWaived(OfSession, frozen=True, kw_only=True):
    """What was held is never billed. The CDR that counted before it goes on to count; without one, nothing is due."""

    review: Review
    account: AccountId | None = None
    currency: str
    cdr: str | None = None
    """The CDR that goes on to count, and what it comes to."""
    total_excl: Decimal | None = None
    total_incl: Decimal | None = None


class ReviewRefused(OfSession, frozen=True, kw_only=True):
    """A decision that could not be taken. `already_decided`: by another review; `nothing_held`: the session is not held."""

    review: Review
    reason: Literal["nothing_held", "already_decided", "idempotency_key_reused"]


class ReRatingSkipped(OfSession, frozen=True, kw_only=True):
    """A re-rating was not applied to this session. `other_bill`: another bill counts by now than the one that was re-rated.

    `not_billed`: it goes on, waits for its CDR or for somebody to look, or nothing is due for it; `forgotten`: billing does not
    remember it, and was not told what was billed; `unpriceable`: the tariff prices nothing.
    """

    job: JobId
    reason: Literal["other_bill", "not_billed", "forgotten", "unpriceable"]


class SessionRecalled(OfSession, frozen=True, kw_only=True):
    """Billing had forgotten the session, or what another tariff needs of it, and has been told: as it was billed."""

    billed: Billed


class SignedValueJudged(OfSession, frozen=True, kw_only=True):
    """What is thought of a value that a meter signed, by the key that is registered for it (CDR-08)."""

    value: SignedValue
    why: str = ""


class LateUsageHeard(OfSession, frozen=True, kw_only=True):
    """A session turned out otherwise after billing had forgotten it: whoever keeps the log says what was billed (CDR-06)."""

    usage: tuple[Usage, ...] = ()
    """Empty: it was discarded."""
    due: Instant
    energy_known: bool = True
    flags: tuple[str, ...] = ()


class BillDiscarded(OfSession, frozen=True, kw_only=True):
    """A person discarded the session: nothing is billed, and what was has been credited."""

    account: AccountId | None = None


BillEvent = (
    TariffBound
    | TariffMissing
    | ChargedFree
    | DisplayRenamed
    | CostUpdated
    | SessionMeasured
    | CdrHeld
    | CdrIssued
    | CdrCredited
    | CdrConfirmed
    | CdrWaived
    | ReviewRefused
    | ReRatingSkipped
    | SessionRecalled
    | LateUsageHeard
    | SignedValueJudged
    | BillDiscarded
)
