"""Finds, in the bills of one partition number, each session whose CDR counts, with all that its price followed from.

It holds only what is open: a session from its tariff to the last word on its CDR.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from contracts.bills import (
    BillDiscarded,
    BillEvent,
    CdrConfirmed,
    CdrCredited,
    CdrIssued,
    CostUpdated,
    SessionMeasured,
    TariffBound,
    Usage,
)
from contracts.event import SessionId
from contracts.ratings import Choice
from contracts.tariffs import Tariff
from services.billing.meter import END
from services.billing.usage import used_by

HEARD = (TariffBound, CostUpdated, SessionMeasured, CdrIssued, CdrCredited, CdrConfirmed, BillDiscarded)
"""What means something here."""
REVISED = (CdrCredited, CdrConfirmed)
"""What says that a CDR was not the last word: how many of them each session has must be known beforehand."""


class Billed(Struct, frozen=True):
    """A session whose CDR counts, and everything that its price follows from."""

    bound: TariffBound
    usage: tuple[Usage, ...]
    issued: CdrIssued
    input_hash: str
    """Of the bill as it was last worked out."""


class Open:
    """A session on which the last word has not been heard."""

    __slots__ = ("bound", "first", "issued", "usage")

    def __init__(self, bound: TariffBound, first: int) -> None:
        self.bound, self.first = bound, first
        self.usage: list[Usage] = [Usage(bound.at, 0)]
        self.issued: CdrIssued | None = None


class Past:
    """The sessions of a choice, as they follow from a partition's bills in order."""

    def __init__(self, choice: Choice, revisions: Mapping[SessionId, int]) -> None:
        self._choice = choice
        self._to_come = dict(revisions)
        self._open: dict[SessionId, Open] = {}
        self._tariffs: dict[Tariff, Tariff] = {}
        """Each once, though every session brings its own."""

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self._open)

    def resume(self, after: int) -> int:
        """Return from where on one must read, to know at `after` what is known now."""
        return next((each.first for each in self._open.values()), after)

    def hear(self, offset: int, event: BillEvent) -> Billed | None:
        """Return the session on which this was the last word, if it was, and if its CDR counts."""
        if isinstance(event, TariffBound):
            self._bind(offset, event)
            return None
        session = self._open.get(event.session)
        return None if session is None else self._follow(session, event)

    def _bind(self, offset: int, bound: TariffBound) -> None:
        if (known := self._open.get(bound.session)) is not None:
            known.bound = replace(
                known.bound, tariff=bound.tariff, policy=bound.policy, tariff_version=bound.tariff_version
            )
        elif is_chosen(self._choice, bound):
            tariff = self._tariffs.setdefault(bound.tariff, bound.tariff)
            self._open[bound.session] = Open(replace(bound, tariff=tariff), offset)

    def _follow(self, session: Open, event: BillEvent) -> Billed | None:
        match event:
            case CostUpdated(usage=usage):
                session.usage += usage
            case SessionMeasured():
                session.usage = list(used_by(session.usage, event))
                session.bound = replace(session.bound, at=event.started_at or session.bound.at)
            case BillDiscarded():
                del self._open[event.session]
            case CdrCredited():
                session.issued = None
                self._revised(event.session)
            case CdrIssued():
                session.issued = event
                return self._last_word(session, event.priced.input_hash)
            case CdrConfirmed(input_hash=input_hash):
                self._revised(event.session)
                return self._last_word(session, input_hash)
            case _:
                pass
        return None

    def _revised(self, session: SessionId) -> None:
        self._to_come[session] = self._to_come.get(session, 0) - 1

    def _last_word(self, session: Open, input_hash: str) -> Billed | None:
        """Return the session, unless more is to come, or its CDR was taken back."""
        id = session.bound.session
        if self._to_come.get(id, 0) > 0:
            return None
        del self._open[id]
        if session.issued is None:
            return None
        return Billed(session.bound, in_order(session.usage), session.issued, input_hash)


def in_order(usage: list[Usage]) -> tuple[Usage, ...]:
    """Return what was used by its time, each once, its end last."""
    return tuple(sorted(dict.fromkeys(usage), key=lambda each: (each.at, each.state == END)))


def is_chosen(choice: Choice, bound: TariffBound) -> bool:
    """Tell whether a session is one of the choice."""
    return (
        (choice.first is None or choice.first <= bound.at)
        and (choice.until is None or bound.at < choice.until)
        and choice.tariff in {None, bound.tariff.id}
        and choice.station in {None, bound.station}
        and choice.site in {None, bound.site}
    )
