"""Clocks of stations that cannot be right (X-43): a time is corrected, the station's own is kept, and a flag says so.

What a station says happened in years before stations, or later than we heard of it, it says by a clock that was not set. When
it did happen is then the moment we heard of it; how long a session lasted its two times still tell, if one clock stamped both.

A clock that is behind is found by its lag, which is how much later we hear something than the station says it happened. What is
sent at once lags by the same however often it is said, as both clocks go equally fast; what was kept does not.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from contracts.event import OfStation
from services.sessions.heard import Heard

Lag = tuple[int, int]
"""When we heard of something, in seconds since 1970, and how many seconds before that it happened by the station's clock."""

OLDEST = datetime(2015, 1, 1, tzinfo=UTC)
AHEAD = timedelta(seconds=120)
"""What is later than our own clock by more cannot have happened yet."""
LONGEST = timedelta(days=30)
"""A session that lasted longer by a wrong clock lasted otherwise."""
SAME = timedelta(seconds=60)
"""Two estimates of a moment that differ by no more are the same."""
LATE = timedelta(seconds=120)
"""What we hear of later than this after it happened was kept while the station was offline (X-40)."""
LAGS = 5
"""So many lags, of as many minutes, must agree."""
APART_S = 60
STEADY_S = 30
"""Lags that differ by no more agree: messages take their time."""
TOLERATED_S = 60
"""A clock that is off by no more is right."""
LONGEST_S = 24 * 3600
"""A lag that is longer is none of a clock that somebody has set, at least to another zone's time."""

E = TypeVar("E", bound=OfStation)


def corrected(heard: Heard[E], behind_s: int = 0) -> Heard[E]:
    """Return what was heard with the time that it must have happened at, by a clock that is so far behind."""
    at, heard_at = heard.event.at, heard.heard_at
    if heard_at is None:
        return heard
    if not OLDEST <= at <= heard_at + AHEAD:
        changes: Any = {"at": heard_at}
        return replace(heard, event=replace(heard.event, **changes), said_at=at, offline=False)
    behind = timedelta(seconds=behind_s)
    if behind_s <= 0 or at + behind > heard_at + timedelta(seconds=STEADY_S):
        return heard
    changes = {"at": min(at + behind, heard_at)}
    late = heard.offline and heard_at - at - behind > LATE
    return replace(heard, event=replace(heard.event, **changes), said_at=at, offline=late, behind=behind)


# ---- clocks that are behind ------------------------------------------------------------------------------------------


def lag(heard_at: datetime, said_at: datetime) -> Lag:
    return int(heard_at.timestamp()), (heard_at - said_at) // timedelta(seconds=1)


def noted(lags: tuple[Lag, ...], one: Lag) -> tuple[Lag, ...]:
    """Return the lags of the latest minutes with one more. Of one minute the least counts: that was kept the shortest."""
    heard_s, lag_s = one
    if abs(lag_s) > LONGEST_S:
        return ()
    if lags and heard_s - lags[-1][0] < APART_S:
        return (*lags[:-1], (lags[-1][0], min(lags[-1][1], lag_s)))
    return (*lags, one)[-LAGS:]


def steady(lags: tuple[Lag, ...]) -> int | None:
    """Return the lag that all agree on; None if they do not."""
    seconds = [lag_s for _, lag_s in lags]
    agree = len(seconds) == LAGS and max(seconds) - min(seconds) <= STEADY_S
    return min(seconds) if agree else None


def news(lags: tuple[Lag, ...], behind_s: int, one: Lag) -> int | None:
    """Return by how much the clock is behind, ahead if below 0, if one more lag shows that it is another than was known.

    What happened in our future, as far as is known of the clock, shows that it has been set.
    """
    if behind_s > 0 and one[1] < behind_s - STEADY_S:
        return 0
    found = steady(noted(lags, one))
    if found is None:
        return None
    now = found if abs(found) > TOLERATED_S else 0
    return now if abs(now - behind_s) > STEADY_S else None


def same(heard_at: datetime | None, said_at: datetime, behind: timedelta) -> bool:
    """Return whether something was stamped by a clock that is so far behind, and sent at once."""
    return heard_at is not None and abs(heard_at - said_at - behind) <= timedelta(seconds=STEADY_S)


# ---- what times tell of sessions -------------------------------------------------------------------------------------


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
