"""Prices every CDR of the log again: the same inputs must come to the same bytes, as a state is the fold of its events (CDR-04)."""

from collections.abc import Iterable, Iterator

import msgspec

from contracts.bills import BillEvent, CdrHeld, CdrIssued, Priced
from contracts.event import SessionId
from services.billing import domain
from services.billing.papers import bill_of, priced
from services.billing.state import Over, Station


class Again:
    """The sessions of a log, as it is read in order."""

    def __init__(self) -> None:
        self._sessions: dict[SessionId, Station] = {}

    def hear(self, event: BillEvent) -> Priced | None:
        """Take in an event; of a bill, return what its session comes to by all that was said of it before."""
        state = self._sessions.get(event.session, domain.initial)
        self._sessions[event.session] = domain.evolve(state, event)
        session = state.session(event.session)
        if isinstance(event, CdrIssued | CdrHeld) and isinstance(session, Over):
            return priced(session, bill_of(session, session.usage))
        return None


def again(events: Iterable[BillEvent]) -> Iterator[tuple[CdrIssued | CdrHeld, Priced]]:
    """Yield each bill of a log, and what its session comes to."""
    log = Again()
    for event in events:
        if (now := log.hear(event)) is not None:
            assert isinstance(event, CdrIssued | CdrHeld)
            yield event, now


def differing(events: Iterable[BillEvent]) -> Iterator[tuple[CdrIssued | CdrHeld, Priced]]:
    """Yield the bills that come to other bytes now."""
    return ((event, now) for event, now in again(events) if encoded(event.priced) != encoded(now))


def encoded(bill: Priced) -> bytes:
    return msgspec.json.encode(bill)
