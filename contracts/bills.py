"""What charging costs: the tariff of a session, its running cost, and its CDRs. Written by billing only.

A CDR is never edited and never deleted: what turns out otherwise is a credit CDR, its exact negative, and a new one (CDR-03).
Amounts are decimal numbers in the currency's decimals. A total that is None is unknown, as the tariff does not say the taxes.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from contracts.event import Instant, SiteId, TokenId
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


class TariffBound(OfSession, frozen=True, kw_only=True):
    """The session is priced by this version, whatever becomes of the tariff (TAR-02). The whole of it is here."""

    tariff: Tariff
    policy: Policy = Policy()
    tariff_version: int
    assignment: str
    """The scope by which it counts."""
    time_zone: str
    token: TokenId
    site: SiteId | None = None
    evse: int = 0
    connector: int = 0


class TariffMissing(OfSession, frozen=True, kw_only=True):
    """Nobody has said what charging costs here: the session has no price, which is not a price of 0."""

    evse: int
    connector: int


class ChargedFree(OfSession, frozen=True, kw_only=True):
    """Charging costs nothing here, and that is meant (TAR-28)."""

    assignment: str


class CostUpdated(OfSession, frozen=True, kw_only=True):
    """What the session comes to so far, and what was learnt of it since the last time."""

    usage: tuple[Usage, ...]
    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    energy_wh: int


class SessionMeasured(OfSession, frozen=True, kw_only=True):
    """All that was used is known, as far as anybody knows now. Its CDR is due then, so that late values still count."""

    usage: tuple[Usage, ...]
    due: Instant
    energy_known: bool = True
    flags: tuple[str, ...] = ()


class CdrHeld(OfSession, frozen=True, kw_only=True):
    """Somebody should look before this is billed (TAR-21). `why` is in words for programs."""

    why: tuple[str, ...]
    priced: Priced


class CdrIssued(OfSession, frozen=True, kw_only=True):
    """What the session is billed."""

    cdr: str
    number: int
    """The how-manieth CDR of its session this is."""
    tariff: str
    tariff_version: int
    token: TokenId
    site: SiteId | None = None
    started_at: Instant
    ended_at: Instant
    priced: Priced
    corrects: str | None = None
    """The CDR that this one takes the place of."""


class CdrCredited(OfSession, frozen=True, kw_only=True):
    """A CDR counts no more: this takes back its totals exactly."""

    cdr: str
    credits: str
    currency: str
    total_excl: Decimal | None
    total_incl: Decimal | None


class CdrConfirmed(OfSession, frozen=True, kw_only=True):
    """What became known of the session since its CDR changes nothing of it."""

    cdr: str
    input_hash: str


class BillDiscarded(OfSession, frozen=True, kw_only=True):
    """A person discarded the session: nothing is billed, and what was has been credited."""


BillEvent = (
    TariffBound
    | TariffMissing
    | ChargedFree
    | CostUpdated
    | SessionMeasured
    | CdrHeld
    | CdrIssued
    | CdrCredited
    | CdrConfirmed
    | BillDiscarded
)
