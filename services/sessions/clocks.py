"""Clocks of stations that cannot be right (X-43): a time is corrected, the station's own is kept, and a flag says so.

What a station says happened in years before stations, or later than we heard of it, it says by a clock that was not set. When
it did happen is then the moment we heard of it; how long a session lasted its two times still tell, if one clock stamped both.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from contracts.event import OfStation
from services.sessions.heard import Heard

OLDEST = datetime(2015, 1, 1, tzinfo=UTC)
AHEAD = timedelta(seconds=120)
"""What is later than our own clock by more cannot have happened yet."""
LONGEST = timedelta(days=30)
"""A session that lasted longer by a wrong clock lasted otherwise."""
SAME = timedelta(seconds=60)
"""Two estimates of a moment that differ by no more are the same."""

E = TypeVar("E", bound=OfStation)


def corrected(heard: Heard[E]) -> Heard[E]:
    """Return what was heard with the time that it must have happened at."""
    at, heard_at = heard.event.at, heard.heard_at
    if heard_at is None or OLDEST <= at <= heard_at + AHEAD:
        return heard
    changes: Any = {"at": heard_at}
    return replace(heard, event=replace(heard.event, **changes), said_at=at, offline=False)


def lasted(
    began: datetime, began_said: datetime | None, ended: datetime, ended_said: datetime | None
) -> timedelta | None:
    """Return how long something lasted, if one clock has stamped its beginning and its end."""
    if (began_said is None) != (ended_said is None):
        return None
    duration = (ended_said or ended) - (began_said or began)
    return duration if timedelta(0) <= duration <= LONGEST else None


def began_at(
    began: datetime, began_said: datetime | None, ended: datetime, ended_said: datetime | None
) -> datetime | None:
    """Return when something must have begun, where its end tells better than we knew; None where it does not."""
    if began_said is None:
        return None
    duration = lasted(began, began_said, ended, ended_said)
    known = min(began, ended) if duration is None else ended - duration
    return known if abs(known - began) > SAME else None
