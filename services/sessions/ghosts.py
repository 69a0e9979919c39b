"""Sessions whose stop never comes: suspected, then presumed to be over, and corrected by a real stop (X-21, X-23)."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from contracts.event import Event, Instant
from contracts.sessions import SessionAlive, SessionSuspected
from contracts.stations import ConnectorStatusReported, StationBooted
from services.sessions.decisions import charging_over
from services.sessions.heard import Heard
from services.sessions.samples import EPOCH
from services.sessions.starts import presumed
from services.sessions.state import SILENCE, Charging, Station

FREE = frozenset({"Available", "Preparing", "Reserved"})
"""What a connector says that nobody charges at."""
BUSY = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
WAIT: dict[Literal["free", "booted"], timedelta] = {"free": timedelta(minutes=10), "booted": timedelta(minutes=30)}
"""How long a suspicion waits for the stop, or a sign of life."""


def reported(state: Station, heard: Heard[ConnectorStatusReported]) -> list[Event]:
    """Return what the status of a connector says of the session on it."""
    said = heard.event
    session = state.open_at(said.evse, said.connector)
    if session is None or heard.heard_at is None or (said.at < session.since and not said.at_is_ours):
        return []
    if said.status in FREE and session.suspected != "free":
        return [_suspected(state, session, "free", said.at, heard.heard_at)]
    return [_alive(state, session, heard.heard_at)] if said.status in BUSY and session.suspected else []


def booted(state: Station, heard: Heard[StationBooted]) -> list[Event]:
    """Return that what was going on before a boot may be over."""
    at = heard.heard_at
    if at is None:
        return []
    return [_suspected(state, each, "booted", heard.event.at, at) for each in state.open if not each.suspected]


def read(state: Station, session: Charging, at: Instant | None, *, rose: bool) -> list[Event]:
    """Return that a session lives, as its meter is read; where its connector is said to be free, only if it rises."""
    if not session.suspected or at is None or (session.suspected == "free" and not rose):
        return []
    return [_alive(state, session, at)]


def looked_at(state: Station, at: datetime) -> list[Event]:
    """Return what becomes of the sessions that are to be looked at now."""
    events: list[Event] = []
    for session in state.open:
        if session.until is not None and session.until <= at:
            events += _judged(state, session, at)
    return events


def _judged(state: Station, session: Charging, at: datetime) -> list[Event]:
    if session.lively and not session.suspected:
        return [_alive(state, session, at)]
    over = presumed(
        state, session, _last_sign(session, at), "Ghost" if session.suspected else "Silent", "ghost", "review"
    )
    return [over, *charging_over(session, over.at, over)]


def _last_sign(session: Charging, at: datetime) -> datetime:
    """Return when something was heard of a session last, as far as its samples tell."""
    sampled = max(session.newest.values(), default=None)
    if sampled is not None and session.said_at is None:
        return min(max(session.started_at, EPOCH.astimezone(UTC) + timedelta(milliseconds=sampled)), at)
    suspected = WAIT.get(session.suspected)  # type: ignore[call-overload]  # "" is no key
    return max(session.started_at, at - (suspected or SILENCE))


def deadline(state: Station) -> datetime | None:
    """Return when the next session wants to be looked at."""
    return min((session.until for session in state.open if session.until is not None), default=None)


def _suspected(
    state: Station, session: Charging, why: Literal["free", "booted"], at: Instant, heard_at: Instant
) -> SessionSuspected:
    return SessionSuspected(
        at=at,
        tenant=state.tenant,
        station=state.station,
        session=session.id,
        why=why,
        until=heard_at + WAIT[why],
    )


def _alive(state: Station, session: Charging, at: Instant) -> SessionAlive:
    return SessionAlive(at=at, tenant=state.tenant, station=state.station, session=session.id, until=at + SILENCE)
