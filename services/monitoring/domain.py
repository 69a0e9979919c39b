"""When something is an alert: windows over what happens at a station. Pure: time is in the messages.

One rule hears one topic, so that what it decides follows from one partition's order alone. Of each subject - a station, or one
of its connectors - it keeps the newest times within its window, and the alert that is open. Nothing older matters: after a
crash all of it is found again in the last stretch of the log and in the alerts that were written.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from contracts.alerts import AlertCleared, AlertEvent, AlertRaised, AlertRule
from contracts.authorizations import TokenDecided
from contracts.event import AlertId, CommandId, Message, SessionId, StationId, TenantId, derived_id
from contracts.operations import (
    CommandExpired,
    CommandFailed,
    CommandFulfilled,
    CommandRejected,
    CommandRequested,
    StartCharge,
)
from contracts.sessions import (
    ClockEstimated,
    EnergyDelivered,
    MeterFellSilent,
    SessionAuthorized,
    SessionEnded,
    SessionPresumedEnded,
)
from contracts.stations import (
    ConnectionOpened,
    ConnectorStatusReported,
    IdentityConflictSuspected,
    ReconnectLoopSuspected,
)

LONGEST = timedelta(days=1)
"""An alert lasts no longer, so that which are open is found in the alerts of a day."""
REMEMBERED = timedelta(hours=2)
"""For how long we remember that a command is a start, none of which lives longer than an hour, or that a session was refused."""
GRACE = timedelta(seconds=60)
"""So long a station may take to stop what was refused (Q-60)."""
HEARD = (
    ConnectorStatusReported,
    ConnectionOpened,
    IdentityConflictSuspected,
    ReconnectLoopSuspected,
    TokenDecided,
    CommandRequested,
    CommandRejected,
    CommandFailed,
    CommandExpired,
    CommandFulfilled,
    SessionAuthorized,
    EnergyDelivered,
    SessionEnded,
    SessionPresumedEnded,
    ClockEstimated,
    MeterFellSilent,
)
"""All that means something to a rule."""


class Limit(NamedTuple):
    """How much is too much."""

    times: int
    within: timedelta


Limits = Mapping[AlertRule, Limit]
Starts = Mapping[CommandId | SessionId, datetime]
"""Remote starts whose outcome is not known yet, and sessions whose token was refused, and when we learnt of them."""


class Subject(Struct, frozen=True):
    """What a rule counts by."""

    rule: AlertRule
    tenant: TenantId
    station: StationId
    evse: int | None = None
    connector: int | None = None

    def alert(self, since: datetime) -> AlertId:
        """Return the id of the alert whose window begins at this moment: the same for every repetition."""
        about = f"{self.tenant}/{self.station}/{self.evse}/{self.connector}/{since.isoformat()}"
        return AlertId(derived_id(about, "monitoring", self.rule))


class Happening(Struct, frozen=True):
    """One of what a rule counts."""

    subject: Subject
    at: datetime
    """When we learnt of it."""
    place: int
    """Its offset."""
    detail: str = ""


class Open(Struct, frozen=True):
    """An alert that has not been cleared."""

    alert: AlertId
    raised_at: datetime


class Seen(Struct, frozen=True):
    """What a rule knows of a subject."""

    times: tuple[datetime, ...] = ()
    """The newest within the window, in order."""
    open: Open | None = None


NOTHING = Seen()


def happening(message: Message[Any], starts: Starts) -> Happening | None:
    """Return what is to be counted of a message, if anything is."""
    match message.event:
        case ConnectorStatusReported(status="Faulted") as report:
            detail = report.error_code + (f": {report.info}" if report.info else "")
            return _of(message, "repeated_faults", detail, report.evse or None, report.connector or None)
        case ConnectionOpened(remote_address=address):
            return _of(message, "flapping_connection", f"from {address}" if address else "")
        case IdentityConflictSuspected(replacements=times, within_s=within_s):
            return _of(message, "identity_conflict", f"{times} connections replaced one another within {within_s} s")
        case ReconnectLoopSuspected(after=after, times=times):
            return _of(message, "reconnect_loop", f"it has left {times} times after {after}")
        case TokenDecided(purpose="start") as decided if decided.info.status != "Accepted":
            return _of(message, "refused_starts", decided.info.status)
        case CommandRejected() as rejected if rejected.command in starts:
            return _of(message, "failed_starts", f"the station answered {rejected.status}")
        case CommandFailed() as failed if failed.command in starts:
            return _of(message, "failed_starts", failed.reason + (f": {failed.detail}" if failed.detail else ""))
        case CommandExpired() as expired if expired.command in starts:
            return _of(message, "failed_starts", expired.detail or "its time ran out")
        case EnergyDelivered() as delivered if _too_late(delivered, starts):
            return _of(message, "charging_refused", f"session {delivered.session} is at {delivered.energy_wh} Wh")
        case MeterFellSilent(evse=evse, connector=connector, session=session):
            return _of(message, "silent_meter", f"session {session}", evse, connector)
        case ClockEstimated(behind_s=behind_s) if behind_s:
            return _of(message, "wrong_clock", f"{abs(behind_s)} s {'behind' if behind_s > 0 else 'ahead'}")
        case _:
            return None


def _too_late(delivered: EnergyDelivered, refused: Starts) -> bool:
    """Return whether energy flowed long after the station was told that it may not, by the station's clock."""
    told_at = refused.get(delivered.session)
    return told_at is not None and delivered.at > told_at + GRACE


def _of(
    message: Message[Any], rule: AlertRule, detail: str, evse: int | None = None, connector: int | None = None
) -> Happening:
    subject = Subject(rule, message.event.tenant, message.event.station, evse, connector)
    return Happening(subject, message.recorded_at, message.offset, detail[:200])


def started(starts: Starts, message: Message[Any]) -> Starts:
    """Return the remote starts without an outcome, and the refused sessions, after a message; each has one end."""
    match message.event:
        case CommandRequested(task=StartCharge(), command=command):
            return _young(starts, message.recorded_at) | {command: message.recorded_at}
        case SessionAuthorized() as authorized if authorized.info.status != "Accepted":
            return _young(starts, message.recorded_at) | {authorized.session: message.recorded_at}
        case SessionEnded() | SessionPresumedEnded() as over:
            return {id: at for id, at in starts.items() if id != over.session}
        case CommandRejected() | CommandFailed() | CommandExpired() | CommandFulfilled() as ended:
            return {id: at for id, at in starts.items() if id != ended.command}
        case _:
            return starts


def _young(starts: Starts, now: datetime) -> dict[CommandId | SessionId, datetime]:
    return {id: at for id, at in starts.items() if now - at <= REMEMBERED}


# ---- a window ------------------------------------------------------------------------------------------------------


def remembered(seen: Seen, what: Happening, limit: Limit) -> Seen:
    """Return what is known after something that has been decided on before."""
    at = max(what.at, seen.times[-1]) if seen.times else what.at
    times = (*(time for time in seen.times if time > at - limit.within), at)
    return replace(seen, times=times[-limit.times :])


def counted(seen: Seen, what: Happening, limit: Limit) -> tuple[Seen, list[AlertEvent]]:
    """Return what is known after one more of what is counted, and the alerts that it ends and begins."""
    seen, cleared = passed(seen, what.subject, what.at, what.place - 1, limit)
    seen = remembered(seen, what, limit)
    if seen.open or len(seen.times) < limit.times:
        return seen, cleared
    raised = _raised(seen, what, limit)
    return replace(seen, open=Open(raised.alert, raised.at)), [*cleared, raised]


def _raised(seen: Seen, what: Happening, limit: Limit) -> AlertRaised:
    about = what.subject
    return AlertRaised(
        at=seen.times[-1],
        tenant=about.tenant,
        station=about.station,
        alert=about.alert(seen.times[0]),
        rule=about.rule,
        evse=about.evse,
        connector=about.connector,
        place=what.place,
        since=seen.times[0],
        count=len(seen.times),
        within_s=int(limit.within.total_seconds()),
        detail=what.detail,
    )


def passed(seen: Seen, about: Subject, until: datetime, place: int, limit: Limit) -> tuple[Seen, list[AlertEvent]]:
    """Return what is known when everything until a moment has been heard, and the alert that has come to its end."""
    ends = deadline(seen, limit)
    if seen.open is None or ends is None or until < ends:
        return seen, []
    cleared = AlertCleared(
        at=ends,
        tenant=about.tenant,
        station=about.station,
        alert=seen.open.alert,
        rule=about.rule,
        evse=about.evse,
        connector=about.connector,
        place=place,
        reason="a_day_has_passed" if ends == seen.open.raised_at + LONGEST else "quiet",
    )
    return replace(seen, open=None), [cleared]


def deadline(seen: Seen, limit: Limit) -> datetime | None:
    """Return when the open alert ends if nothing more happens."""
    if seen.open is None:
        return None
    last = seen.times[-1] if seen.times else seen.open.raised_at
    return min(last + limit.within, seen.open.raised_at + LONGEST)


def is_over(seen: Seen, until: datetime, limit: Limit) -> bool:
    """Whether nothing that is known of a subject matters any more."""
    return seen.open is None and (not seen.times or seen.times[-1] <= until - limit.within)


def followed(seen: Seen, fact: AlertEvent) -> Seen:
    """Return what is known after an alert that has been written."""
    match fact:
        case AlertRaised():
            return replace(seen, open=Open(fact.alert, fact.at))
        case AlertCleared() if seen.open and seen.open.alert == fact.alert:
            return replace(seen, open=None)
        case AlertCleared():
            return seen


def subject_of(fact: AlertEvent) -> Subject:
    return Subject(fact.rule, fact.tenant, fact.station, fact.evse, fact.connector)


def id_of(fact: AlertEvent) -> str:
    """Return the `ce_id` of an alert's event: it is raised once and cleared once."""
    return str(fact.alert) if isinstance(fact, AlertRaised) else derived_id(fact.alert, "monitoring", "cleared")
