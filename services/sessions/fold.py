"""The state of a station as its events leave it."""

from datetime import datetime
from typing import Any

from msgspec.structs import asdict, replace

from contracts.event import Event, OfStation, SessionId, TransactionId
from contracts.sessions import (
    AnswerOwed,
    ClockEstimated,
    DecisionHeardEarly,
    EnergyDelivered,
    EnergyUnattributed,
    MeterFellSilent,
    MeterWatched,
    ReadingsTaken,
    RepairRefused,
    SessionAlive,
    SessionAuthorized,
    SessionCorrected,
    SessionEnded,
    SessionPresumedEnded,
    SessionQuarantined,
    SessionRenamed,
    SessionRepaired,
    SessionStarted,
    SessionSuspected,
    StartRepeated,
    StopAuthorized,
    StopRepeated,
)
from services.sessions import clocks, ledger, meter, past, samples, strangers
from services.sessions.state import (
    CLOSED,
    ENDED,
    FRAMES,
    LINES,
    LONGEST_TRANSACTION,
    MARKS,
    NAMES,
    REPAIRS,
    REPORTS,
    SILENCE,
    WAITING,
    Begun,
    Charging,
    Closed,
    Discarded,
    Early,
    Ended,
    Guess,
    Owed,
    Presumed,
    Quarantined,
    Settled,
    Station,
)

initial = Station()
LASTING = frozenset({"adopted", "clock_suspect", "clock_behind", "clock_set_back", "review"})
"""What is said of a start and holds for its session."""
NEAR = 1000
"""An id that a station names itself, and that is so near those that we give, is not given again."""


def evolve(state: Station, event: Event) -> Station:
    """Return the station as `event` left it. Who is charging follows from its sessions, and changes nothing more."""
    after = _changed(state, event)
    lines = _lines(state, event)
    if lines is not state.lines:
        after = replace(after, lines=lines)
    if not after.station and after is not state and isinstance(event, OfStation):
        after = replace(after, tenant=event.tenant, station=event.station)
    return after


def _changed(state: Station, event: Event) -> Station:
    match event:
        case SessionStarted():
            return _noted(_begun(_lagged(state, event.heard_at, event.said_at or event.at), event), event)
        case ClockEstimated():
            return replace(state, behind_s=event.behind_s)
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
        case SessionSuspected():
            return _with(state, event.session, suspected=event.why, until=event.until)
        case SessionAlive():
            return _with(state, event.session, suspected="", until=event.until, lively=False)
        case MeterWatched():
            return _with(state, event.session, meter_until=event.until, metered=False)
        case MeterFellSilent():
            return _with(state, event.session, meter_until=None)
        case SessionRepaired():
            return _repaired(state, event)
        case RepairRefused():
            return _asked(state, event)
        case _:
            return state


def _lines(state: Station, event: Event) -> tuple[ledger.Line, ...]:
    """Return the registers of the connectors as an entry in the ledger, or a session that is not on them, leaves them."""
    match event:
        case SessionStarted(account=None):
            late = any(line.at > event.at for line in state.lines if _is_at(line, event))
            lines = state.lines
            return lines if late else ledger.settled(lines, event.evse, event.connector, began=True)
        case SessionStarted(account=account) | EnergyUnattributed(account=account) if account is not None:
            begins = isinstance(event, SessionStarted)
            return ledger.after(state.lines, event.evse, event.connector, event.at, account, begins=begins, most=LINES)
        case EnergyDelivered() | SessionEnded() | SessionCorrected() | SessionPresumedEnded() | SessionRepaired():
            return _accounted(state, event)
        case SessionQuarantined(account=account) if account is not None and account.register_wh is not None:
            line = state.lines[0]
            return ledger.after(state.lines, line.evse, line.connector, event.at, account, begins=False, most=LINES)
        case _:
            return state.lines


def _lagged(state: Station, heard_at: datetime | None, said_at: datetime) -> Station:
    return state if heard_at is None else replace(state, lags=clocks.noted(state.lags, clocks.lag(heard_at, said_at)))


def _is_at(line: ledger.Line, event: SessionStarted) -> bool:
    return (line.evse, line.connector) == (event.evse, event.connector)


def _accounted(
    state: Station,
    event: EnergyDelivered | SessionEnded | SessionCorrected | SessionPresumedEnded | SessionRepaired,
) -> tuple[ledger.Line, ...]:
    session, lines = state.session(event.session), state.lines
    if not isinstance(session, Begun):
        return lines
    if event.account is not None:
        lines = ledger.after(lines, session.evse, session.connector, event.at, event.account, begins=False, most=LINES)
    if isinstance(event, SessionEnded) and not session.on_line and isinstance(session, Charging):
        lines = ledger.settled(lines, session.evse, session.connector, began=False, other_wh=event.meter_wh)
    return lines


def _begun(state: Station, event: SessionStarted) -> Station:
    session = Charging(
        id=event.session,
        transaction=event.transaction,
        evse=event.evse,
        connector=event.connector,
        token=event.token,
        started_at=event.at,
        said_at=event.said_at,
        heard_at=event.heard_at,
        site=event.site,
        time_zone=event.time_zone,
        start_missing=event.meter_wh is None,
        start_wh=event.meter_wh,
        max_w=event.max_w,
        start_flags=tuple(flag for flag in event.flags if flag in LASTING),
        on_line=event.account is not None,
        marked_before=state.marked,
        until=None if event.heard_at is None else event.heard_at + SILENCE,
    )
    number = past.number(event.transaction)
    return replace(
        state,
        last=number if 0 < number - state.last <= NEAR else state.last,
        open=(*state.open, session),
        closed=tuple(other for other in state.closed if other.id != event.session),
        past=past.add(state.past, past.digest(event, event.said_at, event.meter_wh), event.session, event.transaction),
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
    former = dict.fromkeys((*session.names, session.transaction))
    names = tuple(name for name in former if name != event.transaction)[-NAMES:]
    return _with(state, event.session, transaction=event.transaction, names=names)


def _delivered(state: Station, event: EnergyDelivered) -> Station:
    """The readings that it follows from have been heard before it; where they are gone, its registers stand in."""
    session = state.session(event.session)
    if not isinstance(session, Begun):
        return state
    told: dict[str, Any] = {"told_wh": event.energy_wh}
    if session.energy_wh != event.energy_wh and event.meter_wh is not None:
        told |= {"register_wh": event.meter_wh, "start_wh": event.meter_wh - event.energy_wh}
        told |= {"base_wh": None, "gained_wh": 0, "fallen": None, "leapt": None}
    return _with(state, event.session, **told)


def _ended(state: Station, event: SessionEnded | SessionCorrected) -> Station:
    session = state.session(event.session)
    if not isinstance(session, Begun):
        return state
    named = event.transaction is not None and session.is_called(event.transaction)
    repaired = "repaired" in event.flags
    guessed = repaired or (event.transaction is not None and not named)
    guess = Guess(report=event.report, reason=event.reason, token=event.token) if guessed and not repaired else None
    name = TransactionId((event.transaction or "")[:LONGEST_TRANSACTION] if guessed else "")
    kept = _kept(session) | {"told_wh": session.told if event.energy_wh is None else event.energy_wh}
    if event.started_at is not None:
        kept |= {"started_at": event.started_at, "said_at": session.since}
    ended = Ended(
        **kept,
        stopped_at=event.at,
        stop_wh=event.meter_wh,
        guessed=guessed,
        stop_said_at=event.said_at,
        stop_name=name,
        guess=guess,
    )
    return _closed(replace(state, past=past.stop(state.past, session.id)), ended)


def _presumed(state: Station, event: SessionPresumedEnded) -> Station:
    session = state.session(event.session)
    if not isinstance(session, Begun):
        return state
    told = session.told if event.energy_wh is None else event.energy_wh
    return _closed(state, Presumed(**_kept(session) | {"told_wh": told}))


def _repaired(state: Station, event: SessionRepaired) -> Station:
    """Return the station with what a repair has made of its own session. The end of one comes as its own event."""
    state, session = _asked(state, event), state.session(event.session)
    match session:
        case Quarantined():
            settled = Settled(
                id=session.id,
                session=event.to or session.id,
                transaction=session.transaction,
                said=session.said,
                stop_wh=session.stop_wh,
            )
            return _closed(state, settled)
        case Begun() if event.action == "discard":
            discarded = Discarded(**_kept(session) | {"told_wh": 0})
            return _closed(replace(state, past=past.stop(state.past, session.id)), discarded)
        case _:
            return state


def _asked(state: Station, event: SessionRepaired | RepairRefused) -> Station:
    if any(id == event.repair for id, _ in state.repairs):
        return state
    return replace(state, repairs=(*state.repairs, (event.repair, event.fingerprint[:LONGEST_TRANSACTION]))[-REPAIRS:])


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
        said_at=event.said_at,
        energy_wh=event.energy_wh,
        on_line=event.account is not None and event.account.register_wh is not None,
    )
    return _closed(state, stop)


def _closed(state: Station, session: Closed) -> Station:
    closed = (*(other for other in state.closed if other.id != session.id), session)
    ended = [other for other in closed if isinstance(other, Ended)]
    if len(ended) > ENDED:
        closed = tuple(other for other in closed if other is not ended[0])
    still_open = tuple(other for other in state.open if other.id != session.id)
    return replace(state, open=still_open, closed=closed[-CLOSED:], marks=state.marks if still_open else b"")


def _with(state: Station, id: SessionId, **changes: object) -> Station:
    """Return the state with changes of one session, wherever it is."""
    closed = {name: value for name, value in changes.items() if name in Begun.__struct_fields__}
    return replace(
        state,
        open=tuple(replace(s, **changes) if s.id == id else s for s in state.open),
        closed=tuple(replace(s, **closed) if s.id == id and isinstance(s, Begun) else s for s in state.closed),
    )


Noted = SessionStarted | SessionEnded | SessionCorrected | SessionQuarantined | StartRepeated | StopRepeated


def _noted(state: Station, event: Noted) -> Station:
    """Return the state with a report heard: what was decided early about it has been used."""
    if not isinstance(event, StartRepeated | StopRepeated):
        state = strangers.known_now(state, event)
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
    heard = samples.digest(event.evse, event.connector, event.transaction, event.readings)
    state = strangers.noted(_lagged(state, event.heard_at, samples.newest(event.readings)), event)
    if event.session is not None and any(s.id == event.session for s in state.open):
        more = samples.marked(event.session, event.readings)
        state = replace(state, marks=(state.marks + more)[-4 * MARKS :], marked=state.marked + len(more) // 4)
    return replace(
        state,
        frames=(state.frames + heard)[-FRAMES * len(heard) :],
        open=tuple(_read(s, event) if s.id == event.session else s for s in state.open),
    )


def _read(session: Charging, event: ReadingsTaken) -> Charging:
    newest = samples.renewed(session.newest, event.readings)
    return replace(meter.watched(session, event.readings, session.since), newest=newest, lively=True, metered=True)
