"""What a stop causes: the end of a session, or quarantine, and never nothing (X-11, X-12, X-33, X-45)."""

from datetime import timedelta
from functools import reduce
from typing import Literal, NamedTuple, TypeVar

from contracts.event import Event, Instant, SessionId, TokenId, TransactionId, derived_id
from contracts.sessions import (
    Account,
    AnswerOwed,
    ReadingsTaken,
    SessionCorrected,
    SessionEnded,
    SessionQuarantined,
    StopRepeated,
)
from contracts.stations import TransactionEnded
from services.sessions import adopted, clocks, ledger, meter, past
from services.sessions.decisions import charging_over, decided
from services.sessions.fold import evolve
from services.sessions.heard import Heard, can_wait
from services.sessions.ledger import Move, Place
from services.sessions.meter import Energy, Meter, known
from services.sessions.samples import Readings, marks, normalised, unheard
from services.sessions.signed import signed
from services.sessions.starts import clock_flags, place_of, session_of
from services.sessions.state import (
    LONGEST_TRANSACTION,
    MARKS,
    Begun,
    Charging,
    Closed,
    Discarded,
    Ended,
    Presumed,
    Quarantined,
    Session,
    Settled,
    Station,
    is_name,
)

Stop = Heard[TransactionEnded]
E = TypeVar("E", SessionEnded, SessionCorrected)

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
    heard = clocks.corrected(heard, state.behind_s)
    begun = _begun_before(state, heard)
    now = reduce(evolve, begun, state)
    match = matching(now, heard)
    session = session_of(heard.id) if isinstance(match, Unmatched) else match.id
    events = [*begun, *_effect(now, match, heard), *_owed(heard, session)]
    for decision in state.early_for(heard.id):
        events += decided(reduce(evolve, events, state), decision, heard.event)
    return events


def _begun_before(state: Station, heard: Stop) -> list[Event]:
    """Return that what a stop ends had begun, if nobody knew it but by its meter (X-22)."""
    said_before = any(_says_again(each, heard) or _says_again_by_name(each, heard) for each in state.closed)
    stranger = None if said_before else adopted.stopped(state, heard)
    return [] if stranger is None else [adopted.begun(state, heard, stranger)]


def matching(state: Station, heard: Stop) -> Session | Forgotten | Unmatched:
    """Return the session that a stop is about: by its id, by having been said before, or as the only one that fits (X-12)."""
    said = heard.event
    if named := _named(state, heard):
        return named
    if ended := next((session for session in state.closed if _says_again(session, heard)), None):
        return ended
    if is_name(said.transaction) and (over := past.called(state.past, said.transaction)) and over.stopped:
        return Forgotten(over.session)
    candidates = [session for session in state.open if _fits(session, heard)]
    if len(candidates) == 1:
        return candidates[0]
    return Unmatched("several_fit" if candidates else "none_fits")


def _named(state: Station, heard: Stop) -> Session | None:
    """Return the session of that name; of two, the one that this very stop has ended, or that it is in quarantine as.

    A stop may have been heard under an id that only later was given to another session.
    """
    name = heard.event.transaction
    again = next((each for each in state.closed if _says_again_by_name(each, heard)), None)
    return (again if is_name(name) else None) or state.called(name)


def _says_again_by_name(session: Closed, heard: Stop) -> bool:
    name = heard.event.transaction
    match session:
        case Ended():
            return (session.is_called(name) or session.stop_name == name) and _same(session, heard)
        case Quarantined() | Settled():
            return session.transaction == name and _same(session, heard)
        case Presumed() | Discarded():
            return False


def _says_again(session: Closed, heard: Stop) -> bool:
    """Return whether a stop without an id of ours is the one that a session has ended with."""
    match session:
        case Presumed() | Discarded():
            return False
        case Quarantined() | Settled():
            named = session.transaction == heard.event.transaction[:LONGEST_TRANSACTION]
            return named and _same(session, heard)
        case Ended():
            return _same(session, heard)


def _same(session: Ended | Quarantined | Settled, heard: Stop) -> bool:
    said_at = heard.said_at or heard.event.at
    return session.said == said_at and known(heard.event.meter_wh) in {None, session.stop_wh}


def _fits(session: Charging, heard: Stop) -> bool:
    said, meter_wh = heard.event, known(heard.event.meter_wh)
    risen = meter_wh is None or session.start_wh is None or meter_wh >= session.start_wh
    in_order = session.started_at <= said.at or session.since <= (heard.said_at or said.at)
    return in_order and said.token in {None, session.token} and risen


def _effect(state: Station, match: Session | Forgotten | Unmatched, heard: Stop) -> list[Event]:
    match match:
        case Charging():
            end = _ended(state, match, heard)
            return [*_taken(state, match, heard), end, *charging_over(match, end.at, heard.event)]
        case Presumed():
            return [*_taken(state, match, heard), _corrected(state, match, heard)]
        case Ended(guessed=True) if match.is_called(heard.event.transaction) and not _same(match, heard):
            return [*_taken(state, match, heard), _corrected(state, match, heard), *_given_back(state, match)]
        case Settled():
            return [_repeated(Forgotten(match.session), heard)]
        case Ended() | Quarantined() | Discarded() | Forgotten():
            return [_repeated(match, heard)]
        case Unmatched():
            return _quarantined(state, match, heard)


def _taken(state: Station, session: Begun, heard: Stop) -> list[Event]:
    return _readings(heard, session.id, _fresh(state, session, heard), session.evse, session.connector)


def _fresh(state: Station, session: Begun, heard: Stop) -> Readings:
    readings = normalised(heard.event.readings)
    if not readings or not isinstance(session, Charging):
        return readings
    before = session.marked_before
    complete = before is not None and state.marked - before <= MARKS
    return unheard(readings, session.newest, marks(state.marks) if complete else None, session.id)


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
    return [taken, *signed(taken)]


class End(NamedTuple):
    """How a session ended, by its stop or by a repair."""

    at: Instant
    said_at: Instant | None
    report: str
    transaction: TransactionId | None
    reason: str
    reason_said: str
    token: TokenId | None
    masked_uid: str
    meter_wh: int | None
    flags: tuple[str, ...]
    behind: timedelta = timedelta(0)
    """By how much `at` has been corrected for a clock that is behind."""


def _ended(state: Station, session: Begun, heard: Stop) -> SessionEnded:
    fresh = meter.watched(session, _fresh(state, session, heard), session.since)
    return over(state, fresh, _end_of(session, heard), SessionEnded)


def _corrected(state: Station, session: Begun, heard: Stop) -> SessionCorrected:
    fresh = meter.watched(session, _fresh(state, session, heard), session.since)
    return over(state, fresh, _end_of(session, heard), SessionCorrected)


def _end_of(session: Begun, heard: Stop) -> End:
    said, (reason, reason_said) = heard.event, reason_of(heard.event)
    before = (heard.said_at or said.at) < session.since and said.at < session.started_at
    at, said_at = said.at, heard.said_at
    if before and heard.heard_at is not None and heard.heard_at >= session.started_at:
        at, said_at = heard.heard_at, said_at or said.at
    flags = [
        *(["ended_before_start"] if before else []),
        *(clock_flags(heard) or (["clock_suspect"] if said_at is not None else [])),
        *(["matched"] if not session.is_called(said.transaction) else []),
    ]
    return End(
        at=at,
        said_at=said_at,
        report=heard.id,
        transaction=said.transaction,
        reason=reason,
        reason_said=reason_said,
        token=said.token,
        masked_uid=said.masked_uid,
        meter_wh=known(said.meter_wh),
        flags=tuple(flags),
        behind=heard.behind,
    )


def over(state: Station, session: Begun, end: End, kind: type[E]) -> E:
    """Return the event that a session has ended, with its energy and what that moves in the ledger."""
    times = session.started_at, _began_said(session, end), end.at, end.said_at
    energy = meter.ended(session, end.meter_wh, clocks.lasted(*times))
    return kind(
        at=end.at,
        tenant=state.tenant,
        station=state.station,
        session=session.id,
        report=end.report,
        reason=end.reason,
        meter_wh=energy.meter_wh,
        energy_wh=energy.energy_wh,
        token=end.token,
        masked_uid=end.masked_uid,
        flags=_flags(session, end, energy),
        transaction=end.transaction,
        reason_said=end.reason_said,
        said_at=end.said_at,
        started_at=clocks.began_at(*times),
        energy_source=energy.source,
        account=_account(state, session, energy),
    )


def _began_said(session: Begun, end: End) -> Instant | None:
    """Return when a session began by the clock that has stamped its end, where that cannot be right."""
    if session.said_at is None and end.behind and clocks.same(session.heard_at, session.started_at, end.behind):
        return session.started_at
    return session.said_at


def _flags(session: Begun, end: End, energy: Energy) -> tuple[str, ...]:
    refused = session.info is not None and session.info.status != "Accepted"
    flags = [
        *(["refused"] if refused else []),
        *(["meter_start_missing"] if session.start_missing else []),
        *session.start_flags,
        *end.flags,
        *energy.flags,
    ]
    return tuple(dict.fromkeys(flags))


def _account(state: Station, session: Begun, energy: Energy) -> Account | None:
    more = 0 if energy.energy_wh is None else energy.energy_wh - (session.told or 0)
    line = ledger.line_of(state.lines, session.evse, session.connector)
    move = Move(more, _register(session, energy), goes_on=isinstance(session, Charging), on_line=session.on_line)
    return ledger.moved(line, place_of(session), move)


def _register(session: Begun, energy: Energy) -> int | None:
    """Return where the connector's register stood at the end, if the session is on its line and was counted by it."""
    if not session.on_line or energy.source not in ledger.ON_LINE:
        return None
    return energy.meter_wh if energy.source == "register" else session.shown_wh


def reason_of(said: TransactionEnded) -> tuple[str, str]:
    """Return OCPP's word for why a transaction ended, and the station's own where it has another (X-26)."""
    return (said.reason, "") if said.reason in REASONS else ("Other", said.reason)


def _repeated(session: Ended | Quarantined | Discarded | Forgotten, heard: Stop) -> StopRepeated:
    said = heard.event
    return StopRepeated(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        report=heard.id,
        differs=isinstance(session, Ended | Quarantined) and not _same(session, heard),
        meter_wh=known(said.meter_wh),
    )


def _quarantined(state: Station, unmatched: Unmatched, heard: Stop) -> list[Event]:
    said, id = heard.event, session_of(heard.id)
    reason, reason_said = reason_of(said)
    energy_wh, account = _evidence(state, heard)
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
        energy_wh=energy_wh,
        said_at=heard.said_at,
        account=account,
    )
    return [*_readings(heard, id, normalised(said.readings), 0, 0), quarantined]


def _given_back(state: Station, session: Ended) -> list[Event]:
    """Return that the stop which had been taken for the session's is nobody's after all (X-23).

    What it showed of energy the correction takes back; its start may be heard yet. It gets an id of its own, as the session
    may have that of the stop.
    """
    if session.guess is None:
        return []
    quarantined = SessionQuarantined(
        at=session.stopped_at,
        tenant=state.tenant,
        station=state.station,
        session=SessionId(derived_id(session.id, "sessions", "given back")),
        report=session.guess.report,
        transaction=session.stop_name,
        reason=session.guess.reason,
        meter_wh=session.stop_wh,
        token=session.guess.token,
        said_at=session.stop_said_at,
    )
    return [quarantined]


def _evidence(state: Station, heard: Stop) -> tuple[int | None, Account | None]:
    """Return the energy that a stop without a session shows by itself: by its samples, or by the one connector's register."""
    said, stop_wh = heard.event, known(heard.event.meter_wh)
    place = Place(0, 0, heard.site, heard.time_zone, heard.max_w)
    readings = normalised(said.readings)
    if readings:
        shown = meter.watched(Meter(), readings, min(reading.at for reading in readings))
        found = meter.ended(shown, stop_wh, None).energy_wh
        if found is not None:
            return found, ledger.entry(place, delivered=found, quarantined=found)
    if stop_wh is None or len(state.lines) != 1 or heard.connectors > 1:
        return None, None
    (line,) = state.lines
    rise = stop_wh - line.wh
    if not 0 < rise <= meter.limit_wh(heard.max_w, abs((said.at - line.at).total_seconds())):
        return None, None
    return rise, ledger.entry(place, delivered=rise, quarantined=rise, register_wh=stop_wh)


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
