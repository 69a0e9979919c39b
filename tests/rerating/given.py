"""Bills for tests: what billing's own rules write of what they hear."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

from contracts.bills import BillEvent, TariffBound
from contracts.event import JobId, SessionId
from contracts.ratings import By, ByItsOwn, Choice, ReRatingAsked
from contracts.reference import TariffVersion
from contracts.tariffs import Tariff
from services.billing import domain
from services.billing.heard import Assigned, Heard
from services.rerating.past import HEARD, REVISED, Billed, Past
from tests.billing import says
from tests.billing.says import ACME, NOON, delivered, element, ended, started, ticked, version

JOB = JobId("job-1")
ASSIGNED = Assigned("tenant", version())


def bills(*heard: Heard[Any]) -> list[BillEvent]:
    """Return what billing writes of what it hears, from nothing on."""
    state, written = domain.initial, []
    for one in heard:
        events = domain.decide(state, one)
        state = reduce(domain.evolve, events, state)
        written += events
    return written


def session(assigned: Assigned = ASSIGNED, *, wh: int = 10_000) -> list[Heard[Any]]:
    """Return an hour of charging, with its end and its bill."""
    return [started(assigned), delivered(20, wh // 2), ended(60, wh), ticked(66)]


def renamed(events: Iterable[BillEvent], session: str, minutes: float = 0, **fields: Any) -> list[BillEvent]:
    """Return bills as those of another session, so many minutes later."""
    later = timedelta(minutes=minutes)
    return [_other(each, later, {"session": SessionId(session)} | fields) for each in events]


def _other(event: BillEvent, later: timedelta, fields: dict[str, Any]) -> Any:
    known = {name: value for name, value in fields.items() if name in event.__struct_fields__}
    moved = {"at": event.at + later} if isinstance(event, TariffBound) else {}
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**values | known | moved)


def found(events: Sequence[BillEvent], choice: Choice | None = None) -> list[Billed]:
    """Return the sessions whose bills count, by those events that are read for it."""
    past = past_of(events, choice)
    heard = [(offset, event) for offset, event in enumerate(events) if isinstance(event, HEARD)]
    return [billed for offset, event in heard if (billed := past.hear(offset, event)) is not None]


def past_of(events: Sequence[BillEvent], choice: Choice | None = None) -> Past:
    revisions: dict[SessionId, int] = {}
    for event in events:
        if isinstance(event, REVISED):
            revisions[event.session] = revisions.get(event.session, 0) + 1
    return Past(choice or Choice(), revisions)


def tariff(price: str = "0.50", currency: str = "EUR", **fields: Any) -> Tariff:
    return Tariff("NEW", currency, (element(price, **fields),))


def asked(by: By | None = None, **fields: Any) -> ReRatingAsked:
    said: dict[str, Any] = {"at": NOON, "tenant": ACME, "job": JOB, "by": by or ByItsOwn(), "choice": Choice()}
    return ReRatingAsked(**said | {"reason": "why not", "requested_by": "key-1"} | fields)


def money(text: str) -> Decimal:
    return Decimal(text)


def bound_version(number: int, price: str) -> TariffVersion:
    return says.version(says.element(price), number=number)
