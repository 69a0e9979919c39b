"""What charging sessions are: the table of what a station's reports, and decisions about tokens, mean for them."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from contracts.authorizations import TokenDecided, TokenInfo
from contracts.commands import SessionRepairRequested
from contracts.event import Event, OfStation, Ticked
from contracts.stations import (
    AnsweredUndecided,
    ConnectorStatusReported,
    MetersRead,
    StationBooted,
    TransactionEnded,
    TransactionStarted,
)
from services.sessions import ghosts, readings, repairs, silence, starts, stops
from services.sessions.decisions import decided
from services.sessions.fold import evolve, initial
from services.sessions.heard import Heard
from services.sessions.state import Early, Station

__all__ = ["deadline", "decide", "evolve", "initial"]


def decide(state: Station, heard: Heard[Any]) -> list[Event]:
    """Return what a message causes; what means nothing to sessions causes nothing."""
    if isinstance(heard.event, Ticked):
        return [*silence.looked_at(state, heard.event.at), *ghosts.looked_at(state, heard.event.at)]
    return _heard(at_station(state, heard.event), heard)


def deadline(state: Station) -> datetime | None:
    """Return when a session of the station wants to be looked at."""
    if not state.station:
        return None
    return min(filter(None, (ghosts.deadline(state), silence.deadline(state))), default=None)


def at_station(state: Station, said: OfStation) -> Station:
    return state if state.station else replace(state, tenant=said.tenant, station=said.station)


def _heard(state: Station, heard: Heard[Any]) -> list[Event]:
    match heard.event:
        case TransactionStarted():
            return starts.start(state, heard)
        case MetersRead():
            return readings.read(state, heard)
        case TransactionEnded():
            return stops.stop(state, heard)
        case TokenDecided() as said:
            return decided(state, _decision(said), said)
        case AnsweredUndecided() as said:
            return decided(state, _undecided(state, said), said)
        case ConnectorStatusReported():
            return ghosts.reported(state, heard)
        case StationBooted():
            return ghosts.booted(state, heard)
        case SessionRepairRequested():
            return repairs.repair(state, heard)
        case _:
            return []


def _decision(said: TokenDecided) -> Early:
    return Early(report=said.report, at=said.at, purpose=said.purpose, info=said.info)


def _undecided(state: Station, said: AnsweredUndecided) -> Early:
    """Return the gateway's own answer as a decision. A start's names a transaction; a stop's has been heard before."""
    owed = state.owed_for(said.report)
    purpose = "authorize" if owed is None else owed.purpose
    return Early(
        report=said.report,
        at=said.at,
        purpose="start" if said.transaction is not None else purpose,
        info=TokenInfo(said.status),
        undecided=True,
        transaction=said.transaction,
    )
