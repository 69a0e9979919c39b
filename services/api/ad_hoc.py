"""What an ad-hoc start needs before money is held: a place that is known, a price, an amount, and a token for this payment alone."""

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

import msgspec
from sqlalchemy import Row

from chassis import clock
from chassis.secrets import mask
from contracts import reference
from contracts.currencies import unit
from contracts.event import AccountId, PaymentId, TokenId
from contracts.requests import PutToken
from contracts.tariffs import Tariff
from services.api.backends import Backends
from services.api.changes import Act, Wish, put
from services.api.identities import existing
from services.api.problems import Problem, invalid, not_found
from services.api.queries import Equipped
from services.api.versions import Condition
from services.billing.scopes import scopes


@dataclass(frozen=True)
class Place:
    """Where somebody wants to charge."""

    station: str
    evse: int
    connector: int
    site: str | None


async def place_of(behind: Backends, tenant: str, station: str, evse: int) -> Place:
    """Return a place that is there; 404 or 422 if it is not."""
    found = await behind.queries.station(tenant, existing("station", station))
    if found is None:
        raise not_found(f"station {station}")
    if found.evses and evse not in {each.id for each in found.evses}:
        raise invalid("#/evse", f"station {station} has no evse {evse}")
    return Place(station, evse, _connector(found, evse), found.station.site)


def _connector(found: Equipped, evse: int) -> int:
    """Return the connector whose price counts: the evse's first."""
    return min((each.id for each in found.connectors if each.evse == evse), default=1)


async def tariff_at(behind: Backends, tenant: str, place: Place) -> Tariff:
    """Return the tariff that counts there now for who is in no group; a problem if there is none, or nothing to pay."""
    ids = list(scopes(place, None))
    rows = {row.id: row for row in await behind.queries.assignments(tenant, ids)}
    for row in (rows[id] for id in ids if id in rows):
        if row.tariff is None:
            raise Problem("nothing_to_pay", f"charging is free at {place.station}: start it without a payment")
        if (version := await valid_now(behind, tenant, row.tariff)) is not None:
            return msgspec.convert(version.tariff, Tariff, strict=False)
    raise Problem("no_tariff", f"nobody has said what charging costs at {place.station}: assign a tariff first")


async def valid_now(behind: Backends, tenant: str, tariff: str) -> Row[Any] | None:
    """Return the version of a tariff that counts now."""
    now = clock.now()
    versions = await behind.queries.tariff_versions(tenant, tariff)
    return next((version for version in versions if version.valid_from <= now), None)


def hold_for(tariff: Tariff, default: Decimal) -> Decimal:
    """Return what is held where nobody says how much: the most that a session can cost, else what the deployment says (PAY-02)."""
    return (_most(tariff) or default).quantize(unit(tariff.currency), ROUND_UP)


def _most(tariff: Tariff) -> Decimal | None:
    """Return the most that a session can cost, with the highest tax where a tariff's limit says none (TAR-31)."""
    limit = tariff.max_price
    if limit is None or limit.gross is not None or limit.net is None:
        return None if limit is None else limit.gross
    taxed = tariff.tax_included != "N/A"
    rates = (part.vat or Decimal(0) for each in tariff.elements for part in each.price_components if taxed)
    return limit.net * (100 + max(rates, default=Decimal(0))) / 100


async def token_for(behind: Backends, act: Act, payment: PaymentId, account: AccountId) -> TokenId:
    """Make the token that a payment charges with, and return its id. Nobody can guess its uid, and the same request makes the same."""
    tenant = act.caller.tenant
    uid = behind.secrets.derive("ad-hoc", f"{tenant}/{payment}").hex()[:20].upper()
    id = TokenId(behind.secrets.token_id(tenant, uid))
    token = reference.Token(
        at=clock.now(),
        tenant=tenant,
        version=0,
        id=id,
        uid=behind.secrets.seal(uid),
        masked_uid=mask(uid),
        label="ad-hoc payment",
        account=account,
    )
    await put(behind, act, Wish(tenant, "token", id, PutToken(token), Condition(absent=True)))
    return id
