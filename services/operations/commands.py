"""The life of a command: asked once, never twice, and followed until its effect (OCPP 1.6 §5.11, §5.12; T-43 to T-46)."""

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from contracts.event import Sealed, TransactionId
from contracts.gateways import Asked, CallAsked, ShowingPrice, StartCharging, StopCharging, TransferringData
from contracts.operations import (
    CommandAccepted,
    CommandExpired,
    CommandFailed,
    CommandFulfilled,
    CommandQueued,
    CommandRejected,
    CommandRequested,
    CommandSent,
    FailureReason,
    ShowFinalCost,
    ShowPrice,
    ShowRunningCost,
    StartCharge,
    StopCharge,
    Task,
    TransferData,
)
from contracts.reference import Token
from contracts.sessions import SessionCorrected, SessionEnded, SessionStarted
from contracts.stations import CallAnswered, CallFailed, CallSent
from services.operations import displays
from services.operations.station import (
    MOST_SESSIONS,
    Accepted,
    Boot,
    Command,
    Considered,
    Fruitless,
    Known,
    Ongoing,
    Online,
    Outcome,
    Sent,
    Unanswered,
    Waiting,
    Watched,
)

EFFECT_WITHIN = timedelta(seconds=120)
"""A command that was accepted shows its effect so soon or not at all: ConnectionTimeOut and a minute (M-20)."""
MOST_OPEN = 32
"""So many commands may be under way at one station."""
AT_ONCE = (TransferData, ShowPrice, ShowRunningCost, ShowFinalCost)
"""Tasks that are done once the station has accepted them."""
LIKELY = (Accepted, Sent, Waiting, Unanswered, Fruitless)
"""Whose effect something is, the likeliest first."""
WHY_EXPIRED = {
    Waiting: "it was not sent in time",
    Sent: "the station did not answer in time",
    Accepted: "the station accepted it, and nothing came of it",
}


CommandEvent = (
    CommandRequested
    | CommandQueued
    | CommandSent
    | CommandAccepted
    | CommandRejected
    | CommandFailed
    | CommandExpired
    | CommandFulfilled
)


class Refusal(Struct, frozen=True):
    """Why a command is not even tried."""

    reason: FailureReason
    detail: str


def issued(known: Known, considered: Considered) -> list[Outcome]:
    """Return the command's first steps. A command heard before, in whatever words, causes nothing."""
    command = considered.issued
    if command.command in known.past or known.command(command.command):
        return []
    requested = CommandRequested(
        at=command.at,
        tenant=command.tenant,
        station=command.station,
        command=command.command,
        task=command.task,
        requested_by=command.requested_by,
        expires_at=command.expires_at,
        fingerprint=command.fingerprint,
    )
    return [requested, *first_step(known, considered)]


def first_step(known: Known, considered: Considered) -> list[Outcome]:
    """Return the call to make, or why there is none."""
    command, call, connection = considered.issued, call_for(considered), known.connection
    if isinstance(call, Refusal):
        return [refused(considered, call)]
    if not isinstance(connection, Online):
        return [refused(considered, Refusal("Offline", "the station is not connected; ask again when it is"))]
    if hindrance := hindrance_of(known, command.task):
        return [refused(considered, hindrance)]
    queued = CommandQueued(
        at=command.at,
        tenant=command.tenant,
        station=command.station,
        command=command.command,
        epoch=connection.epoch,
    )
    asked = CallAsked(
        at=command.at,
        tenant=command.tenant,
        station=command.station,
        gateway=connection.gateway,
        reply_to=connection.reply_to,
        epoch=connection.epoch,
        command=command.command,
        call=call,
        expires_at=command.expires_at,
    )
    return [queued, asked]


def call_for(considered: Considered) -> Asked | Refusal:
    """Return the call in the words of no OCPP version, or what is missing for it."""
    if not considered.registered:
        return Refusal("UnknownStation", "register the station first")
    match considered.issued.task:
        case StartCharge() as start:
            uid = uid_of(considered.token)
            return uid if isinstance(uid, Refusal) else StartCharging(uid, start.evse, start.connector)
        case StopCharge(transaction=transaction):
            return StopCharging(transaction)
        case TransferData() as said:
            return TransferringData(said.vendor, said.message, said.data)
        case ShowPrice(text=text):
            uid = uid_of(considered.token)
            return uid if isinstance(uid, Refusal) else ShowingPrice(uid, text)
        case ShowRunningCost() | ShowFinalCost() as shows:  # pragma: no branch
            return shows


def uid_of(token: Token | None) -> Sealed | Refusal:
    """Return the uid, which only the gateway opens, or what is missing for it."""
    if token is None:
        return Refusal("UnknownToken", "register the token first")
    return token.uid or Refusal("TokenWithoutUid", "only the token's id is known: register it with its uid")


def hindrance_of(known: Known, task: Task) -> Refusal | None:
    """Return why a connected station may not be asked now (OCPP 1.6 §4.2)."""
    if not displays.can_show(known, task):
        return Refusal(
            "CannotShow", "it knows no such message, or does not answer it; it is asked again after its next boot"
        )
    match known.boot:
        case Boot(status="Pending" | "Rejected" as status):
            return Refusal("NotAccepted", f"its boot was answered {status}: accept the station first")
        case _ if sum(isinstance(command, Ongoing) for command in known.commands) >= MOST_OPEN:
            return Refusal("TooManyCommands", f"{MOST_OPEN} commands are under way: wait for one of them")
        case _:
            return None


def refused(considered: Considered, refusal: Refusal) -> CommandFailed:
    command = considered.issued
    return CommandFailed(
        at=command.at,
        tenant=command.tenant,
        station=command.station,
        command=command.command,
        reason=refusal.reason,
        detail=refusal.detail,
    )


def sent(known: Known, report: CallSent) -> list[Outcome]:
    """Return that the call is going out."""
    if not isinstance(known.command(report.command), Waiting):
        return []
    return [CommandSent(at=report.at, tenant=known.tenant, station=known.station, command=report.command)]


def answered(known: Known, answer: CallAnswered) -> list[Outcome]:
    """Return what the station answered: once, and late rather than never (T-44)."""
    command = known.command(answer.command)
    if not isinstance(command, Waiting | Sent | Unanswered):
        return []
    late = answer.late or isinstance(command, Unanswered)
    if answer.status == "Accepted":
        step: dict[str, Any] = {
            "at": answer.at,
            "tenant": known.tenant,
            "station": known.station,
            "command": answer.command,
        }
        is_done = isinstance(command.task, AT_ONCE)
        return [CommandAccepted(**step, late=late), *([CommandFulfilled(**step)] if is_done else [])]
    return [
        CommandRejected(
            at=answer.at,
            tenant=known.tenant,
            station=known.station,
            command=answer.command,
            status=answer.status,
            late=late,
        )
    ]


def failed(known: Known, failure: CallFailed, heard_at: datetime) -> list[Outcome]:
    """Return that the call failed. What was given up already can only fail by an answer."""
    match known.command(failure.command):
        case Waiting() | Sent() as command if failure.reason == "NotSent" and heard_at >= command.until:
            return [expired(known, command)]
        case Waiting() | Sent():
            return [failure_of(known, failure, late=failure.late)]
        case Unanswered() if failure.reason in {"CallError", "Invalid"}:
            return [failure_of(known, failure, late=True)]
        case _:
            return []


def failure_of(known: Known, failure: CallFailed, *, late: bool) -> CommandFailed:
    return CommandFailed(
        at=failure.at,
        tenant=known.tenant,
        station=known.station,
        command=failure.command,
        reason=failure.reason,
        detail=": ".join(part for part in (failure.code, failure.description) if part),
        late=late,
    )


def watched(known: Known, tick: Watched) -> list[CommandExpired]:
    """Return the commands whose time has run out at this deadline."""
    return [
        expired(known, command)
        for command in known.commands
        if isinstance(command, Ongoing) and command.until <= tick.at
    ]


def expired(known: Known, command: Waiting | Sent | Accepted) -> CommandExpired:
    return CommandExpired(
        at=command.until,
        tenant=known.tenant,
        station=known.station,
        command=command.id,
        detail=WHY_EXPIRED[type(command)],
    )


def deadline(known: Known) -> datetime | None:
    """Return when the next command expires."""
    return min((command.until for command in known.commands if isinstance(command, Ongoing)), default=None)


def began(known: Known, session: SessionStarted, heard_at: datetime) -> list[Outcome]:
    """Return which one command the session fulfils, if any (M-20, C-100)."""
    candidates = [
        command
        for command in known.commands
        if heard_at <= last_effect_at(command) and is_effect(command, session) and session.session not in known.sessions
    ]
    if not candidates:
        return []
    return [fulfilled(known, min(candidates, key=likelihood), session, session.transaction)]


def is_effect(command: Command, session: SessionStarted) -> bool:
    """Tell whether a session is what `command` was for. A queued start from before it is not, whoever's token it has."""
    match command.task:
        case StartCharge(token=session.token, evse=None | session.evse):
            return not (session.offline and session.at < command.asked_at)
        case _:
            return False


def likelihood(command: Command) -> int:
    return LIKELY.index(type(command))


def ended(known: Known, session: SessionEnded | SessionCorrected, heard_at: datetime) -> list[Outcome]:
    """Return all commands that the end of a session fulfils (M-21)."""
    return [
        fulfilled(known, command, session, command.task.transaction)
        for command in known.commands
        if isinstance(command.task, StopCharge)
        and command.task.session == session.session
        and heard_at <= last_effect_at(command)
    ]


def last_effect_at(command: Command) -> datetime:
    """Return the last moment at which something that happens is taken for the effect of `command`."""
    return command.until + EFFECT_WITHIN if isinstance(command, Waiting | Sent) else command.until


def fulfilled(
    known: Known,
    command: Command,
    session: SessionStarted | SessionEnded | SessionCorrected,
    transaction: TransactionId,
) -> CommandFulfilled:
    return CommandFulfilled(
        at=session.at,
        tenant=known.tenant,
        station=known.station,
        command=command.id,
        session=session.session,
        transaction=transaction,
    )


def evolve(known: Known, event: CommandEvent) -> Known:
    """Return the station after a step in the life of a command."""
    match event, known.command(event.command):
        case CommandRequested(), None:
            return known.with_command(
                Waiting(event.command, displays.remembered(event.task), event.at, event.expires_at)
            )
        case CommandSent(), Waiting() as was:
            return known.with_command(Sent(was.id, was.task, was.asked_at, was.until))
        case CommandAccepted(), Waiting() | Sent() | Unanswered() as was:
            accepted = Accepted(was.id, was.task, was.asked_at, event.at + EFFECT_WITHIN)
            return displays.heeded(known, was).with_command(accepted)
        case (CommandFailed(reason="TimedOut" | "Disconnected"), Waiting() | Sent() as was) | (
            CommandExpired(),
            Waiting() | Sent() as was,
        ):
            unanswered = Unanswered(was.id, was.task, was.asked_at, last_effect_at(was))
            return displays.silent(known, event, was).with_command(unanswered)
        case CommandExpired(), Accepted() as was:
            return known.with_command(Fruitless(was.id, was.task, was.asked_at, was.until))
        case ((CommandRejected() | CommandFailed()), was):
            return displays.learnt(known, event, was).without([event.command])
        case CommandFulfilled(), _:
            return linked(known, event).without([event.command])
        case _:
            return known


def linked(known: Known, event: CommandFulfilled) -> Known:
    """Return the station with the session as the effect of a command, so that it is not the effect of another one."""
    return (
        known if event.session is None else replace(known, sessions=(*known.sessions, event.session)[-MOST_SESSIONS:])
    )
