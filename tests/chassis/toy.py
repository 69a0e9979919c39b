"""A decider small enough to see through: it counts what a station reads of its meter."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from msgspec import Struct

from chassis.copies import Copies
from chassis.stream import Rules, Stream
from contracts.event import GatewayId, Message, SessionId, StationId, TenantId, Ticked, TransactionId
from contracts.gateways import GatewayEvent, StopAnswered
from contracts.sessions import EnergyDelivered, SessionEvent
from contracts.stations import Frame, HeartbeatReceived, MetersRead, TransactionEnded
from contracts.topics import COMMANDS, GATEWAYS, SESSIONS, STATIONS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
HUGE = SessionId("x" * 200_000)


class Counted(Struct, frozen=True, tag=True):
    """So many readings of one station, and when it wants to be reminded."""

    tenant: TenantId
    station: StationId
    count: int
    reminder: datetime | None = None
    ballast: str = ""


class Nothing(Struct, frozen=True, tag=True):
    """Nothing has been read."""


State = Nothing | Counted
initial: State = Nothing()


def decide(state: State, message: Message[Any]) -> list[SessionEvent | GatewayEvent]:
    count = state.count if isinstance(state, Counted) else 0
    match message.event:
        case MetersRead(message_id="bad"):
            raise ZeroDivisionError("this rule is broken")
        case MetersRead(message_id="huge") as read:
            return [
                EnergyDelivered(at=read.at, tenant=ACME, station=read.station, session=HUGE, energy_wh=1, meter_wh=1)
            ]
        case MetersRead() as read:
            counted = delivered(read.station, count + 1, at=read.at)
            answer = StopAnswered(
                at=read.at,
                tenant=read.tenant,
                station=read.station,
                gateway=read.gateway,
                reply_to=read.reply_to,
                epoch=read.epoch,
                message_id=str(count + 1),
            )
            return [counted, answer]
        case Ticked(at=at) if isinstance(state, Counted):
            return [delivered(state.station, count + 1000, at=at)]
        case _:
            return []


def evolve(_: State, event: SessionEvent) -> State:
    assert isinstance(event, EnergyDelivered)
    reminder = event.at + timedelta(hours=1) if event.session == "remind me" else None
    ballast = event.session if event.session == HUGE else ""
    return Counted(event.tenant, event.station, event.energy_wh, reminder, ballast)


def deadline(state: State, _: Copies) -> datetime | None:
    return state.reminder if isinstance(state, Counted) else None


def delivered(station: str, count: int, *, at: datetime = NOON) -> EnergyDelivered:
    session = SessionId("remind me" if station.startswith("slow") and count < 1000 else "s")
    return EnergyDelivered(
        at=at, tenant=ACME, station=StationId(station), session=session, energy_wh=count, meter_wh=count
    )


def read(station: str, message_id: str = "1", *, at: datetime = NOON) -> MetersRead:
    return MetersRead(
        at=at,
        tenant=ACME,
        station=StationId(station),
        gateway=GatewayId("g"),
        reply_to=0,
        epoch=1,
        frame=Frame("[]"),
        message_id=message_id,
        evse=1,
        connector=1,
    )


def heartbeat(station: str) -> HeartbeatReceived:
    return HeartbeatReceived(
        at=NOON,
        tenant=ACME,
        station=StationId(station),
        gateway=GatewayId("g"),
        reply_to=0,
        epoch=1,
        frame=Frame("[]"),
        message_id="1",
    )


def ended(station: str) -> TransactionEnded:
    return TransactionEnded(
        at=NOON,
        tenant=ACME,
        station=StationId(station),
        gateway=GatewayId("g"),
        reply_to=0,
        epoch=1,
        frame=Frame("[]"),
        message_id="1",
        transaction=TransactionId("1"),
    )


class PassesOn:
    """Rules that decide nothing: what any station reads goes to one key, ALL."""

    initial: State = initial

    def decide(self, _: State, message: Message[Any]) -> list[SessionEvent]:
        return [delivered("ALL", 1, at=message.event.at)]

    def evolve(self, state: State, _: SessionEvent) -> State:
        return state


def stream() -> Stream:
    """It borrows the name and the topics of sessions."""
    return Stream(
        name="sessions",
        rules=cast("Rules", sys.modules[__name__]),
        state=State,
        inputs=(STATIONS, COMMANDS),
        outputs=(SESSIONS,),
        answers=(GATEWAYS,),
        hears=(MetersRead,),
        deadline=deadline,
    )
