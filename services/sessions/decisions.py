"""What follows from a decision about a token, ours or the gateway's own, and who is told (architecture §4)."""

from contracts.authorizations import TokenInfo
from contracts.event import Event, Instant, OfStation, TransactionId
from contracts.gateways import StartAnswered, StopAnswered
from contracts.sessions import (
    ChargingBegan,
    ChargingOver,
    DecisionHeardEarly,
    SessionAuthorized,
    SessionRenamed,
    StopAuthorized,
)
from services.sessions.state import Begun, Charging, Early, Owed, Station


def decided(state: Station, decision: Early, said: OfStation) -> list[Event]:
    """Return what a decision causes. What a station has been told, no later decision changes."""
    id = state.reported(decision.report)
    session = None if id is None else state.session(id)
    match decision, session:
        case Early(purpose="authorize"), _:
            return []
        case _, None if id is None:
            return _kept(state, decision, said)
        case Early(purpose="stop", undecided=undecided), _:
            owed = state.owed_for(decision.report)
            return [] if owed is None else _stop(owed, decision, said, answer=not undecided)
        case Early(undecided=True), Begun():
            return _answered(state, session, decision, said)
        case _, Begun(info=None):
            return _authorized(state, session, decision, said)
        case _:
            return []


def _kept(state: Station, decision: Early, said: OfStation) -> list[Event]:
    if decision in state.early:
        return []
    early = DecisionHeardEarly(
        at=decision.at,
        tenant=said.tenant,
        station=said.station,
        report=decision.report,
        purpose=decision.purpose,
        info=decision.info,
        undecided=decision.undecided,
        transaction=decision.transaction,
    )
    return [early]


def _stop(owed: Owed, decision: Early, said: OfStation, *, answer: bool) -> list[Event]:
    authorized = StopAuthorized(
        at=decision.at,
        tenant=said.tenant,
        station=said.station,
        session=owed.session,
        report=decision.report,
        info=decision.info,
        undecided=decision.undecided,
    )
    return [authorized, *([stop_answered(owed, decision.info, decision.at, said)] if answer else [])]


def _answered(state: Station, session: Begun, decision: Early, said: OfStation) -> list[Event]:
    """Return what follows from the gateway's own answer to a start: it is what the station goes by from now on."""
    name = decision.transaction or session.transaction
    renamed: list[Event] = []
    if name != session.transaction:
        renamed = [
            SessionRenamed(
                at=decision.at, tenant=said.tenant, station=said.station, session=session.id, transaction=name
            )
        ]
    told = session.info is not None and session.info.status == decision.info.status
    followed = (
        _still_charging(session, decision, said, name)
        if told
        else _authorized(state, session, decision, said, name=name)
    )
    return [*renamed, *followed]


def _still_charging(session: Begun, decision: Early, said: OfStation, name: TransactionId) -> list[Event]:
    """Return who is charging under another name."""
    if not isinstance(session, Charging) or not session.accepted or name == session.transaction:
        return []
    return [_began(session, decision, said, name, session.info)]


def _authorized(
    state: Station, session: Begun, decision: Early, said: OfStation, *, name: TransactionId | None = None
) -> list[Event]:
    authorized = SessionAuthorized(
        at=decision.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        info=decision.info,
        undecided=decision.undecided,
        flags=() if decision.info.status == "Accepted" else ("refused",),
    )
    told_already = decision.report if decision.undecided else None
    waiting = [o for o in state.owed if (o.session, o.purpose) == (session.id, "start") and o.report != told_already]
    transaction = name or session.transaction
    answers = [start_answered(owed, transaction, decision.info, decision.at, said) for owed in waiting]
    return [authorized, *_charging(session, decision, said, transaction), *answers]


def _charging(session: Begun, decision: Early, said: OfStation, transaction: TransactionId) -> list[Event]:
    """Return who is charging now. A refused start must not keep its token from charging elsewhere."""
    match session:
        case Charging() if decision.info.status == "Accepted" and not session.accepted:
            return [_began(session, decision, said, transaction, decision.info)]
        case Charging() if decision.info.status != "Accepted":
            return charging_over(session, decision.at, said)
        case _:
            return []


def _began(
    session: Charging, decision: Early, said: OfStation, transaction: TransactionId, info: TokenInfo | None
) -> ChargingBegan:
    return ChargingBegan(
        at=decision.at,
        tenant=said.tenant,
        station=said.station,
        session=session.id,
        token=session.token,
        evse=session.evse,
        connector=session.connector,
        group=info.group if info is not None else None,
        started_at=session.started_at,
        transaction=transaction,
    )


def charging_over(session: Begun, at: Instant, said: OfStation) -> list[Event]:
    """Return that nobody charges any more, if somebody did."""
    if not (isinstance(session, Charging) and session.accepted):
        return []
    return [ChargingOver(at=at, tenant=said.tenant, station=said.station, session=session.id)]


def start_answered(
    to: Owed, transaction: TransactionId, info: TokenInfo, at: Instant, said: OfStation
) -> StartAnswered:
    return StartAnswered(
        at=at,
        tenant=said.tenant,
        station=said.station,
        gateway=to.gateway,
        reply_to=to.reply_to,
        epoch=to.epoch,
        message_id=to.message_id,
        report=to.report,
        transaction=transaction,
        info=info,
    )


def stop_answered(to: Owed, info: TokenInfo, at: Instant, said: OfStation) -> StopAnswered:
    return StopAnswered(
        at=at,
        tenant=said.tenant,
        station=said.station,
        gateway=to.gateway,
        reply_to=to.reply_to,
        epoch=to.epoch,
        message_id=to.message_id,
        report=to.report,
        info=info,
    )
