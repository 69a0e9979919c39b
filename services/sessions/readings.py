"""What the reading of a meter causes: it is taken, once, and what it shows of energy is told (X-13, X-41, X-44)."""

from functools import reduce

from contracts.event import Event
from contracts.sessions import EnergyDelivered, EnergyUnattributed, ReadingsTaken, SessionRenamed
from contracts.stations import MetersRead
from services.sessions import adopted, ghosts, ledger, meter, silence
from services.sessions.fold import evolve
from services.sessions.heard import Heard
from services.sessions.ledger import Move, Place
from services.sessions.meter import SOON_WH, limit_wh
from services.sessions.samples import Readings, digest, newest, normalised, registers
from services.sessions.signed import signed
from services.sessions.starts import place_of, told_by
from services.sessions.state import Begun, Charging, Ended, Station

Read = Heard[MetersRead]


def read(state: Station, heard: Read) -> list[Event]:
    """Return the readings, normalised, and the energy they show; what has been said before is not taken twice (X-41)."""
    said = heard.event
    readings = normalised(said.readings)
    if not readings or digest(said.evse, said.connector, said.transaction, readings) in state.frames:
        return []
    heard, clock = told_by(state, heard, newest(readings))
    return [*_taken(state, heard, readings), *clock]


def _taken(state: Station, heard: Read, readings: Readings) -> list[Event]:
    said, begun = heard.event, adopted.read(state, heard, readings)
    state = reduce(evolve, begun, state)
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
        heard_at=heard.heard_at,
    )
    said_for_ever = [taken, *signed(taken)]
    if not isinstance(session, Charging):
        return [*said_for_ever, *_outside(state, heard, session, readings)]
    delivered = _delivered(state, session, said, readings)
    lives = ghosts.read(state, session, heard.heard_at, rose=bool(delivered))
    watched = silence.read(state, session, heard.heard_at)
    return [*begun, *said_for_ever, *_renamed(session, said), *delivered, *lives, *watched]


def _metering(state: Station, said: MetersRead, readings: Readings) -> Begun | None:
    """Return the session that a meter was read in: the one named, else the only one it can be (X-13).

    One that is named but charges elsewhere is it only if its register goes on (Q-75).
    """
    if said.transaction is None:
        return None
    named, here = state.called(said.transaction), state.open_at(said.evse, said.connector)
    if named and (said.evse in {0, named.evse} or not isinstance(named, Charging) or _is_its(named, here, readings)):
        return named
    return here if here is not None and _can_be(here, readings) else None


def _is_its(named: Charging, here: Charging | None, readings: Readings) -> bool:
    """Return whether a register goes on from that of the session that is named, and not rather from that of the one here."""
    if not _goes_on(named, readings):
        return False
    if here is None or not registers(readings) or not _goes_on(here, readings):
        return True
    return _last(here) - _last(named) < SOON_WH


def _last(session: Charging) -> int:
    return session.shown_wh if session.shown_wh is not None else session.start_wh or 0


def _can_be(session: Charging, readings: Readings) -> bool:
    start_wh = session.start_wh
    fallen = start_wh is not None and any(register.wh < start_wh for register in registers(readings))
    return not fallen and max(reading.at for reading in readings) >= session.since


def _goes_on(session: Charging, readings: Readings) -> bool:
    last = session.start_wh if session.shown_wh is None else session.shown_wh
    shown = registers(readings)
    if last is None or not shown:
        return not shown
    most = limit_wh(session.max_w, (shown[-1].at - session.since).total_seconds())
    return shown[0].wh - last >= 0 and shown[-1].wh - last <= most


def _renamed(session: Charging, said: MetersRead) -> list[Event]:
    """Return that the station goes by another of the ids it was given: that is the one a call must name."""
    if said.transaction is None or said.transaction == session.transaction or said.transaction not in session.names:
        return []
    return [
        SessionRenamed(
            at=said.at, tenant=said.tenant, station=said.station, session=session.id, transaction=said.transaction
        )
    ]


def _delivered(state: Station, session: Charging, said: MetersRead, readings: Readings) -> list[Event]:
    """Return the energy if there is more of it than has been told."""
    now = meter.watched(session, readings, session.since)
    energy_wh, told = now.energy_wh, session.told
    least = told if told is not None else 0 if session.start_wh is not None else -1
    if energy_wh is None or energy_wh <= least:
        return []
    line = ledger.line_of(state.lines, session.evse, session.connector)
    register = now.shown_wh if session.on_line and now.source in ledger.ON_LINE else None
    return [
        EnergyDelivered(
            at=said.at,
            tenant=said.tenant,
            station=said.station,
            session=session.id,
            energy_wh=energy_wh,
            meter_wh=now.shown_wh,
            energy_source=now.source,
            account=ledger.moved(line, place_of(session), Move(energy_wh - (told or 0), register)),
        )
    ]


def _outside(state: Station, heard: Read, session: Begun | None, readings: Readings) -> list[Event]:
    """Return what the register of a connector shows outside of any session that goes on (Q-78)."""
    said, shown = heard.event, registers(readings)
    after = isinstance(session, Ended) and session.on_line and not session.relative
    if not shown or shown[-1].begin or said.evse == 0 or (session is not None and not after):
        return []
    line = ledger.line_of(state.lines, said.evse, said.connector)
    place = Place(said.evse, said.connector, heard.site, heard.time_zone, heard.max_w)
    account = ledger.idle(line, place, shown[-1].at, shown[-1].wh, may_fall=said.transaction is None)
    if account is None:
        return []
    return [
        EnergyUnattributed(
            at=said.at,
            tenant=said.tenant,
            station=said.station,
            evse=said.evse,
            connector=said.connector,
            account=account,
        )
    ]
