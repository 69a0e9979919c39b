"""What billing hears, for tests: a session on connector 1 of CP-1, from noon UTC on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from contracts.bills import Usage
from contracts.event import (
    AccountId,
    Event,
    Instant,
    JobId,
    RepairId,
    RequestId,
    SessionId,
    SiteId,
    StationId,
    TenantId,
    Ticked,
    TokenId,
    TransactionId,
)
from contracts.operations import ConnectorStatusChanged
from contracts.reference import TariffVersion
from contracts.reviews import CdrReviewed, SessionReRated
from contracts.sessions import (
    EnergyDelivered,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionRepaired,
    SessionStarted,
)
from contracts.tariffs import Dimension, Policy, PriceComponent, Restrictions, Tariff, TariffElement
from services.billing.heard import Assigned, Heard

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACME, CP1 = TenantId("acme"), StationId("CP-1")
SESSION = SessionId("5e55")
ANNA = AccountId("anna")
HOLD = timedelta(minutes=5)
ABOUT: dict[str, Any] = {"tenant": ACME, "station": CP1, "session": SESSION}


def at(minutes: float) -> datetime:
    """Return a moment after noon."""
    return NOON + timedelta(minutes=minutes)


def element(price: str, kind: Dimension = "ENERGY", vat: str | None = "25", **restrictions: Any) -> TariffElement:
    component = PriceComponent(kind, Decimal(price), vat=None if vat is None else Decimal(vat))
    return TariffElement((component,), Restrictions(**restrictions) if restrictions else None)


def version(*elements: TariffElement, number: int = 1, policy: Policy | None = None) -> TariffVersion:
    tariff = Tariff("AC", "EUR", elements or (element("0.40"),))
    return TariffVersion(
        at=NOON, tenant=ACME, version=number, id="AC", tariff=tariff, policy=policy or Policy(), valid_from=NOON
    )


def heard(
    event: Event,
    assigned: Assigned | None = None,
    *,
    recorded: Instant | None = None,
    account: AccountId | None = None,
) -> Heard[Any]:
    return Heard(event, (recorded or event.at) + HOLD, assigned, account, "NOK")


def started(assigned: Assigned | None = None, *, session: SessionId = SESSION, minutes: float = 0) -> Heard[Any]:
    event = SessionStarted(
        **ABOUT | {"session": session},
        at=at(minutes),
        report="r",
        transaction=TransactionId("1"),
        evse=1,
        connector=1,
        token=TokenId("card"),
        site=SiteId("oslo"),
        time_zone="Europe/Oslo",
    )
    return heard(event, assigned, account=ANNA)


def delivered(minutes: float, energy_wh: int, *, session: SessionId = SESSION) -> Heard[Any]:
    about = ABOUT | {"session": session}
    return heard(EnergyDelivered(**about, at=at(minutes), energy_wh=energy_wh, meter_wh=energy_wh + 1000))


def status(minutes: float, word: str, *, connector: int = 1) -> Heard[Any]:
    return heard(
        ConnectorStatusChanged(
            tenant=ACME, station=CP1, at=at(minutes), evse=connector, connector=connector, status=word
        )
    )


def ended(minutes: float, energy_wh: int | None, **fields: Any) -> Heard[Any]:
    event = SessionEnded(**ABOUT, at=at(minutes), report="s", reason="Local", energy_wh=energy_wh)
    return heard(replace(event, **fields))


def corrected(minutes: float, energy_wh: int | None, *, recorded: float, **fields: Any) -> Heard[Any]:
    event = SessionCorrected(**ABOUT, at=at(minutes), report="s", reason="Local", energy_wh=energy_wh)
    return heard(replace(event, **fields), recorded=at(recorded))


def presumed(minutes: float, energy_wh: int | None) -> Heard[Any]:
    return heard(SessionPresumedEnded(**ABOUT, at=at(minutes), reason="NewTransaction", energy_wh=energy_wh))


def discarded(minutes: float) -> Heard[Any]:
    repair = SessionRepaired(
        **ABOUT, at=at(minutes), repair=RepairId("r-1"), action="discard", reason="a test", requested_by="ops"
    )
    return heard(repair)


def reviewed(minutes: float, decision: Any = "release", *, review: str = "rev-1", **fields: Any) -> Heard[Any]:
    event = CdrReviewed(
        **ABOUT, at=at(minutes), review=RequestId(review), decision=decision, reason="seen", requested_by="ops"
    )
    return heard(replace(event, **fields))


def rerated(minutes: float, by: TariffVersion, input_hash: str, **fields: Any) -> Heard[Any]:
    event = SessionReRated(
        **ABOUT,
        at=at(minutes),
        job=JobId("job-1"),
        tariff=by.tariff,
        policy=by.policy,
        tariff_version=by.version,
        input_hash=input_hash,
        reason="a wrong price",
        requested_by="ops",
    )
    return heard(replace(event, **fields))


def ticked(minutes: float) -> Heard[Any]:
    return heard(Ticked(at=at(minutes)))


def used(minutes: float, energy_wh: int | None = None, state: str | None = None) -> Usage:
    return Usage(at(minutes), energy_wh, state)
