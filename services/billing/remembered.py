"""What the log says was billed of a session: its bills, folded by billing's own rules, as if it had not been forgotten."""

from collections.abc import Iterable
from functools import reduce

from contracts.bills import Billed, BillEvent, ChargedFree, SessionRecalled, TariffBound
from contracts.event import SessionId
from services.billing import domain
from services.billing.recalling import as_billed
from services.billing.state import Over


def is_whole(bills: list[BillEvent]) -> bool:
    """Tell whether a session's bills are there from its begin on, or from where all of it was said again."""
    match bills:
        case [ChargedFree() | SessionRecalled() | TariffBound(job=None), *_]:
            return True
        case _:
            return False


def billed(session: SessionId, bills: Iterable[BillEvent]) -> Billed | None:
    """Return a session as it is billed now; None: nothing was, or what was counts no more."""
    found = reduce(domain.evolve, bills, domain.initial).session(session)
    return as_billed(found) if isinstance(found, Over) and found.cdr is not None else None
