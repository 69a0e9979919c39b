"""What a history of messages comes to, for tests."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from contracts.bills import BillEvent
from services.billing import domain
from services.billing.heard import Assigned, Heard
from services.billing.state import State
from tests.billing.says import version

AC = Assigned("site/oslo", version())


def after(*said: Heard[Any]) -> tuple[State, list[BillEvent]]:
    """Return what is remembered after these messages, and all that they caused."""
    state, caused = domain.initial, []
    for each in said:
        events = domain.decide(state, each)
        state = reduce(domain.evolve, events, state)
        caused += events
    return state, caused


def kinds(events: Sequence[BillEvent]) -> list[type[BillEvent]]:
    return [type(event) for event in events]


def last(events: list[BillEvent], kind: type[Any]) -> Any:
    return [event for event in events if isinstance(event, kind)][-1]
