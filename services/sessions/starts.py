"""What a start causes: one session, however often the station says it (X-01, X-10, X-14, X-20, X-30)."""

from datetime import timedelta
from functools import reduce
from typing import Any, TypeVar

from msgspec.structs import replace

from contracts.authorizations import TokenInfo
from contracts.event import Event, Instant, OfStation, SessionId, TransactionId, derived_id
from contracts.sessions import (
    Account,
    AnswerOwed,
    ClockEstimated,
    SessionEnded,
    SessionPresumedEnded,
    SessionStarted,
    StartRepeated,
)
from contracts.stations import TransactionStarted
from services.sessions import clocks, ledger, meter, past
from services.sessions.decisions import charging_over, decided, start_answered
from services.sessions.fold import evolve
from services.sessions.heard import Heard, can_wait
from services.sessions.ledger import Move, Place
from services.sessions.meter import Meter, known
from services.sessions.past import Past
from services.sessions.state import OPEN, Begun, Charging, Owed, Quarantined, Station

Start = Heard[TransactionStarted]
E = TypeVar("E", bound=OfStation)

ROUNDED = timedelta(seconds=1)
"""What a station has kept for its retry may be in whole seconds."""
RETRY = timedelta(minutes=10)
"""How long a station may repeat a start under another time (Q-105)."""


def session_of(report: str) -> SessionId:
    """Return the id of the session that a report begins."""
    return SessionId(derived_id(report, "sessions", "session"))


def start(state: Station, heard: Start) -> list[Event]:
    """Return what a start causes, and what was decided about it before it was heard."""
    if state.reported(heard.id) is not None:
        return []
    heard, clock = told_by(state, heard, heard.event.at)
    said_before = _said_before(state, heard)
    if said_before is None:
        events = [*clock, *_began(state, heard)]
    else:
        events = _repeated(state, heard, said_before[0], differs=said_before[1])
    for decision in state.early_for(heard.id):
        events += decided(reduce(evolve, events, state), decision, heard.event)
    return events


def told_by(state: Station, heard: Heard[E], said_at: Instant) -> tuple[Heard[E], list[Event]]:
    """Return what was heard with the time that it must have happened at, and what that shows of the station's clock.

    `said_at` is the newest moment that it tells of. A time that the gateway put there says nothing of a clock.
    """
    if heard.heard_at is None or getattr(heard.event, "at_is_ours", False):
        return heard, []
    found = clocks.news(state.lags, state.behind_s, clocks.lag(heard.heard_at, said_at))
    right = clocks.corrected(heard, state.behind_s if found is None else found)
    if found is None:
        return right, []
    said = heard.event
    return right, [
        ClockEstimated(at=heard.heard_at, tenant=said.tenant, station=said.station, behind_s=found),
    ]


def _said_before(state: Station, heard: Start) -> tuple[Past, bool] | None:
    """Return the start that this one repeats, and whether under another time (X-10, Q-105)."""
    said = heard.event
    if found := past.find(state.past, past.digest(said, heard.said_at, known(said.meter_wh))):
        return found, False
    session = state.open_at(said.evse, said.connector)
    if session is None or not _is_retry(session, heard):
        return None
    status = None if session.info is None else session.info.status
    return Past(session.id, session.transaction, status), not said.at_is_ours


def _is_retry(session: Charging, heard: Start) -> bool:
    """Return whether nothing but its time tells a start from the one of a session in which nothing has happened yet."""
    said = heard.event
    moved = session.shown_wh not in {None, session.start_wh}
    same = (session.token, session.start_wh) == (said.token, known(said.meter_wh)) and not moved
    if said.at_is_ours or not same:
        return same
    later = (heard.said_at or said.at) - session.since
    return session.start_wh is not None and -ROUNDED < later <= RETRY


def _repeated(state: Station, heard: Start, before: Past, *, differs: bool) -> list[Event]:
    said = heard.event
    repeated = StartRepeated(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=before.session,
        report=heard.id,
        differs=differs,
    )
    session = state.session(before.session)
    name = before.transaction or said.transaction
    info = session.info if isinstance(session, Begun) else None
    if info is None and before.status is not None:
        info = TokenInfo(before.status)
    return [repeated, *_answer(state, heard, before.session, name, info)]


def _answer(
    state: Station, heard: Start, session: SessionId, name: TransactionId | None, info: TokenInfo | None
) -> list[Event]:
    """Return the answer, or that it is owed; nothing where the gateway has answered by itself."""
    if any(early.undecided for early in state.early_for(heard.id)) or not can_wait(heard.event):
        return []
    to = _owed(heard, session)
    if info is None or name is None:
        return [_owing(heard, to)]
    return [start_answered(to, name, info, heard.event.at, heard.event)]


def _owed(heard: Start, session: SessionId) -> Owed:
    said = heard.event
    return Owed(
        report=heard.id,
        session=session,
        purpose="start",
        message_id=said.message_id,
        gateway=said.gateway,
        reply_to=said.reply_to,
        epoch=said.epoch,
    )


def _owing(heard: Start, to: Owed) -> AnswerOwed:
    return AnswerOwed(
        at=heard.event.at,
        tenant=heard.event.tenant,
        station=heard.event.station,
        session=to.session,
        report=to.report,
        purpose=to.purpose,
        message_id=to.message_id,
        gateway=to.gateway,
        reply_to=to.reply_to,
        epoch=to.epoch,
    )


def _began(state: Station, heard: Start) -> list[Event]:
    """Return a new session, whatever the token is worth, and what that says of others."""
    said = heard.event
    stop = _stop_heard_before(state, heard)
    session = session_of(heard.id) if stop is None else stop.id
    name = said.transaction or TransactionId(str(state.last + 1))
    if stop is not None:
        started = _started(state, heard, session, name, "paired")
        return [started, _ended(state, started, stop), *_answer(state, heard, session, name, None)]
    over, set_back = _over_before(state, heard)
    after = reduce(evolve, over, state)
    started = _started(after, heard, session, name, *(["clock_set_back"] if set_back else []))
    owed = _answer(state, heard, session, name, None)
    return [*over, started, *(() if set_back else _over_already(state, started)), *owed]


def _started(state: Station, heard: Start, session: SessionId, name: TransactionId, *flags: str) -> SessionStarted:
    said, meter_wh = heard.event, known(heard.event.meter_wh)
    place = Place(said.evse, said.connector, heard.site, heard.time_zone, heard.max_w)
    line = ledger.line_of(state.lines, said.evse, said.connector)
    return SessionStarted(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session,
        report=heard.id,
        transaction=name,
        evse=said.evse,
        connector=said.connector,
        token=said.token,
        masked_uid=said.masked_uid,
        meter_wh=meter_wh,
        reservation=said.reservation,
        site=heard.site,
        time_zone=heard.time_zone,
        offline=heard.offline,
        flags=(
            *(["meter_start_missing"] if meter_wh is None else []),
            *clock_flags(heard),
            *flags,
        ),
        heard_at=heard.heard_at,
        said_at=heard.said_at,
        max_w=heard.max_w,
        account=ledger.begun(line, place, said.at, meter_wh),
    )


def clock_flags(heard: Heard[Any]) -> list[str]:
    if heard.said_at is None:
        return []
    return ["clock_behind" if heard.behind else "clock_suspect"]


def _stop_heard_before(state: Station, heard: Start) -> Quarantined | None:
    """Return the stop without a start that this start must belong to: the only one that fits (X-14)."""
    fitting = [stop for stop in state.closed if isinstance(stop, Quarantined) and _fits(stop, heard)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(stop: Quarantined, heard: Start) -> bool:
    said, meter_wh = heard.event, known(heard.event.meter_wh)
    risen = stop.stop_wh is None or meter_wh is None or stop.stop_wh >= meter_wh
    in_order = (heard.said_at or said.at) <= stop.said or said.at <= stop.stopped_at
    return in_order and stop.token in {None, said.token} and risen


def _ended(state: Station, started: SessionStarted, stop: Quarantined) -> SessionEnded:
    times = started.at, started.said_at, stop.stopped_at, stop.said_at
    begun = Meter(start_wh=started.meter_wh, max_w=started.max_w)
    energy = meter.ended(begun, stop.stop_wh, clocks.lasted(*times))
    place = Place(started.evse, started.connector, started.site, started.time_zone, started.max_w)
    line = ledger.line_of(state.lines, started.evse, started.connector)
    return SessionEnded(
        at=stop.stopped_at,
        tenant=started.tenant,
        station=started.station,
        session=stop.id,
        report=stop.report,
        reason=stop.reason,
        meter_wh=energy.meter_wh,
        energy_wh=energy.energy_wh,
        token=stop.token,
        flags=(*started.flags, *energy.flags),
        transaction=stop.transaction,
        said_at=stop.said_at,
        started_at=clocks.began_at(*times),
        energy_source=energy.source,
        account=released(line, place, stop, energy.energy_wh or 0, started, energy.meter_wh),
    )


def released(
    line: ledger.Line | None,
    place: Place,
    stop: Quarantined,
    energy_wh: int,
    started: SessionStarted,
    meter_wh: int | None,
) -> Account | None:
    """Return what it moves that a stop leaves quarantine for the session that now begins with its start.

    What had moved the connector's register stays delivered; any other evidence is replaced by the session's own.
    """
    held = stop.energy_wh or 0
    after = ledger.opened(line, place, started)
    if stop.on_line:
        return ledger.moved(after, place, Move(energy_wh, quarantined=-held, on_line=True))
    register = meter_wh if started.account is not None else None
    found = ledger.moved(after, place, Move(energy_wh, register))
    if not held:
        return found
    found = found or Account(site=place.site, time_zone=place.time_zone)
    return replace(found, delivered_wh=found.delivered_wh - held, quarantined_wh=-held)


def _over_before(state: Station, heard: Start) -> tuple[list[Event], bool]:
    """Return the end of what a new start shows to be over, and whether that has the later time (X-20, X-43).

    It is the session on its connector, or the oldest of too many. Where the clock says that it is the newer one, but the
    register has risen since, the clock has been set back.
    """
    said = heard.event
    busy = state.open_at(said.evse, said.connector)
    if busy is None and len(state.open) >= OPEN:
        busy = state.open[0]
    elif busy is not None and said.at < busy.started_at:
        last, meter_wh = (busy.start_wh if busy.shown_wh is None else busy.shown_wh), known(said.meter_wh)
        if last is None or meter_wh is None or meter_wh <= last or busy.relative:
            return [], False
        flags = "clock_set_back"
        return [
            presumed(state, busy, busy.started_at, "NewTransaction", flags),
            *charging_over(busy, said.at, said),
        ], True
    if busy is None:
        return [], False
    return [presumed(state, busy, said.at, "NewTransaction"), *charging_over(busy, said.at, said)], False


def presumed(state: Station, session: Charging, at: Instant, reason: str, *flags: str) -> SessionPresumedEnded:
    """Return that a session must be over, with the energy that its samples show."""
    energy_wh, shown = session.energy_wh, session.shown_wh
    register = shown if session.on_line and session.source in ledger.ON_LINE else None
    place = place_of(session)
    line = ledger.line_of(state.lines, session.evse, session.connector)
    attributed = 0 if energy_wh is None else energy_wh - (session.told or 0)
    return SessionPresumedEnded(
        at=at,
        tenant=state.tenant,
        station=state.station,
        session=session.id,
        reason=reason,
        meter_wh=session.start_wh if shown is None or session.relative else shown,
        energy_wh=energy_wh,
        flags=flags,
        energy_source=session.source,
        account=ledger.moved(line, place, Move(attributed, register, on_line=session.on_line)) if attributed else None,
    )


def place_of(session: Begun) -> Place:
    return Place(session.evse, session.connector, session.site, session.time_zone, session.max_w)


def _over_already(state: Station, started: SessionStarted) -> list[Event]:
    """Return the end of a session that is reported late, when its connector has begun another since."""
    later = state.open_at(started.evse, started.connector)
    if later is None or later.started_at <= started.at:
        return []
    over = SessionPresumedEnded(
        at=later.started_at,
        tenant=started.tenant,
        station=started.station,
        session=started.session,
        reason="NewTransaction",
        meter_wh=started.meter_wh,
    )
    return [over]
