"""The state of a station as its events leave it."""

from typing import Any

from msgspec.structs import asdict, replace

from contracts.event import Event, SessionId, TransactionId
from contracts.sessions import (
    AnswerOwed,
    DecisionHeardEarly,
    EnergyDelivered,
    ReadingsTaken,
    SessionAuthorized,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRenamed,
    SessionStarted,
    StartRepeated,
    StopAuthorized,
    StopRepeated,
)
from services.sessions import meter, past
from services.sessions.state import (
    CLOSED,
    ENDED,
    FRAMES,
    LONGEST_TRANSACTION,
    NAMES,
    REPORTS,
    WAITING,
    Begun,
    Charging,
    Closed,
    Early,
    Ended,
    Owed,
    Presumed,
    Quarantined,
    Station,
)

initial = Station()


def evolve(state: Station, event: Event) -> Station:
    """Return the station as `event` left it. Who is charging follows from its sessions, and changes nothing more."""
    match event:
        case SessionStarted():
            return _noted(_begun(state, event), event)
        case SessionAuthorized():
            return _authorized(state, event)
        case SessionRenamed():
            return _renamed(state, event)
        case EnergyDelivered():
            return _delivered(state, event)
        case SessionEnded() | SessionCorrected():
            return _noted(_ended(state, event), event)
        case SessionPresumedEnded():
            return _presumed(state, event)
        case SessionQuarantined():
            return _noted(_quarantined(state, event), event)
        case StartRepeated() | StopRepeated():
            return _noted(state, event)
        case AnswerOwed():
            return replace(state, owed=(*state.owed, _owed(event))[-WAITING:])
        case StopAuthorized():
            return replace(state, owed=tuple(owed for owed in state.owed if owed.report != event.report))
        case DecisionHeardEarly():
            return replace(state, early=(*state.early, _early(event))[-WAITING:])
        case ReadingsTaken():
            return _taken(state, event)
        case _:
            return state


def _begun(state: Station, event: SessionStarted) -> Station:
    session = Charging(
        id=event.session,
        transaction=event.transaction,
        evse=event.evse,
        connector=event.connector,
        token=event.token,
        started_at=event.at,
        start_missing=event.meter_wh is None,
        start_wh=event.meter_wh,
    )
    ours = event.transaction == str(state.last + 1)
    return replace(
        state,
        last=state.last + 1 if ours else state.last,
        open=(*state.open, session),
        closed=tuple(other for other in state.closed if other.id != event.session),
        past=past.add(state.past, past.digest(event, event.meter_wh), event.session, event.transaction),
    )


def _authorized(state: Station, event: SessionAuthorized) -> Station:
    return replace(
        _with(state, event.session, info=event.info),
        past=past.tell(state.past, event.session, event.info.status),
        owed=tuple(owed for owed in state.owed if (owed.session, owed.purpose) != (event.session, "start")),
    )


def _renamed(state: Station, event: SessionRenamed) -> Station:
    state = replace(state, past=past.rename(state.past, event.session, event.transaction))
    session = state.session(event.session)
    if not isinstance(session, Begun):
        return state
    names = (*session.names, session.transaction)[-NAMES:]
    return _with(state, event.session, transaction=event.transaction, names=names)


def _delivered(state: Station, event: EnergyDelivered) -> Station:
    start_wh = event.meter_wh - event.energy_wh
    return _with(state, event.session, register_wh=event.meter_wh, start_wh=start_wh)


def _ended(state: Station, event: SessionEnded | SessionCorrected) -> Station:
    session = state.session(event.session)
    if not isinstance(session, Begun):
        return state
    guessed = event.transaction is not None and not session.is_called(event.transaction)
    ended = Ended(**_kept(session), stopped_at=event.at, stop_wh=event.meter_wh, guessed=guessed)
    return _closed(replace(state, past=past.stop(state.past, session.id)), ended)


def _presumed(state: Station, event: SessionPresumedEnded) -> Station:
    session = state.session(event.session)
    return _closed(state, Presumed(**_kept(session))) if isinstance(session, Begun) else state


def _kept(session: Begun) -> dict[str, Any]:
    return {name: value for name, value in asdict(session).items() if name in Begun.__struct_fields__}


def _quarantined(state: Station, event: SessionQuarantined) -> Station:
    stop = Quarantined(
        id=event.session,
        report=event.report,
        transaction=TransactionId(event.transaction[:LONGEST_TRANSACTION]),
        stopped_at=event.at,
        stop_wh=event.meter_wh,
        token=event.token,
        reason=event.reason,
    )
    return _closed(state, stop)


def _closed(state: Station, session: Closed) -> Station:
    closed = (*(other for other in state.closed if other.id != session.id), session)
    ended = [other for other in closed if isinstance(other, Ended)]
    if len(ended) > ENDED:
        closed = tuple(other for other in closed if other is not ended[0])
    still_open = tuple(other for other in state.open if other.id != session.id)
    return replace(state, open=still_open, closed=closed[-CLOSED:])


def _with(state: Station, id: SessionId, **changes: object) -> Station:
    """Return the state with changes of one session, wherever it is."""
    return replace(
        state,
        open=tuple(replace(s, **changes) if s.id == id else s for s in state.open),
        closed=tuple(replace(s, **changes) if s.id == id and isinstance(s, Begun) else s for s in state.closed),
    )


Noted = SessionStarted | SessionEnded | SessionCorrected | SessionQuarantined | StartRepeated | StopRepeated


def _noted(state: Station, event: Noted) -> Station:
    """Return the state with a report heard: what was decided early about it has been used."""
    if state.reported(event.report) is not None:
        return state
    return replace(
        state,
        reports=(*state.reports, (event.report, event.session))[-REPORTS:],
        early=tuple(early for early in state.early if early.report != event.report),
    )


def _owed(event: AnswerOwed) -> Owed:
    return Owed(
        report=event.report,
        session=event.session,
        purpose=event.purpose,
        message_id=event.message_id,
        gateway=event.gateway,
        reply_to=event.reply_to,
        epoch=event.epoch,
    )


def _early(event: DecisionHeardEarly) -> Early:
    return Early(
        report=event.report,
        at=event.at,
        purpose=event.purpose,
        info=event.info,
        undecided=event.undecided,
        transaction=event.transaction,
    )


def _taken(state: Station, event: ReadingsTaken) -> Station:
    heard = meter.digest(event.evse, event.connector, event.transaction, event.readings)
    return replace(
        state,
        frames=(state.frames + heard)[-FRAMES * len(heard) :],
        open=tuple(
            replace(s, newest=meter.renewed(s.newest, event.readings)) if s.id == event.session else s
            for s in state.open
        ),
    )
