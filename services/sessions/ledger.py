"""The energy ledger: what the meter of a connector shows to have flowed, and what of it is in sessions (docs/energy-ledger.md).

A connector's register is followed through sessions and between them: that is its line. A session whose own register goes on
from there is on the line, and what the line rises by is delivered. The energy of any other session (its samples count from
its start, or its register begins at 0 with each session) is delivered as far as the line has not shown it already; and what
the line shows of it afterwards is not delivered a second time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from contracts.event import Instant, SiteId
from contracts.sessions import Account, SessionStarted
from services.sessions.meter import CERTAIN_WH, NOISE, limit_wh, wrapped

ON_LINE = frozenset({"register", "samples"})
"""Where an energy is taken from so that the register that goes with it is the connector's."""


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The register of a connector, as it was seen last."""

    evse: int
    connector: int
    wh: int
    at: Instant
    loose_wh: int = 0
    """What it has shown since the newest session began that is in no session."""
    ahead_wh: int = 0
    """What the newest session has shown by itself, and the line has not."""
    other_wh: int | None = None
    """Where the newest session that is not on the line ended: the next one may go on from there."""


class Place(NamedTuple):
    """Where energy flows, and what the directory says of it."""

    evse: int
    connector: int
    site: SiteId | None = None
    time_zone: str = "UTC"
    max_w: int | None = None


def line_of(lines: Sequence[Line], evse: int, connector: int) -> Line | None:
    return next((line for line in lines if (line.evse, line.connector) == (evse, connector)), None)


def entry(
    place: Place, *, delivered: int = 0, attributed: int = 0, quarantined: int = 0, register_wh: int | None = None
) -> Account | None:
    """Return an entry in balance; None if it moves nothing."""
    if not (delivered or attributed or quarantined) and register_wh is None:
        return None
    return Account(
        delivered_wh=delivered,
        attributed_wh=attributed,
        quarantined_wh=quarantined,
        unattributed_wh=delivered - attributed - quarantined,
        site=place.site,
        time_zone=place.time_zone,
        register_wh=register_wh,
    )


def begun(line: Line | None, place: Place, at: datetime, meter_wh: int | None) -> Account | None:
    """Return what the register at the start of a session moves. None: the session is not on the line.

    A first 0 may stand for a register that nobody knew, or for one that begins anew with each session: no line begins there.
    """
    if meter_wh is None:
        return None
    if line is None:
        return entry(place, register_wh=meter_wh) if meter_wh else None
    gap = _gap(line, meter_wh)
    if gap is None:
        return None
    another_meter = gap.wh > limit_wh(place.max_w, abs((at - line.at).total_seconds()))
    delivered = 0 if another_meter else gap.wh - min(gap.wh, gap.ahead_wh)
    return entry(place, delivered=delivered, register_wh=meter_wh)


class Gap(NamedTuple):
    """By what a register has risen between two sessions, and how much of that the first one has shown by itself."""

    wh: int
    ahead_wh: int


def _gap(line: Line, meter_wh: int) -> Gap | None:
    """Return by what the line has risen until the start of a session; None if that is not on it."""
    if meter_wh > line.wh - NOISE:
        return Gap(max(0, meter_wh - line.wh), line.ahead_wh)
    if (over := wrapped(line.wh, meter_wh)) is not None:
        return Gap(over, line.ahead_wh)
    if line.other_wh and meter_wh and meter_wh > line.other_wh - NOISE:
        return Gap(max(0, meter_wh - line.other_wh), 0)
    return None


def idle(line: Line | None, place: Place, at: datetime, meter_wh: int, *, may_fall: bool) -> Account | None:
    """Return what a register that was read outside of any session moves."""
    if line is None:
        return entry(place, register_wh=meter_wh) if meter_wh and may_fall else None
    if meter_wh > line.wh:
        rise = meter_wh - line.wh
        if rise > limit_wh(place.max_w, abs((at - line.at).total_seconds())):
            return entry(place, register_wh=meter_wh) if may_fall else None
        return entry(place, delivered=rise - min(rise, line.ahead_wh), register_wh=meter_wh)
    if not may_fall or meter_wh > line.wh - NOISE or at < line.at:
        return None
    return entry(place, delivered=wrapped(line.wh, meter_wh) or 0, register_wh=meter_wh)


class Move(NamedTuple):
    """What an event makes of the energy of a session."""

    attributed: int
    """How much more is in it."""
    register_wh: int | None = None
    """Where the connector's register stands, if the session is on the line and its energy was taken from there."""
    goes_on: bool = True
    """It is the newest of its connector, so a register that falls has begun anew."""
    quarantined: int = 0
    on_line: bool = False
    """The session is on the line, so what the line has shown of it stays delivered if there is less in it."""


def moved(line: Line | None, place: Place, move: Move) -> Account | None:
    """Return what the energy of a session moves."""
    register = move.register_wh
    if line is None or register is None:
        delivered = move.attributed + move.quarantined
        if line is not None and delivered > 0:
            delivered -= min(delivered, max(0, line.loose_wh))
        elif line is not None and move.on_line:
            delivered = -min(-delivered, line.ahead_wh if move.goes_on else 0)
        return entry(place, delivered=delivered, attributed=move.attributed, quarantined=move.quarantined)
    rise = register - line.wh
    if rise > max(0, move.attributed) + CERTAIN_WH:
        delivered = max(0, move.attributed)  # it has leapt, to where another register stands
    elif rise >= 0:
        delivered = rise - min(rise, line.ahead_wh)
    else:
        delivered = max(0, move.attributed) if move.goes_on and register <= line.wh - NOISE else 0
        register = register if delivered else None
    return entry(
        place,
        delivered=delivered,
        attributed=move.attributed,
        quarantined=move.quarantined,
        register_wh=None if register == line.wh else register,
    )


def opened(line: Line | None, place: Place, started: SessionStarted) -> Line | None:
    """Return the line as a start leaves it that is not in the state yet."""
    if started.account is None:
        return line
    lines = () if line is None else (line,)
    found = after(lines, place.evse, place.connector, started.at, started.account, begins=True, most=1)
    return found[0] if found else None


# ---- as events leave it ----------------------------------------------------------------------------------------------


def after(
    lines: tuple[Line, ...], evse: int, connector: int, at: datetime, account: Account, *, begins: bool, most: int
) -> tuple[Line, ...]:
    """Return the lines as an entry leaves them. With the start of a session, what was loose or ahead is settled."""
    line = line_of(lines, evse, connector)
    if line is None:
        if account.register_wh is None:
            return lines
        new = Line(evse=evse, connector=connector, wh=account.register_wh, at=at)
        return (*lines, new)[-most:]
    changed = _moved(line, account, at)
    if begins and at >= line.at:
        changed = replace(changed, loose_wh=0, ahead_wh=0, other_wh=None)
    return tuple(changed if other is line else other for other in lines)


def _moved(line: Line, account: Account, at: datetime) -> Line:
    if account.register_wh is None:
        ahead = line.ahead_wh + account.delivered_wh
        return replace(line, ahead_wh=max(0, ahead), loose_wh=line.loose_wh + account.unattributed_wh)
    rise = max(0, account.register_wh - line.wh)
    return replace(
        line,
        wh=account.register_wh,
        at=max(at, line.at),
        ahead_wh=max(0, line.ahead_wh - max(0, rise - account.delivered_wh)),
        loose_wh=line.loose_wh + account.unattributed_wh,
    )


def settled(
    lines: tuple[Line, ...], evse: int, connector: int, *, began: bool, other_wh: int | None = None
) -> tuple[Line, ...]:
    """Return the lines after a session that is not on them has begun, or ended at a register of its own."""
    line = line_of(lines, evse, connector)
    if line is None:
        return lines
    changed = replace(line, loose_wh=0, ahead_wh=0) if began else replace(line, other_wh=other_wh)
    return tuple(changed if other is line else other for other in lines)
