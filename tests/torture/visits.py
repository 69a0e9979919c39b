"""Who charges where, what that comes to, and how the log says so: drawn from a seed, and worked out here, not by any service."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from contracts.event import (
    AccountId,
    Event,
    PaymentId,
    RequestId,
    SessionId,
    SiteId,
    StationId,
    TenantId,
    TokenId,
    TransactionId,
)
from contracts.postings import AD_HOC, HoldAsked, InvoiceAsked, TopUpAsked
from contracts.reference import CustomerAccount, Site, TariffAssignment, TariffVersion, Token
from contracts.sessions import EnergyDelivered, SessionCorrected, SessionEnded, SessionPresumedEnded, SessionStarted
from contracts.tariffs import PriceComponent, Tariff, TariffElement
from contracts.topics import ACCOUNTS, SITES, TARIFFS, TOKENS, Topic

TENANT = TenantId("default")
SITE = SiteId("harbour")
CURRENCY = "NOK"
FLAT, PER_KWH, VAT = Decimal(5), Decimal(4), Decimal(25)
"""Energies are whole tens of Wh, so each amount is exact to the hundredth, whatever rounds it and where."""
HOLD = Decimal(50)
TOP_UP = Decimal(200)
ATTEMPTS = 6
"""How many payments somebody begins at most, where the provider does not answer in time."""
MANDATE = "cus_torture/pm_card_visa"
PREPAID, POSTPAID = 10, 12
LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
NOBODY = "torture"

Kind = Literal["ad_hoc", "prepaid", "postpaid"]


def gross_of(wh: int) -> Decimal:
    """Return what a session of so much energy costs with taxes."""
    return (FLAT + PER_KWH * wh / 1000) * (100 + VAT) / 100


@dataclass
class Visit:
    """Somebody charges once."""

    seed: int
    number: int
    kind: Kind
    station: StationId
    payer: AccountId
    """Without one of its own, the account of its first payment."""
    wh: int
    corrected_wh: int | None = None
    """What it really was, said later."""
    attempt: int = 1
    """Which of its payments was the one that money was held for."""
    began: datetime = LONG_AGO

    @property
    def session(self) -> SessionId:
        return SessionId(f"{self.seed}-session-{self.number}")

    @property
    def payment(self) -> PaymentId:
        return PaymentId(f"{self.seed}-payment-{self.number}-{self.attempt}")

    @property
    def account(self) -> AccountId:
        return AccountId(f"{AD_HOC}{self.payment}") if self.kind == "ad_hoc" else self.payer

    @property
    def token(self) -> TokenId:
        return TokenId(f"token-of-{self.account}")

    @property
    def first(self) -> Decimal:
        """What it is billed before its correction, if there is one."""
        return gross_of(self.wh)

    @property
    def gross(self) -> Decimal:
        """What it is billed in the end."""
        return gross_of(self.wh if self.corrected_wh is None else self.corrected_wh)


def visits(seed: int, sessions: int, stations: int) -> list[Visit]:
    """Return all that happens: half of it ad hoc, a quarter prepaid, a quarter postpaid; one in ten corrected."""
    dice = random.Random(f"{seed}/visits")
    return [_visit(seed, number, StationId(f"MONEY-{number % stations:03}"), dice) for number in range(sessions)]


def _visit(seed: int, number: int, station: StationId, dice: random.Random) -> Visit:
    kind: Kind = dice.choice(("ad_hoc", "ad_hoc", "prepaid", "postpaid"))
    payer = AccountId(f"{kind}-{dice.randrange(PREPAID if kind == 'prepaid' else POSTPAID):02}")
    wh = dice.randrange(100, 871) * 10
    corrected = round(wh * dice.choice((0.6, 0.75, 0.9, 1.2)) / 10) * 10 if dice.random() < 0.1 else None
    return Visit(seed, number, kind, station, payer, wh, corrected)


# ---- what the directory has written before -----------------------------------------------------------------------------


def records(planned: list[Visit]) -> Iterator[tuple[Topic[Any], Event]]:
    """Yield the reference data of all that is planned."""
    thing: dict[str, Any] = {"at": LONG_AGO, "tenant": TENANT, "version": 1}
    prices = (PriceComponent("FLAT", FLAT, vat=VAT), PriceComponent("ENERGY", PER_KWH, vat=VAT))
    tariff = Tariff(id="AC", currency=CURRENCY, elements=(TariffElement(prices),))
    yield SITES, Site(**thing, id=SITE, name="Harbour", time_zone="Europe/Oslo", currency=CURRENCY)
    yield TARIFFS, TariffVersion(**thing, id="AC", tariff=tariff, valid_from=LONG_AGO)
    yield TARIFFS, TariffAssignment(**thing, id="tenant", tariff="AC")
    for account in customers(thing):
        yield ACCOUNTS, account
        yield TOKENS, Token(**thing, id=TokenId(f"token-of-{account.id}"), account=account.id)
    for visit in planned:
        for attempt in range(1, ATTEMPTS + 1) if visit.kind == "ad_hoc" else ():
            account_id = AccountId(f"{AD_HOC}{visit.seed}-payment-{visit.number}-{attempt}")
            yield TOKENS, Token(**thing, id=TokenId(f"token-of-{account_id}"), account=account_id)


def customers(thing: dict[str, Any]) -> Iterator[CustomerAccount]:
    """Yield who has an account; of those who pay afterwards, every other one is charged by a mandate."""
    common: dict[str, Any] = {**thing, "currency": CURRENCY, "time_zone": "Europe/Oslo"}
    for number in range(PREPAID):
        yield CustomerAccount(**common, id=AccountId(f"prepaid-{number:02}"), kind="prepaid", mandate=MANDATE)
    for number in range(POSTPAID):
        mandate = MANDATE if number % 2 else ""
        yield CustomerAccount(**common, id=AccountId(f"postpaid-{number:02}"), kind="postpaid", mandate=mandate)


# ---- what is asked -----------------------------------------------------------------------------------------------------


def hold_of(visit: Visit, at: datetime) -> HoldAsked:
    return HoldAsked(
        at=at,
        tenant=TENANT,
        account=visit.account,
        payment=visit.payment,
        amount=HOLD,
        currency=CURRENCY,
        station=visit.station,
        evse=1,
        token=visit.token,
        requested_by=NOBODY,
    )


def top_up_of(visit: Visit, at: datetime) -> TopUpAsked:
    return TopUpAsked(
        at=at,
        tenant=TENANT,
        account=visit.account,
        payment=PaymentId(f"{visit.seed}-top-up-{visit.number}"),
        amount=TOP_UP,
        currency=CURRENCY,
        requested_by=NOBODY,
    )


def invoice_of(account: AccountId, request: str, at: datetime) -> InvoiceAsked:
    return InvoiceAsked(at=at, tenant=TENANT, account=account, request=RequestId(request), requested_by=NOBODY)


# ---- what the station has said, in the words of the sessions service ---------------------------------------------------


def told(visit: Visit) -> Iterator[Event]:
    """Yield a session's events up to its end; one that is corrected later was only presumed to have ended."""
    of: dict[str, Any] = {"tenant": TENANT, "station": visit.station, "session": visit.session}
    at = visit.began
    yield SessionStarted(
        at=at,
        **of,
        report=f"{visit.session}-start",
        transaction=TransactionId(str(visit.number)),
        evse=1,
        connector=1,
        token=visit.token,
        meter_wh=0,
        site=SITE,
        time_zone="Europe/Oslo",
    )
    for minutes, percent in ((10, 20), (20, 95 if visit.corrected_wh is None else 50)):
        energy = visit.wh * percent // 100
        yield EnergyDelivered(at=at + timedelta(minutes=minutes), **of, energy_wh=energy, meter_wh=energy)
    end = at + timedelta(minutes=30)
    measured: dict[str, Any] = {"meter_wh": visit.wh, "energy_wh": visit.wh}
    if visit.corrected_wh is not None:
        yield SessionPresumedEnded(at=end, **of, reason="Ghost", **measured)
    else:
        yield SessionEnded(at=end, **of, report=f"{visit.session}-stop", reason="Local", **measured)


def corrected(visit: Visit) -> SessionCorrected:
    """Return the real stop of a session that was presumed to have ended."""
    return SessionCorrected(
        at=visit.began + timedelta(minutes=31),
        tenant=TENANT,
        station=visit.station,
        session=visit.session,
        report=f"{visit.session}-stop",
        reason="Local",
        meter_wh=visit.corrected_wh,
        energy_wh=visit.corrected_wh,
    )
