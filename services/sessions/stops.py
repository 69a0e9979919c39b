"""What a stop causes: the end of a session, or quarantine, and never nothing (X-11, X-12, X-33, X-45)."""

from functools import reduce
from typing import Literal, NamedTuple

from contracts.event import Event, SessionId
from contracts.sessions import (
    AnswerOwed,
    ReadingsTaken,
    SessionCorrected,
    SessionEnded,
    SessionQuarantined,
    StopRepeated,
)
from contracts.stations import Reading, TransactionEnded
from services.sessions import past
from services.sessions.decisions import charging_over, decided
from services.sessions.fold import evolve
from services.sessions.heard import Heard, can_wait
from services.sessions.meter import Energy, known, normalised, registers, unheard
from services.sessions.starts import session_of
from services.sessions.state import (
    LONGEST_TRANSACTION,
    Begun,
    Charging,
    Closed,
    Ended,
    Presumed,
    Quarantined,
    Session,
    Station,
    is_name,
)

Stop = Heard[TransactionEnded]
Readings = tuple[Reading, ...]

REASONS = {
    "DeAuthorized",
    "EmergencyStop",
    "EVDisconnected",
    "HardReset",
    "Local",
    "Other",
    "PowerLoss",
    "Reboot",
    "Remote",
    "SoftReset",
    "UnlockCommand",
}
"""OCPP 1.6 §7.36."""


class Forgotten(NamedTuple):
    """A session so long over that only its names are remembered, and that its stop has been heard."""

    id: SessionId


class Unmatched(NamedTuple):
    """No session can be told to be the one that a stop ends."""

    why: Literal["none_fits", "several_fit"]


def stop(state: Station, heard: Stop) -> list[Event]:
    """Return what a stop causes, and what was decided about its token before it was heard."""
    if state.reported(heard.id) is not None:
        return []
    match = matching(state, heard.event)
    session = session_of(heard.id) if isinstance(match, Unmatched) else match.id
    events = [*_effect(match, heard), *_owed(heard, session)]
    for decision in state.early_for(heard.id):
        events += decided(reduce(evolve, events, state), decision, heard.event)
    return events


def matching(state: Station, said: TransactionEnded) -> Session | Forgotten | Unmatched:
    """Return the session that a stop is about: by its id, by having been said before, or as the only one that fits (X-12)."""
    if named := state.called(said.transaction):
        return named
    if ended := next((session for session in state.closed if _says_again(session, said)), None):
        return ended
    if is_name(said.transaction) and (over := past.called(state.past, said.transaction)) and over.stopped:
        return Forgotten(over.session)
    candidates = [session for session in state.open if _fits(session, said)]
    if len(candidates) == 1:
        return candidates[0]
    return Unmatched("several_fit" if candidates else "none_fits")


def _says_again(session: Closed, said: TransactionEnded) -> bool:
    """Return whether a stop without an id of ours is the one that a session has ended with."""
    match session:
        case Presumed():
            return False
        case Quarantined():
            return session.transaction == said.transaction[:LONGEST_TRANSACTION] and _same(session, said)
        case Ended():
            return _same(session, said)


def _same(session: Ended | Quarantined, said: TransactionEnded) -> bool:
    return session.stopped_at == said.at and known(said.meter_wh) in {None, session.stop_wh}


def _fits(session: Charging, said: TransactionEnded) -> bool:
    meter_wh = known(said.meter_wh)
    risen = meter_wh is None or session.start_wh is None or meter_wh >= session.start_wh
    return session.started_at <= said.at and said.token in {None, session.token} and risen


def _effect(match: Session | Forgotten | Unmatched, heard: Stop) -> list[Event]:
    match match:
        case Charging():
            return [*_taken(match, heard), _ended(match, heard), *charging_over(match, heard.event.at, heard.event)]
        case Presumed():
            return [*_taken(match, heard), _corrected(match, heard)]
        case Ended(guessed=True) if match.is_called(heard.event.transaction) and not _same(match, heard.event):
            return [*_taken(match, heard), _corrected(match, heard)]
        case Ended() | Quarantined() | Forgotten():
            return [_repeated(match, heard)]
        case Unmatched():
            return _quarantined(match, heard)


def _taken(session: Begun, heard: Stop) -> list[Event]:
    said = heard.event
    newest = session.newest if isinstance(session, Charging) else {}
    readings = unheard(normalised(said.readings), newest)
    return _readings(heard, session.id, readings, session.evse, session.connector)


def _readings(heard: Stop, session: SessionId, readings: Readings, evse: int, connector: int) -> list[Event]:
    if not readings:
        return []
    said = heard.event
    taken = ReadingsTaken(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        report=heard.id,
        evse=evse,
        connector=connector,
        session=session,
        transaction=said.transaction,
        readings=readings,
    )
    return [taken]


def _ended(session: Begun, heard: Stop) -> SessionEnded:
    said = heard.event
    energy, (reason, reason_said) = _energy(session, said), reason_of(said)
    return SessionEnded(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        report=heard.id,
        reason=reason,
        meter_wh=energy.meter_wh,
        energy_wh=energy.energy_wh,
        token=said.token,
        masked_uid=said.masked_uid,
        flags=energy.flags,
        transaction=said.transaction,
        reason_said=reason_said,
    )


def _corrected(session: Begun, heard: Stop) -> SessionCorrected:
    said = heard.event
    energy, (reason, reason_said) = _energy(session, said), reason_of(said)
    return SessionCorrected(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        report=heard.id,
        reason=reason,
        meter_wh=energy.meter_wh,
        energy_wh=energy.energy_wh,
        token=said.token,
        masked_uid=said.masked_uid,
        flags=energy.flags,
        transaction=said.transaction,
        reason_said=reason_said,
    )


def _energy(session: Begun, said: TransactionEnded) -> Energy:
    shown = registers(normalised(said.readings))
    energy = session.span.extended(shown, since=session.started_at).ended(known(said.meter_wh))
    refused = session.info is not None and session.info.status != "Accepted"
    flags = [
        *(["refused"] if refused else []),
        *(["meter_start_missing"] if session.start_missing else []),
        *(["ended_before_start"] if said.at < session.started_at else []),
        *(["matched"] if not session.is_called(said.transaction) else []),
    ]
    return energy._replace(flags=(*flags, *energy.flags))


def reason_of(said: TransactionEnded) -> tuple[str, str]:
    """Return OCPP's word for why a transaction ended, and the station's own where it has another (X-26)."""
    return (said.reason, "") if said.reason in REASONS else ("Other", said.reason)


def _repeated(session: Ended | Quarantined | Forgotten, heard: Stop) -> StopRepeated:
    said = heard.event
    return StopRepeated(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        report=heard.id,
        differs=not isinstance(session, Forgotten) and not _same(session, said),
        meter_wh=known(said.meter_wh),
    )


def _quarantined(unmatched: Unmatched, heard: Stop) -> list[Event]:
    said, id = heard.event, session_of(heard.id)
    reason, reason_said = reason_of(said)
    quarantined = SessionQuarantined(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=id,
        report=heard.id,
        transaction=said.transaction,
        reason=reason,
        reason_said=reason_said,
        why=unmatched.why,
        meter_wh=known(said.meter_wh),
        token=said.token,
        masked_uid=said.masked_uid,
    )
    return [*_readings(heard, id, normalised(said.readings), 0, 0), quarantined]


def _owed(heard: Stop, session: SessionId) -> list[Event]:
    """Return that an answer is owed, if the stop named a token; any other the gateway answers by itself."""
    said = heard.event
    if said.token is None or not can_wait(said):
        return []
    owed = AnswerOwed(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session,
        report=heard.id,
        purpose="stop",
        message_id=said.message_id,
        gateway=said.gateway,
        reply_to=said.reply_to,
        epoch=said.epoch,
    )
    return [owed]
