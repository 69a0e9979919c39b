"""What a person puts right: a stop in quarantine is attached, a session ended, or either discarded. All of it is on record."""

from typing import Literal

from contracts.commands import Attach, Discard, End, SessionRepairRequested
from contracts.event import Event, SessionId
from contracts.sessions import Account, RepairRefusal, RepairRefused, SessionCorrected, SessionEnded, SessionRepaired
from services.sessions import ledger, stops
from services.sessions.decisions import charging_over
from services.sessions.heard import Heard
from services.sessions.ledger import Place
from services.sessions.starts import place_of
from services.sessions.state import (
    LONGEST_TRANSACTION,
    Begun,
    Charging,
    Ended,
    Presumed,
    Quarantined,
    Session,
    Station,
)

Asked = Heard[SessionRepairRequested]


def repair(state: Station, heard: Asked) -> list[Event]:
    """Return what a repair causes. Asked for again, it is done already; another one under its id is refused."""
    asked = heard.event
    known = next((fingerprint for id, fingerprint in state.repairs if id == asked.repair), None)
    if known is not None:
        again = known == asked.fingerprint[:LONGEST_TRANSACTION]
        return (
            [] if again else [_refused(asked, "idempotency_key_reused", "use a new Idempotency-Key for another repair")]
        )
    match asked.do:
        case Attach(to=to):
            return _attach(state, heard, to)
        case End():
            return _end(state, heard, asked.do)
        case Discard():
            return _discard(state, heard)


def _attach(state: Station, heard: Asked, to: SessionId) -> list[Event]:
    asked = heard.event
    stop, found = state.session(asked.session), state.session(to)
    if stop is None:
        return [_unknown(asked)]
    if not isinstance(stop, Quarantined):
        return [_refused(asked, "not_in_quarantine", "only a stop in quarantine can be attached")]
    if found is None or isinstance(found, Quarantined):
        return [_refused(asked, "unknown_target", "no session of this station that is remembered has the id `to`")]
    target = _endable(found)
    if target is None:
        return [_refused(asked, "wrong_state", "the session `to` has ended by a stop of its own, or was discarded")]
    end = stops.End(
        at=stop.stopped_at,
        said_at=stop.said_at,
        report=stop.report,
        transaction=stop.transaction,
        reason=stop.reason,
        reason_said="",
        token=stop.token,
        masked_uid="",
        meter_wh=stop.stop_wh,
        flags=("repaired",),
    )
    if refusal := _impossible(asked, target, end):
        return [refusal]
    before = target.told
    freed = _freed(stop, Place(0, 0, heard.site, heard.time_zone), attached=True)
    over = _over(state, target, end)
    done = _repaired(asked, before=before, after=over.energy_wh, account=freed, to=to)
    return [done, over, *_nobody_charges(target, over)]


def _end(state: Station, heard: Asked, do: End) -> list[Event]:
    asked = heard.event
    found = state.session(asked.session)
    if found is None:
        return [_unknown(asked)]
    session = _endable(found)
    if session is None:
        return [_refused(asked, "wrong_state", "only a session that no stop of its own has ended can be ended")]
    end = stops.End(
        at=do.ended_at,
        said_at=None,
        report=heard.id,
        transaction=None,
        reason="Other",
        reason_said="",
        token=None,
        masked_uid="",
        meter_wh=do.meter_wh,
        flags=("repaired",),
    )
    if refusal := _impossible(asked, session, end):
        return [refusal]
    over = _over(state, session, end)
    done = _repaired(asked, before=session.told, after=over.energy_wh)
    return [done, over, *_nobody_charges(session, over)]


def _discard(state: Station, heard: Asked) -> list[Event]:
    asked = heard.event
    match state.session(asked.session):
        case Quarantined() as stop:
            freed = _freed(stop, Place(0, 0, heard.site, heard.time_zone), attached=False)
            return [_repaired(asked, before=stop.energy_wh, after=0, account=freed)]
        case Charging() | Presumed() | Ended() as session:
            told = session.told
            freed = ledger.entry(place_of(session), attributed=-(told or 0))
            done = _repaired(asked, before=told, after=0, account=freed)
            return [done, *_nobody_charges(session, done)]
        case None:
            return [_unknown(asked)]
        case _:
            return [_refused(asked, "wrong_state", "it has been discarded or attached already")]


def _endable(session: Session) -> Begun | None:
    """Return a session that nobody but a guess, or nothing at all, has ended."""
    match session:
        case Charging() | Presumed() | Ended(guessed=True):
            return session
        case _:
            return None


def _impossible(asked: SessionRepairRequested, session: Begun, end: stops.End) -> RepairRefused | None:
    if end.at < session.started_at:
        began = session.started_at.isoformat()
        return _refused(asked, "ends_before_start", f"it began at {began}: it cannot have ended before")
    if end.meter_wh is not None and session.start_wh is not None and end.meter_wh < session.start_wh:
        detail = f"its register began at {session.start_wh} Wh: leave the register out, or name a higher one"
        return _refused(asked, "meter_went_back", detail)
    return None


def _over(state: Station, session: Begun, end: stops.End) -> SessionEnded | SessionCorrected:
    if isinstance(session, Charging):
        return stops.over(state, session, end, SessionEnded)
    return stops.over(state, session, end, SessionCorrected)


def _nobody_charges(session: Begun, event: SessionEnded | SessionCorrected | SessionRepaired) -> list[Event]:
    return charging_over(session, event.at, event) if isinstance(session, Charging) else []


def _freed(stop: Quarantined, place: Place, *, attached: bool) -> Account | None:
    """Return what it moves that a stop leaves quarantine: to nobody, or to a session that has evidence of its own."""
    held = stop.energy_wh or 0
    kept = stop.on_line or not attached
    return ledger.entry(place, delivered=0 if kept else -held, quarantined=-held)


def _repaired(
    asked: SessionRepairRequested,
    *,
    before: int | None,
    after: int | None,
    account: Account | None = None,
    to: SessionId | None = None,
) -> SessionRepaired:
    return SessionRepaired(
        at=asked.at,
        tenant=asked.tenant,
        station=asked.station,
        session=asked.session,
        repair=asked.repair,
        action=_action(asked),
        to=to,
        reason=asked.reason,
        requested_by=asked.requested_by,
        fingerprint=asked.fingerprint,
        energy_before_wh=before,
        energy_after_wh=after,
        account=account,
    )


def _unknown(asked: SessionRepairRequested) -> RepairRefused:
    return _refused(asked, "unknown_session", "no session of this station that is remembered has this id")


def _refused(asked: SessionRepairRequested, reason: RepairRefusal, detail: str) -> RepairRefused:
    return RepairRefused(
        at=asked.at,
        tenant=asked.tenant,
        station=asked.station,
        session=asked.session,
        repair=asked.repair,
        action=_action(asked),
        reason=reason,
        detail=detail,
        requested_by=asked.requested_by,
        fingerprint=asked.fingerprint,
    )


def _action(asked: SessionRepairRequested) -> Literal["attach", "end", "discard"]:
    match asked.do:
        case Attach():
            return "attach"
        case End():
            return "end"
        case Discard():
            return "discard"
