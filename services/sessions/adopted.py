"""Transactions that nobody began here and that go on: they are adopted, with the energy since the first evidence (X-22).

A station may have been charging when it came to us, or its start was lost. What its meter shows under an id that nobody was
given is evidence once; when it has risen under the same id, energy flows, and that is a session, for a person to look at. A
station that names any old id with what its meter shows (lb#511) is not believed, as it does not name the same one again.
"""

from contracts.event import Event, Instant, TokenId
from contracts.sessions import SessionStarted
from contracts.stations import MetersRead, TransactionEnded
from services.sessions import ledger
from services.sessions.heard import Heard
from services.sessions.ledger import Place
from services.sessions.meter import NOISE, known
from services.sessions.samples import Readings, registers
from services.sessions.starts import session_of
from services.sessions.state import OPEN, Station, Stranger

NOBODY = TokenId("")
"""The token of a session that was adopted: who began it is not known."""
FLAGS = ("adopted", "review")


def read(state: Station, heard: Heard[MetersRead], readings: Readings) -> list[Event]:
    """Return that a transaction is adopted, if what its meter shows is the second evidence of it."""
    said, shown = heard.event, registers(readings)
    stranger = state.stranger(said.transaction)
    if stranger is None or not shown or (said.evse, said.connector) != (stranger.evse, stranger.connector):
        return []
    risen = shown[-1].wh >= stranger.wh + NOISE and shown[-1].at > stranger.at
    return [begun(state, heard, stranger)] if risen and _can_begin(state, stranger) else []


def stopped(state: Station, heard: Heard[TransactionEnded]) -> Stranger | None:
    """Return the transaction that nobody began here and that a stop ends, if the stop can be its own."""
    stranger, stop_wh = state.stranger(heard.event.transaction), known(heard.event.meter_wh)
    if stranger is None or stop_wh is None or not _can_begin(state, stranger):
        return None
    in_order = stranger.at <= (heard.said_at or heard.event.at)
    return stranger if in_order and stop_wh >= stranger.wh else None


def _can_begin(state: Station, stranger: Stranger) -> bool:
    """Return whether no session of the name is known, and none goes on at its connector."""
    free = len(state.open) < OPEN and state.open_at(stranger.evse, stranger.connector) is None
    return free and state.called(stranger.transaction) is None


def begun(state: Station, heard: Heard[MetersRead] | Heard[TransactionEnded], stranger: Stranger) -> SessionStarted:
    """Return the start of a session as the first evidence shows it."""
    said = heard.event
    at = began_at(heard, stranger)
    place = Place(stranger.evse, stranger.connector, heard.site, heard.time_zone, heard.max_w)
    line = ledger.line_of(state.lines, stranger.evse, stranger.connector)
    return SessionStarted(
        at=at,
        tenant=said.tenant,
        station=said.station,
        session=session_of(stranger.report),
        report=stranger.report,
        transaction=stranger.transaction,
        evse=stranger.evse,
        connector=stranger.connector,
        token=NOBODY,
        meter_wh=stranger.wh,
        site=heard.site,
        time_zone=heard.time_zone,
        flags=FLAGS,
        heard_at=heard.heard_at,
        said_at=None if at == stranger.at else stranger.at,
        max_w=heard.max_w,
        account=ledger.begun(line, place, at, stranger.wh),
    )


def began_at(heard: Heard[MetersRead] | Heard[TransactionEnded], stranger: Stranger) -> Instant:
    """Return when the first evidence was measured, by our clock if the station's is known to be behind."""
    return stranger.at + heard.behind
