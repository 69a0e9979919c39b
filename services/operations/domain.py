"""What we know of stations and do to them: who decides what. The rules themselves are in the modules beside this one."""

from datetime import datetime
from functools import reduce

from contracts.event import Message, OfStation
from contracts.gateways import CallAsked, CloseAsked
from contracts.operations import (
    BootAskedFor,
    ConnectorStatusChanged,
    InventoryReported,
    StationConnected,
    StationDisconnected,
    StationRecovered,
)
from contracts.sessions import SessionCorrected, SessionEnded, SessionEvent, SessionStarted
from contracts.stations import (
    Call,
    CallAnswered,
    CallFailed,
    CallSent,
    ConnectionClosed,
    ConnectionOpened,
    ConnectorStatusReported,
    Report,
    StationBooted,
    StationEvent,
)
from services.operations import commands, connections, reports
from services.operations.station import Considered, Known, Outcome, Signs, State, Unheard, Watched

Heard = StationEvent | SessionEvent | Considered | Watched

initial: State = Unheard()


def decide(state: State, message: Message[Heard]) -> list[Outcome]:
    """Return what `message` causes. Heartbeats and meter readings cause nothing once the station has booted."""
    event, heard_at = message.event, message.recorded_at
    if isinstance(event, Watched):
        return passed(state, event, heard_at)
    known = at_station(state, event)
    speaks_again = connections.recovered(known, event, heard_at) if isinstance(event, Report) else []
    match event:
        case ConnectionOpened():
            caused = connections.opened(known, event, message.offset)
        case ConnectionClosed():
            caused = connections.closed(known, event)
        case StationBooted():
            caused = reports.booted(known, event)
        case ConnectorStatusReported():
            caused = [*reports.status(known, event, heard_at), *reports.unbooted(known, event, message)]
        case Considered():
            caused = commands.issued(known, event)
        case CallSent():
            caused = commands.sent(known, event)
        case CallAnswered():
            caused = commands.answered(known, event)
        case CallFailed():
            caused = commands.failed(known, event, heard_at)
        case Call():
            caused = reports.unbooted(known, event, message)
        case SessionStarted():
            caused = commands.began(known, event, heard_at)
        case SessionEnded() | SessionCorrected():
            caused = commands.ended(known, event, heard_at)
        case _:
            caused = []
    return [*speaks_again, *caused]


def passed(state: State, tick: Watched, heard_at: datetime) -> list[Outcome]:
    """Return what a deadline causes: commands expire first, and what is left of them ends with a lost connection."""
    if isinstance(state, Unheard):
        return []
    expired = commands.watched(state, tick)
    left = reduce(commands.evolve, expired, state)
    return [*expired, *connections.watched(left, tick, heard_at)]


def evolve(state: State, event: Outcome) -> State:
    """Return the station as `event` left it. What a gateway is asked is no part of it."""
    if isinstance(event, CallAsked | CloseAsked):
        return state
    known = at_station(state, event)
    match event:
        case StationConnected() | StationDisconnected() | StationRecovered():
            return connections.evolve(known, event)
        case InventoryReported() | BootAskedFor() | ConnectorStatusChanged():
            return reports.evolve(known, event)
        case _:
            return commands.evolve(known, event)


def deadline(state: State, signs: Signs) -> datetime | None:
    """Return when this station wants to hear a tick: a command expires, or its gateway has been silent for too long."""
    if isinstance(state, Unheard):
        return None
    moments = connections.deadline(state, signs), commands.deadline(state)
    return min((moment for moment in moments if moment is not None), default=None)


def at_station(state: State, event: OfStation | Considered) -> Known:
    return state if isinstance(state, Known) else Known(event.tenant, event.station)
