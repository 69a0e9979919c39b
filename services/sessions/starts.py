"""What a start causes: one session, however often the station says it (X-01, X-10, X-14, X-20, X-30)."""

from functools import reduce

from contracts.authorizations import TokenInfo
from contracts.event import Event, SessionId, TransactionId, derived_id
from contracts.sessions import (
    AnswerOwed,
    SessionEnded,
    SessionPresumedEnded,
    SessionStarted,
    StartRepeated,
)
from contracts.stations import TransactionStarted
from services.sessions import past
from services.sessions.decisions import charging_over, decided, start_answered
from services.sessions.fold import evolve
from services.sessions.heard import Heard, can_wait
from services.sessions.meter import Span, known
from services.sessions.past import Past
from services.sessions.state import OPEN, Begun, Charging, Owed, Quarantined, Station

Start = Heard[TransactionStarted]


def session_of(report: str) -> SessionId:
    """Return the id of the session that a report begins."""
    return SessionId(derived_id(report, "sessions", "session"))


def start(state: Station, heard: Start) -> list[Event]:
    """Return what a start causes, and what was decided about it before it was heard."""
    if state.reported(heard.id) is not None:
        return []
    said_before = _said_before(state, heard.event)
    events = _began(state, heard) if said_before is None else _repeated(state, heard, said_before)
    for decision in state.early_for(heard.id):
        events += decided(reduce(evolve, events, state), decision, heard.event)
    return events


def _said_before(state: Station, said: TransactionStarted) -> Past | None:
    if found := past.find(state.past, past.digest(said, known(said.meter_wh))):
        return found
    session = state.open_at(said.evse, said.connector)
    if session is None or not said.at_is_ours:
        return None
    moved = session.register_wh not in {None, session.start_wh}
    same = (session.token, session.start_wh) == (said.token, known(said.meter_wh)) and not moved
    status = None if session.info is None else session.info.status
    return Past(session.id, session.transaction, status) if same else None  # no time tells it from the first


def _repeated(state: Station, heard: Start, before: Past) -> list[Event]:
    said = heard.event
    repeated = StartRepeated(
        at=said.at, tenant=said.tenant, station=said.station, session=before.session, report=heard.id
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
    stop = _stop_heard_before(state, said)
    session = session_of(heard.id) if stop is None else stop.id
    name = said.transaction or TransactionId(str(state.last + 1))
    started = _started(heard, session, name, paired=stop is not None)
    owed = _answer(state, heard, session, name, None)
    if stop is not None:
        return [started, _ended(started, stop), *owed]
    return [*_over_before(state, said), started, *_over_already(state, started), *owed]


def _started(heard: Start, session: SessionId, name: TransactionId, *, paired: bool) -> SessionStarted:
    said, meter_wh = heard.event, known(heard.event.meter_wh)
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
        flags=(*(["meter_start_missing"] if meter_wh is None else []), *(["paired"] if paired else [])),
    )


def _stop_heard_before(state: Station, said: TransactionStarted) -> Quarantined | None:
    """Return the stop without a start that this start must belong to: the only one that fits (X-14)."""
    fitting = [stop for stop in state.closed if isinstance(stop, Quarantined) and _fits(stop, said)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(stop: Quarantined, said: TransactionStarted) -> bool:
    meter_wh = known(said.meter_wh)
    risen = stop.stop_wh is None or meter_wh is None or stop.stop_wh >= meter_wh
    return said.at <= stop.stopped_at and stop.token in {None, said.token} and risen


def _ended(started: SessionStarted, stop: Quarantined) -> SessionEnded:
    energy = Span(started.meter_wh, None).ended(stop.stop_wh)
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
    )


def _over_before(state: Station, said: TransactionStarted) -> list[Event]:
    """Return the end of what a new start shows to be over: the session on its connector, or the oldest of too many."""
    busy = state.open_at(said.evse, said.connector)
    if busy is None and len(state.open) >= OPEN:
        busy = state.open[0]
    elif busy is not None and said.at < busy.started_at:
        busy = None
    return [] if busy is None else [_presumed(busy, said), *charging_over(busy, said.at, said)]


def _presumed(session: Charging, said: TransactionStarted) -> SessionPresumedEnded:
    span = session.span
    return SessionPresumedEnded(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        reason="NewTransaction",
        meter_wh=span.start_wh if span.register_wh is None else span.register_wh,
        energy_wh=span.energy_at(span.register_wh),
    )


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
