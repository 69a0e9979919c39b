"""Meters that fall silent while a session goes on (Q-93): a station that has forgotten its settings bills nobody.

Only a meter that has been read is missed: many stations say nothing of it before the stop. As long as it is read, the moment at
which it is looked at again moves on; that is one small event for each such time, and none for a reading.
"""

from datetime import datetime, timedelta

from contracts.event import Event, Instant
from contracts.sessions import MeterFellSilent, MeterWatched
from services.sessions.samples import EPOCH
from services.sessions.state import Charging, Station

SILENT = timedelta(minutes=90)
"""Between so long and twice as long after its last reading, a meter has fallen silent: some are read every hour."""


def read(state: Station, session: Charging, heard_at: Instant | None) -> list[Event]:
    """Return that a meter is watched from now on, if it was not."""
    if heard_at is None or session.meter_until is not None:
        return []
    return [_watched(state, session, heard_at)]


def looked_at(state: Station, at: datetime) -> list[Event]:
    """Return which meters are to be watched on, and which have fallen silent."""
    due = [session for session in state.open if session.meter_until is not None and session.meter_until <= at]
    return [_watched(state, each, at) if each.metered else _silent(state, each, at) for each in due]


def deadline(state: Station) -> datetime | None:
    """Return when the next meter is to be looked at."""
    return min((session.meter_until for session in state.open if session.meter_until is not None), default=None)


def _watched(state: Station, session: Charging, at: Instant) -> MeterWatched:
    return MeterWatched(at=at, tenant=state.tenant, station=state.station, session=session.id, until=at + SILENT)


def _silent(state: Station, session: Charging, at: Instant) -> MeterFellSilent:
    last = max(session.newest.values(), default=None)
    return MeterFellSilent(
        at=at,
        tenant=state.tenant,
        station=state.station,
        session=session.id,
        evse=session.evse,
        connector=session.connector,
        last_at=None if last is None else EPOCH + timedelta(milliseconds=last),
    )
