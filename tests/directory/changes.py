"""Requests to the directory, and what comes of them, for tests."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from contracts.event import AccountId, Message, RequestId, Sealed, SiteId, StationId, TenantId, TokenId
from contracts.reference import AccessKey, CustomerAccount, Site, Station, TariffAssignment, TariffVersion, Token
from contracts.requests import (
    Change,
    ChangeAccepted,
    ChangeRefused,
    ChangeRequested,
    Delete,
    Kind,
    PutAccessKey,
    PutAccount,
    PutSite,
    PutStation,
    PutTariff,
    PutTariffAssignment,
    PutToken,
    Refusal,
    SetPassword,
)
from contracts.tariffs import PriceComponent, Tariff, TariffElement
from services.directory.domain import Asked

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ACME, OTHER = TenantId("acme"), TenantId("other")
OSLO, CHARGER, CARD, KEY = SiteId("oslo"), StationId("CP-1"), TokenId("6f1b"), "ops"
IDS: dict[Kind, str] = {
    "site": OSLO,
    "station": CHARGER,
    "token": CARD,
    "access": KEY,
    "tariff": "AC",
    "tariff_assignment": "tenant",
    "account": "fleet",
}
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
UID = Sealed("c2VhbGVk")


def site(version: int = 1, **fields: Any) -> Site:
    made = Site(at=NOON, tenant=ACME, version=version, id=OSLO, name="Oslo S", time_zone="Europe/Oslo")
    return replace(made, **fields)


def station(version: int = 1, **fields: Any) -> Station:
    return replace(Station(at=NOON, tenant=ACME, version=version, id=CHARGER), **fields)


def token(version: int = 1, **fields: Any) -> Token:
    return replace(Token(at=NOON, tenant=ACME, version=version, id=CARD), **fields)


def key(version: int = 1, **fields: Any) -> AccessKey:
    return replace(AccessKey(at=NOON, tenant=ACME, version=version, id=KEY, digest="00", scopes=("read",)), **fields)


def tariff(version: int = 1, price: str = "0.40", **fields: Any) -> TariffVersion:
    elements = (TariffElement((PriceComponent("ENERGY", Decimal(price)),)),)
    made = TariffVersion(
        at=NOON, tenant=ACME, version=version, id="AC", tariff=Tariff("AC", "EUR", elements), valid_from=NOON
    )
    return replace(made, **fields)


def assignment(version: int = 1, **fields: Any) -> TariffAssignment:
    return replace(TariffAssignment(at=NOON, tenant=ACME, version=version, id="tenant", tariff="AC"), **fields)


def account(version: int = 1, **fields: Any) -> CustomerAccount:
    made = CustomerAccount(
        at=NOON, tenant=ACME, version=version, id=AccountId("fleet"), kind="postpaid", currency="EUR"
    )
    return replace(made, **fields)


def kind_of(change: Change) -> Kind:
    match change:
        case PutSite():
            return "site"
        case PutStation() | SetPassword() | Delete():
            return "station"
        case PutToken():
            return "token"
        case PutAccessKey():
            return "access"
        case PutTariff():
            return "tariff"
        case PutTariffAssignment():
            return "tariff_assignment"
        case PutAccount():
            return "account"


def requested(change: Change, request: str = "r1", *, kind: Kind | None = None, **fields: Any) -> ChangeRequested:
    """Return a request by acme; a deletion is a station's unless `kind` says otherwise."""
    kind = kind or kind_of(change)
    made = ChangeRequested(
        at=NOON,
        tenant=ACME,
        request=RequestId(request),
        kind=kind,
        id=IDS[kind],
        change=change,
        requested_by="ops",
        fingerprint="one",
    )
    return replace(made, **fields)


def asked(
    change: Change,
    request: str = "r1",
    *,
    kind: Kind | None = None,
    site_known: bool = True,
    account_known: bool = True,
    **fields: Any,
) -> Asked:
    event = requested(change, request, kind=kind, **fields)
    return Asked(Message(event, "5d2c", event.at), site_known, account_known=account_known)


def accepted(version: int, request: str = "r1", *, kind: Kind = "station", **fields: Any) -> ChangeAccepted:
    made = ChangeAccepted(
        at=NOON,
        tenant=ACME,
        request=RequestId(request),
        kind=kind,
        id=IDS[kind],
        fingerprint="one",
        version=version,
    )
    return replace(made, **fields)


def refused(
    reason: Refusal, detail: str, version: int | None = None, *, kind: Kind = "station", **fields: Any
) -> ChangeRefused:
    made = ChangeRefused(
        at=NOON,
        tenant=ACME,
        request=RequestId("r1"),
        kind=kind,
        id=IDS[kind],
        fingerprint="one",
        reason=reason,
        detail=detail,
        version=version,
    )
    return replace(made, **fields)
