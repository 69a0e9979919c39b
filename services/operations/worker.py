"""What operations reads and writes, and what it looks up beside it."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.commands import CommandIssued
from contracts.event import Message, Ticked
from contracts.operations import ShowPrice, StartCharge
from contracts.reference import Station, Token
from contracts.sessions import SessionCorrected, SessionEnded, SessionStarted
from contracts.topics import ALIVE, COMMANDS, GATEWAYS, OPERATIONS, REGISTRY, SESSIONS, STATIONS, TOKENS, of_station
from services.operations import domain
from services.operations.station import Considered, State, Watched


def build(_: Settings) -> Stream:
    """Return the stream of operations."""
    return Stream(
        name="operations",
        rules=domain,
        state=State,
        inputs=(STATIONS, COMMANDS, SESSIONS),
        outputs=(OPERATIONS,),
        answers=(GATEWAYS,),
        copies=(Whole(REGISTRY), Whole(TOKENS), Whole(ALIVE)),
        regard=regard,
        deadline=deadline,
        unhurried=STATIONS.classes,
        pace_ms=50,
        hears=(*STATIONS.classes, CommandIssued, SessionStarted, SessionEnded, SessionCorrected),
    )


def regard(message: Message[Any], copies: Copies) -> Message[Any]:
    """Put beside a command what the directory knows, and beside a tick the gateways' signs of life."""
    match message.event:
        case CommandIssued() as issued:
            return replace(message, event=considered(issued, copies))
        case Ticked(at=at):
            return replace(message, event=Watched(at, copies.of(ALIVE)))
        case _:
            return message


def considered(issued: CommandIssued, copies: Copies) -> Considered:
    registered = isinstance(copies.of(REGISTRY).get(of_station(issued)), Station)
    return Considered(issued, registered, token_of(issued, copies))


def token_of(issued: CommandIssued, copies: Copies) -> Token | None:
    if not isinstance(issued.task, StartCharge | ShowPrice):
        return None
    found = copies.of(TOKENS).get(f"{issued.tenant}/{issued.task.token}")
    return found if isinstance(found, Token) else None


def deadline(state: State, copies: Copies) -> datetime | None:
    """Return when the state wants to hear a tick, by the gateways' newest signs of life."""
    return domain.deadline(state, copies.of(ALIVE))
