"""What was billed of a session, as it follows from the log alone."""

import pytest
from msgspec.structs import replace

from contracts.bills import BillEvent, ChargedFree, SessionRecalled
from services.billing.heard import Assigned
from services.billing.recalling import KEPT
from services.billing.remembered import billed, is_whole
from tests.billing.history import AC, after
from tests.billing.says import (
    ABOUT,
    NOON,
    SESSION,
    corrected,
    delivered,
    discarded,
    element,
    ended,
    rerated,
    reviewed,
    started,
    ticked,
    version,
)

BILLED = (started(AC), delivered(30, 8000), ended(60, 10_000), ticked(65))
DEARER = version(element("0.50"), number=2)


@pytest.mark.parametrize("more", [(), (corrected(60, 12_000, recorded=70), ticked(75))])
def test_it_is_what_billing_remembers_of_it(more: tuple[object, ...]) -> None:
    state, events = after(*BILLED, *more)  # type: ignore[arg-type]
    found = billed(SESSION, events)
    assert found is not None
    [over] = state.over
    assert all(getattr(found, name) == getattr(over, name) for name in KEPT)


def test_a_re_rating_counts() -> None:
    first = billed(SESSION, after(*BILLED)[1])
    assert first is not None
    found = billed(SESSION, after(*BILLED, rerated(100, DEARER, first.input_hash))[1])
    assert found is not None
    assert (found.tariff_version, found.number) == (2, 2)


@pytest.mark.parametrize(
    "history",
    [
        (started(AC),),
        (started(AC), ended(60, 10_000)),
        (started(AC), ended(60, 10_000, flags=("refused",)), ticked(65)),
        (started(AC), ended(60, 10_000, flags=("refused",)), ticked(65), reviewed(70, "waive")),
        (*BILLED, discarded(70)),
        (started(None), ended(60, 10_000)),
    ],
)
def test_of_what_was_not_billed_or_is_no_more_there_is_nothing(history: tuple[object, ...]) -> None:
    assert billed(SESSION, after(*history)[1]) is None  # type: ignore[arg-type]


def test_a_sessions_bills_are_whole_from_its_begin_or_from_where_all_was_said_again() -> None:
    events = after(*BILLED)[1]
    known = billed(SESSION, events)
    assert known is not None
    free = after(started(Assigned("tenant", None)))[1]
    recalled: list[BillEvent] = [SessionRecalled(**ABOUT, at=NOON, billed=known)]
    assert all(is_whole(bills) for bills in (events, free, recalled))
    assert isinstance(free[0], ChargedFree)
    again = [event for event in after(*BILLED, rerated(100, DEARER, known.input_hash))[1] if event not in events]
    assert not any(is_whole(bills) for bills in ([], events[1:], again))
    assert billed(SESSION, recalled) == replace(known)
