"""What sessions reads, by which rules, and what it writes."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.authorizations import TokenDecided
from contracts.commands import SessionRepairRequested
from contracts.event import Message, OfStation, SiteId
from contracts.reference import Site, Station
from contracts.stations import (
    AnsweredUndecided,
    ConnectorStatusReported,
    MetersRead,
    StationBooted,
    TransactionEnded,
    TransactionStarted,
)
from contracts.topics import (
    AUTHORIZATIONS,
    CHARGING,
    COMMANDS,
    GATEWAYS,
    READINGS,
    REGISTRY,
    SESSIONS,
    SITES,
    STATIONS,
)
from services.sessions import clocks, domain, past, state
from services.sessions.heard import Heard


def build(_: Settings) -> Stream:
    """Return the decider of sessions, not yet started."""
    return Stream(
        name="sessions",
        rules=domain,
        state=state.State,
        inputs=(STATIONS, COMMANDS, AUTHORIZATIONS),
        outputs=(SESSIONS, READINGS, CHARGING),
        answers=(GATEWAYS,),
        copies=(Whole(REGISTRY), Whole(SITES)),
        regard=regard,
        apart={"closed": state.blocks, "reports": None, "past": past.blocks},
        deadline=deadline,
        unhurried=(TransactionStarted, TransactionEnded),
        hears=(
            TransactionStarted,
            MetersRead,
            TransactionEnded,
            AnsweredUndecided,
            TokenDecided,
            ConnectorStatusReported,
            StationBooted,
            SessionRepairRequested,
        ),
    )


def deadline(known: state.Station, _: Copies) -> datetime | None:
    """Return when a session of the station wants to be looked at."""
    return domain.deadline(known)


def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
    """Put beside a message when we heard it, and beside what moves energy the station's site and what it can deliver."""
    event = message.event
    heard: Heard[Any] = Heard(event, message.id, heard_at=message.recorded_at)
    if not isinstance(event, TransactionStarted | TransactionEnded | MetersRead | SessionRepairRequested):
        return heard
    late = isinstance(event, TransactionStarted) and message.recorded_at - event.at > clocks.LATE
    return _placed(replace(heard, offline=late), event, copies)


def _placed(heard: Heard[Any], event: OfStation, copies: Copies) -> Heard[Any]:
    match copies.of(REGISTRY).get(f"{event.tenant}/{event.station}"):
        case Station() as station:
            connectors = [(evse.id, each) for evse in station.evses for each in evse.connectors]
            here = getattr(event, "evse", None), getattr(event, "connector", None)
            return replace(
                heard,
                site=station.site,
                time_zone=_zone(event, station.site, copies),
                max_w=next((each.max_w for evse, each in connectors if (evse, each.id) == here), None),
                connectors=len(connectors),
            )
        case _:
            return heard


def _zone(event: OfStation, site: SiteId | None, copies: Copies) -> str:
    match None if site is None else copies.of(SITES).get(f"{event.tenant}/{site}"):
        case Site(time_zone=zone):
            return zone
        case _:
            return "UTC"
