"""What stations, people and the directory say in the tests of operations, and what operations makes of it."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from contracts.commands import CommandIssued
from contracts.event import (
    CommandId,
    GatewayId,
    Message,
    Sealed,
    SessionId,
    StationId,
    TenantId,
    TokenId,
    TransactionId,
)
from contracts.gateways import CallAsked, CloseAsked, GatewayAlive, StartCharging
from contracts.operations import (
    CommandAccepted,
    CommandExpired,
    CommandFailed,
    CommandFulfilled,
    CommandQueued,
    CommandRejected,
    CommandRequested,
    CommandSent,
    ConnectorStatusChanged,
    InventoryReported,
    StartCharge,
    StationConnected,
    StationDisconnected,
    StationRecovered,
    StopCharge,
    Task,
)
from contracts.reference import Token
from contracts.sessions import SessionCorrected, SessionEnded, SessionStarted
from contracts.stations import (
    CallAnswered,
    CallFailed,
    CallSent,
    ConnectionClosed,
    ConnectionOpened,
    ConnectorStatusReported,
    Frame,
    HeartbeatReceived,
    StationBooted,
)
from services.operations import domain
from services.operations.station import Considered, Known, Outcome, Watched

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TENANT, STATION = TenantId("acme"), StationId("ST1")
TOKEN, SESSION, TRANSACTION = TokenId("t-1"), SessionId("s-1"), TransactionId("7")
COMMAND = CommandId("c-1")
UID = Sealed("sealed-uid")
START = StartCharge(token=TOKEN, evse=1)
STOP = StopCharge(session=SESSION, transaction=TRANSACTION)
HERE: dict[str, Any] = {"tenant": TENANT, "station": STATION}
FRAME = Frame(text="[]")


def state(*history: Outcome) -> Known:
    """Return the station with this history."""
    known = reduce(domain.evolve, history, domain.initial)
    assert isinstance(known, Known)
    return known


def second(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def heard(event: Any, *, at: float | None = None, offset: int = 0) -> Message[Any]:
    """Return `event` as it is heard: recorded when it happened, or so many seconds after noon."""
    return Message(event, "ce", event.at if at is None else second(at), offset)


def place(epoch: int) -> dict[str, Any]:
    return {**HERE, "gateway": GatewayId(f"g{epoch}"), "reply_to": epoch + 100}


def on(epoch: int) -> dict[str, Any]:
    return {**place(epoch), "epoch": epoch}


def opened(epoch: int, at: float = 0) -> Message[Any]:
    opening = ConnectionOpened(at=second(at), **{**on(epoch), "epoch": 0}, protocol="ocpp1.6", security_profile=1)
    return heard(opening, offset=epoch)


def connected(epoch: int, at: float = 0) -> StationConnected:
    return StationConnected(at=second(at), **on(epoch), protocol="ocpp1.6", security_profile=1)


def closed(epoch: int, at: float = 0, code: int = 1006) -> Message[Any]:
    return heard(ConnectionClosed(at=second(at), **on(epoch), code=code))


def disconnected(epoch: int, at: float = 0, code: int = 1006) -> StationDisconnected:
    return StationDisconnected(at=second(at), **HERE, epoch=epoch, code=code)


def lost(epoch: int, at: float) -> StationDisconnected:
    return StationDisconnected(at=second(at), **HERE, epoch=epoch, reason="its gateway fell silent", inferred=True)


def recovered(epoch: int, at: float) -> StationRecovered:
    return StationRecovered(at=second(at), **HERE, epoch=epoch)


def close_asked(epoch: int, *, by: int, at: float = 0) -> CloseAsked:
    return CloseAsked(at=second(at), **on(epoch), reason=f"superseded by connection {by}")


def heartbeat(epoch: int, at: float = 0) -> Message[Any]:
    return heard(HeartbeatReceived(at=second(at), **on(epoch), frame=FRAME, message_id='"1"'))


def alive(epoch: int, at: float) -> dict[str, GatewayAlive]:
    """Return the signs of life of the gateway that has the connection `epoch`."""
    gateway = GatewayId(f"g{epoch}")
    return {gateway: GatewayAlive(at=second(at), gateway=gateway, reply_to=epoch + 100, started_at=NOON)}


def ticked(at: float, signs: dict[str, GatewayAlive] | None = None, *, noticed: float | None = None) -> Message[Any]:
    return heard(Watched(second(at), signs or {}), at=noticed)


def booted(epoch: int = 1, at: float = 0, **said: Any) -> Message[Any]:
    hardware = {"vendor": "ACME", "model": "One", "serial_number": "S1"} | said
    return heard(StationBooted(at=second(at), **on(epoch), frame=FRAME, message_id='"1"', **hardware))


def inventory(epoch: int = 1, at: float = 0, **said: Any) -> InventoryReported:
    hardware = {"vendor": "ACME", "model": "One", "serial_number": "S1"} | said
    return InventoryReported(at=second(at), **HERE, epoch=epoch, **hardware)


def says(status: str, at: float = 0, *, heard_at: float | None = None, connector: int = 1, **said: Any) -> Message[Any]:
    report = ConnectorStatusReported(
        at=second(at), **on(1), frame=FRAME, message_id='"1"', evse=connector, connector=1, status=status, **said
    )
    return heard(report, at=heard_at)


def status(status: str, at: float = 0, *, connector: int = 1, **said: Any) -> ConnectorStatusChanged:
    return ConnectorStatusChanged(at=second(at), **HERE, evse=connector, connector=1, status=status, **said)


def token(uid: Sealed | None = UID) -> Token:
    return Token(at=NOON, tenant=TENANT, version=1, id=TOKEN, uid=uid)


def command_issued(command: CommandId = COMMAND, task: Task = START, at: float = 0) -> CommandIssued:
    return CommandIssued(
        at=second(at), **HERE, command=command, task=task, requested_by="key", expires_at=second(at + 60)
    )


def issued(
    command: CommandId = COMMAND,
    task: Task = START,
    at: float = 0,
    *,
    registered: bool = True,
    token: Token | None = token(),
) -> Message[Any]:
    considered = Considered(command_issued(command, task, at), registered, token)
    return Message(considered, "ce", second(at))


def requested(command: CommandId = COMMAND, task: Task = START, at: float = 0) -> CommandRequested:
    return CommandRequested(
        at=second(at), **HERE, command=command, task=task, requested_by="key", expires_at=second(at + 60)
    )


def queued(command: CommandId = COMMAND, *, epoch: int = 1, at: float = 0) -> CommandQueued:
    return CommandQueued(at=second(at), **HERE, command=command, epoch=epoch)


def start_asked(command: CommandId = COMMAND, *, epoch: int = 1, at: float = 0) -> CallAsked:
    call = StartCharging(uid=UID, evse=1)
    return CallAsked(at=second(at), **on(epoch), command=command, call=call, expires_at=second(at + 60))


def call_sent(command: CommandId = COMMAND, at: float = 0) -> Message[Any]:
    return heard(CallSent(at=second(at), **on(1), command=command, message_id='"1"', frame=FRAME))


def sent(command: CommandId = COMMAND, at: float = 0) -> CommandSent:
    return CommandSent(at=second(at), **HERE, command=command)


def answered(
    status: str = "Accepted", at: float = 0, *, command: CommandId = COMMAND, late: bool = False
) -> Message[Any]:
    return heard(CallAnswered(at=second(at), **on(1), frame=FRAME, command=command, status=status, late=late))


def accepted(command: CommandId = COMMAND, at: float = 0, *, late: bool = False) -> CommandAccepted:
    return CommandAccepted(at=second(at), **HERE, command=command, late=late)


def rejected(at: float = 0, *, status: str = "Rejected", late: bool = False) -> CommandRejected:
    return CommandRejected(at=second(at), **HERE, command=COMMAND, status=status, late=late)


def call_failed(reason: Any, at: float = 0, *, command: CommandId = COMMAND, **said: Any) -> Message[Any]:
    return heard(CallFailed(at=second(at), **on(1), command=command, reason=reason, **said))


def failed(reason: Any, at: float = 0, *, command: CommandId = COMMAND, **said: Any) -> CommandFailed:
    return CommandFailed(at=second(at), **HERE, command=command, reason=reason, **said)


def cut_off(at: float = 0, command: CommandId = COMMAND) -> CommandFailed:
    detail = "the connection ended before the station answered"
    return failed("Disconnected", at, command=command, detail=detail)


def expired(at: float, detail: str, command: CommandId = COMMAND) -> CommandExpired:
    return CommandExpired(at=second(at), **HERE, command=command, detail=detail)


def session_started(at: float = 0, *, heard_at: float | None = None, **said: Any) -> Message[Any]:
    what: dict[str, Any] = {"session": SESSION, "evse": 1, "token": TOKEN} | said
    started = SessionStarted(at=second(at), **HERE, report="r", transaction=TRANSACTION, connector=1, **what)
    return heard(started, at=heard_at)


def session_ended(at: float = 0, *, session: SessionId = SESSION) -> Message[Any]:
    return heard(SessionEnded(at=second(at), **HERE, session=session, report="r", reason="Remote"))


def session_corrected(at: float = 0) -> Message[Any]:
    return heard(SessionCorrected(at=second(at), **HERE, session=SESSION, report="r", reason="Remote"))


def fulfilled(at: float = 0, *, command: CommandId = COMMAND, session: SessionId = SESSION) -> CommandFulfilled:
    return CommandFulfilled(at=second(at), **HERE, command=command, session=session, transaction=TRANSACTION)
