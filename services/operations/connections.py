"""Which connection of a station counts: the newest, told by its epoch (architecture §4; rules T-62, T-63)."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from contracts.event import OfStation
from contracts.gateways import CloseAsked, GatewayAlive
from contracts.operations import CommandFailed, StationConnected, StationDisconnected, StationRecovered
from contracts.stations import (
    CallFailed,
    ConnectionClosed,
    ConnectionOpened,
    HandshakeRefused,
    IdentityConflictSuspected,
    ReconnectLoopSuspected,
    Report,
)
from services.operations.station import Known, Lost, Never, Offline, Online, Outcome, Sent, Signs, Waiting, Watched

SILENCE = timedelta(seconds=20)
"""A gateway that gives no sign of life for so long has lost its connections."""


def opened(known: Known, opening: ConnectionOpened, epoch: int) -> list[Outcome]:
    """Return what a new connection causes: an older one ends with its calls, or is closed if it is this one."""
    current = epoch_of(known)
    if epoch == current:
        return []
    if epoch < current:
        return [close(opening, Lost(epoch, opening.gateway, opening.reply_to, opening.at), by=current)]
    connected = StationConnected(
        at=opening.at,
        tenant=opening.tenant,
        station=opening.station,
        epoch=epoch,
        gateway=opening.gateway,
        reply_to=opening.reply_to,
        protocol=opening.protocol,
        security_profile=opening.security_profile,
        remote_address=opening.remote_address,
    )
    superseded = known.connection
    closes = [close(opening, superseded, by=epoch)] if isinstance(superseded, Online | Lost) else []
    return [connected, *disconnected_calls(known, opening.at), *closes]


def closed(known: Known, closing: ConnectionClosed) -> list[Outcome]:
    """Return what the end of a connection causes: nothing unless it is the newest. It corrects an inferred end."""
    if closing.epoch != epoch_of(known) or isinstance(known.connection, Offline):
        return []
    ended = StationDisconnected(
        at=closing.at,
        tenant=closing.tenant,
        station=closing.station,
        epoch=closing.epoch,
        code=closing.code,
        reason=closing.reason,
    )
    return [ended, *disconnected_calls(known, closing.at)]


def recovered(known: Known, report: Report, heard_at: datetime) -> list[Outcome]:
    """Return that a connection taken for lost speaks again, if it has spoken since."""
    match known.connection, report:
        case _, ConnectionOpened() | ConnectionClosed() | CallFailed():
            return []
        case _, HandshakeRefused() | IdentityConflictSuspected() | ReconnectLoopSuspected():
            return []
        case Lost(epoch=epoch, at=lost_at), _ if report.epoch == epoch and heard_at > lost_at:
            return [StationRecovered(at=heard_at, tenant=known.tenant, station=known.station, epoch=epoch)]
        case _:
            return []


def watched(known: Known, tick: Watched, heard_at: datetime) -> list[Outcome]:
    """Return that the connection is lost, if its gateway has been silent until this deadline."""
    match known.connection:
        case Online() as online if silent_at(online, tick.signs) <= tick.at:
            unheard_of = sign_of(online, tick.signs) is None
            lost = StationDisconnected(
                at=max(tick.at, heard_at) if unheard_of else tick.at,
                tenant=known.tenant,
                station=known.station,
                epoch=online.epoch,
                reason="its gateway fell silent",
                inferred=True,
            )
            return [lost, *disconnected_calls(known, lost.at)]
        case _:
            return []


def deadline(known: Known, signs: Signs) -> datetime | None:
    """Return when the connection is to be taken for lost, as far as is known now."""
    return silent_at(known.connection, signs) if isinstance(known.connection, Online) else None


def evolve(known: Known, event: StationConnected | StationDisconnected | StationRecovered) -> Known:
    """Return the station after its connection has changed."""
    match event, known.connection:
        case StationConnected(), _:
            return replace(known, connection=Online(event.epoch, event.gateway, event.reply_to, event.at))
        case StationDisconnected(inferred=True), Online() as was:
            return replace(known, connection=Lost(was.epoch, was.gateway, was.reply_to, event.at))
        case StationRecovered(), Lost() as was:
            return replace(known, connection=Online(was.epoch, was.gateway, was.reply_to, event.at))
        case StationDisconnected(), _:
            return replace(known, connection=Offline(event.epoch))
        case _:
            return known


def epoch_of(known: Known) -> int:
    """Return the newest epoch; -1 before the first, which may be 0."""
    return -1 if isinstance(known.connection, Never) else known.connection.epoch


def sign_of(online: Online, signs: Signs) -> datetime | None:
    sign = signs.get(online.gateway)
    return sign.at if isinstance(sign, GatewayAlive) else None


def silent_at(online: Online, signs: Signs) -> datetime:
    return max(online.since, sign_of(online, signs) or online.since) + SILENCE


def close(opening: OfStation, superseded: Online | Lost, *, by: int) -> CloseAsked:
    return CloseAsked(
        at=opening.at,
        tenant=opening.tenant,
        station=opening.station,
        gateway=superseded.gateway,
        reply_to=superseded.reply_to,
        epoch=superseded.epoch,
        reason=f"superseded by connection {by}",
    )


def disconnected_calls(known: Known, at: datetime) -> list[Outcome]:
    """Return the end of all calls in flight. None is ever sent again: nobody knows what the station did (T-46)."""
    return [
        CommandFailed(
            at=at,
            tenant=known.tenant,
            station=known.station,
            command=command.id,
            reason="Disconnected",
            detail="the connection ended before the station answered",
        )
        for command in known.commands
        if isinstance(command, Waiting | Sent)
    ]
