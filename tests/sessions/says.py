"""What a station, authorization and a gateway say to sessions, and a log of all that follows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, TypeVar

from contracts.authorizations import Purpose, TokenDecided, TokenInfo, TokenStatus
from contracts.event import Event, GatewayId, SessionId, SiteId, StationId, TenantId, TokenId, TransactionId, derived_id
from contracts.gateways import GatewayEvent
from contracts.stations import (
    AnsweredUndecided,
    Frame,
    MetersRead,
    Reading,
    Sample,
    TransactionEnded,
    TransactionStarted,
)
from services.sessions import domain
from services.sessions.heard import Heard
from services.sessions.state import Station

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME, STATION = TenantId("acme"), StationId("ST1")
GATEWAY = GatewayId("gw")
CARD, OTHER = TokenId("card"), TokenId("other")
E = TypeVar("E", bound=Event)


def at(minutes: float) -> datetime:
    """Return a moment after noon."""
    return NOON + timedelta(minutes=minutes)


def session_of(report: str) -> SessionId:
    return SessionId(derived_id(report, "sessions", "session"))


def start(
    report: str = "start",
    *,
    evse: int = 1,
    token: TokenId = CARD,
    meter_wh: int | None = 1000,
    minutes: float = 0,
    offline: bool = False,
    message_id: str = '"m"',
    **more: Any,
) -> Heard[TransactionStarted]:
    said = TransactionStarted(
        at=at(minutes),
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        frame=Frame(),
        message_id=message_id,
        evse=evse,
        connector=1,
        token=token,
        meter_wh=meter_wh,
        **more,
    )
    return Heard(said, report, offline, SiteId("oslo"), "Europe/Oslo")


def stop(
    report: str = "stop",
    *,
    transaction: str = "1",
    meter_wh: int | None = 8000,
    minutes: float = 60,
    token: TokenId | None = None,
    reason: str = "Local",
    readings: Sequence[Reading] = (),
    message_id: str = '"m"',
    masked_uid: str = "",
) -> Heard[TransactionEnded]:
    said = TransactionEnded(
        at=at(minutes),
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        frame=Frame(),
        message_id=message_id,
        transaction=TransactionId(transaction),
        meter_wh=meter_wh,
        token=token,
        masked_uid=masked_uid,
        reason=reason,
        readings=tuple(readings),
    )
    return Heard(said, report)


def meters(
    *readings: Reading, report: str = "meters", transaction: str | None = "1", evse: int = 1
) -> Heard[MetersRead]:
    said = MetersRead(
        at=readings[-1].at if readings else NOON,
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        frame=Frame(),
        message_id='"m"',
        evse=evse,
        connector=1,
        transaction=None if transaction is None else TransactionId(transaction),
        readings=readings,
    )
    return Heard(said, report)


def reading(*samples: Sample | int, minutes: float = 1) -> Reading:
    """Return a reading; a number stands for the import register in Wh."""
    return Reading(at(minutes), tuple(wh(sample) if isinstance(sample, int) else sample for sample in samples))


def wh(value: int | str, **more: Any) -> Sample:
    return Sample(value=str(value), unit="Wh", **more)


def decision(
    report: str = "start", status: TokenStatus = "Accepted", *, purpose: Purpose = "start", group: str | None = None
) -> Heard[TokenDecided]:
    said = TokenDecided(
        at=NOON,
        tenant=ACME,
        station=STATION,
        report=report,
        purpose=purpose,
        token=CARD,
        info=TokenInfo(status, group=group),
    )
    return Heard(said, f"decision on {report}")


def undecided(
    report: str = "start", status: TokenStatus = "Accepted", *, transaction: str | None = "1073741999"
) -> Heard[AnsweredUndecided]:
    said = AnsweredUndecided(
        at=NOON,
        tenant=ACME,
        station=STATION,
        gateway=GATEWAY,
        reply_to=3,
        epoch=7,
        report=report,
        message_id='"m"',
        status=status,
        transaction=None if transaction is None else TransactionId(transaction),
    )
    return Heard(said, f"undecided on {report}")


class Heeded:
    """Sessions that hear one message after another, and remember all that followed."""

    def __init__(self, *messages: Heard[Any]) -> None:
        self.state: Station = domain.initial
        self.events: list[Event] = []
        for message in messages:
            self.hear(message)

    def hear(self, message: Heard[Any]) -> list[Event]:
        """Return what follows from a message; answers are no part of the state."""
        events = domain.decide(self.state, message)
        lasting = [event for event in events if not isinstance(event, GatewayEvent)]
        self.state = reduce(domain.evolve, lasting, self.state)
        self.events += events
        return events

    def all(self, *kinds: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kinds)]

    def one(self, kind: type[E]) -> E:
        (event,) = self.all(kind)
        return event


def only(events: Sequence[Event], kind: type[E]) -> E:
    """Return the one event of a kind."""
    (event,) = (event for event in events if isinstance(event, kind))
    return event


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]
