"""The first evidence of transactions that nobody began here, as readings leave it (X-22)."""

from msgspec.structs import replace

from contracts.sessions import ReadingsTaken, SessionCorrected, SessionEnded, SessionQuarantined, SessionStarted
from services.sessions import past
from services.sessions.samples import registers
from services.sessions.state import LONGEST_TRANSACTION, STRANGERS, Quarantined, Settled, Station, Stranger, is_name


def noted(state: Station, event: ReadingsTaken) -> Station:
    """Return the state with the evidence of a transaction that nobody began here, if it is the first."""
    found, before = _stranger(event), state.stranger(event.transaction)
    if found is None or not _is_strange(state, found) or (before and not _is_earlier(found, before)):
        return state
    others = (other for other in state.strangers if other is not before)
    return replace(state, strangers=(*others, found)[-STRANGERS:])


def _stranger(event: ReadingsTaken) -> Stranger | None:
    shown = registers(event.readings)
    if event.session is not None or event.transaction is None or event.evse == 0 or not shown:
        return None
    return Stranger(
        report=event.report,
        transaction=event.transaction,
        evse=event.evse,
        connector=event.connector,
        at=shown[0].at,
        wh=shown[0].wh,
    )


def _is_strange(state: Station, found: Stranger) -> bool:
    """Return whether an id names a transaction of which nothing but its meter has been heard, where no other goes on."""
    name = found.transaction
    if (
        state.open_at(found.evse, found.connector)
        or not is_name(name)
        or state.called(name)
        or past.called(state.past, name)
    ):
        return False
    stops = (stop for stop in state.closed if isinstance(stop, Quarantined | Settled))
    return all(stop.transaction != name[:LONGEST_TRANSACTION] for stop in stops)


def _is_earlier(one: Stranger, other: Stranger) -> bool:
    same_place = (one.evse, one.connector) == (other.evse, other.connector)
    return same_place and one.at < other.at and one.wh <= other.wh


def known_now(state: Station, event: SessionStarted | SessionEnded | SessionCorrected | SessionQuarantined) -> Station:
    """Return the state without the evidence of what has begun, or is over; none outlasts a session at its connector."""
    place = (event.evse, event.connector) if isinstance(event, SessionStarted) else None
    left = tuple(s for s in state.strangers if s.transaction != event.transaction and (s.evse, s.connector) != place)
    return state if left == state.strangers else replace(state, strangers=left)
