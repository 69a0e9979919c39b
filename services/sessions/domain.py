"""What charging sessions are: the table of what a station's reports, and decisions about tokens, mean for them."""

from typing import Any

from contracts.authorizations import TokenDecided, TokenInfo
from contracts.event import Event
from contracts.sessions import EnergyDelivered, ReadingsTaken
from contracts.stations import AnsweredUndecided, MetersRead, Reading, TransactionEnded, TransactionStarted
from services.sessions import meter, starts, stops
from services.sessions.decisions import decided
from services.sessions.fold import evolve, initial
from services.sessions.heard import Heard
from services.sessions.state import Begun, Charging, Early, Station

__all__ = ["decide", "evolve", "initial"]


def decide(state: Station, heard: Heard[Any]) -> list[Event]:
    """Return what a message causes; what means nothing to sessions causes nothing."""
    match heard.event:
        case TransactionStarted():
            return starts.start(state, heard)
        case MetersRead():
            return _metered(state, heard)
        case TransactionEnded():
            return stops.stop(state, heard)
        case TokenDecided() as said:
            return decided(state, _decision(said), said)
        case AnsweredUndecided() as said:
            return decided(state, _undecided(state, said), said)
        case _:
            return []


def _decision(said: TokenDecided) -> Early:
    return Early(report=said.report, at=said.at, purpose=said.purpose, info=said.info)


def _undecided(state: Station, said: AnsweredUndecided) -> Early:
    """Return the gateway's own answer as a decision. A start's names a transaction; a stop's has been heard before."""
    owed = state.owed_for(said.report)
    purpose = "authorize" if owed is None else owed.purpose
    return Early(
        report=said.report,
        at=said.at,
        purpose="start" if said.transaction is not None else purpose,
        info=TokenInfo(said.status),
        undecided=True,
        transaction=said.transaction,
    )


def _metered(state: Station, heard: Heard[MetersRead]) -> list[Event]:
    """Return the readings, normalised, and the energy they show; what has been said before is not taken twice (X-41)."""
    said = heard.event
    readings = meter.normalised(said.readings)
    if not readings or meter.digest(said.evse, said.connector, said.transaction, readings) in state.frames:
        return []
    session = _metering(state, said, readings)
    taken = ReadingsTaken(
        at=said.at,
        tenant=said.tenant,
        station=said.station,
        report=heard.id,
        evse=said.evse,
        connector=said.connector,
        session=None if session is None else session.id,
        transaction=said.transaction,
        readings=readings,
    )
    return [taken, *_delivered(session, said, readings)]


def _metering(state: Station, said: MetersRead, readings: tuple[Reading, ...]) -> Begun | None:
    """Return the session that a meter was read in: the one named, else the only one it can be (X-13)."""
    if said.transaction is None:
        return None
    if named := state.called(said.transaction):
        return named
    here = state.open_at(said.evse, said.connector)
    return here if here is not None and _can_be(here, readings) else None


def _can_be(session: Charging, readings: tuple[Reading, ...]) -> bool:
    start_wh = session.start_wh
    shown = meter.registers(readings)
    fallen = start_wh is not None and any(register.wh < start_wh for register in shown)
    return not fallen and max(reading.at for reading in readings) >= session.started_at


def _delivered(session: Begun | None, said: MetersRead, readings: tuple[Reading, ...]) -> list[Event]:
    """Return the energy if the register rose. A session that is over stays as it is (X-44)."""
    if not isinstance(session, Charging):
        return []
    span = session.span.extended(meter.registers(readings), since=session.started_at)
    delivered = span.delivered_since(session.span)
    if delivered is None:
        return []
    meter_wh, energy_wh = delivered
    return [
        EnergyDelivered(
            at=said.at,
            tenant=said.tenant,
            station=said.station,
            session=session.id,
            energy_wh=energy_wh,
            meter_wh=meter_wh,
        )
    ]
