"""Every bill of a log follows from what the log says of its session, byte for byte."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.bills import BillEvent, CdrIssued
from contracts.event import SessionId
from contracts.topics import BILLS
from services.billing.audit import again, differing
from services.billing.heard import Assigned, Heard
from tests.billing.history import AC, after
from tests.billing.says import (
    corrected,
    delivered,
    discarded,
    element,
    ended,
    presumed,
    rerated,
    reviewed,
    started,
    status,
    ticked,
    version,
)

EVENING = Assigned(
    "tenant", version(element("0.20", start_time="13:30"), element("6", "PARKING_TIME"), element("0.40"))
)
GROSS = replace(version(), tariff=replace(version().tariff, tax_included="YES"))
TARIFFS = [AC, EVENING, Assigned("tenant", GROSS)]


def from_the_log(events: list[BillEvent]) -> list[BillEvent]:
    """Return the events as they are read back."""
    return [BILLS.decode(BILLS.encode(event) or b"") for event in events]


def said(number: int, what: list[tuple[str, int, int]], assigned: Assigned) -> list[Heard[Any]]:
    """Return a session's messages, in any order."""
    session, start = SessionId(f"s{number}"), 100 * number
    history = [started(assigned, session=session, minutes=start)]
    for kind, minute, energy in what:
        at = start + minute
        message: Heard[Any] = {
            "delivered": delivered(at, energy),
            "status": status(at, "SuspendedEV" if energy % 2 else "Charging"),
            "ended": ended(at, energy),
            "refused": ended(at, energy, flags=("refused",)),
            "unknown": ended(at, None),
            "presumed": presumed(at, energy),
            "corrected": corrected(at, energy, recorded=at + 5),
            "discarded": discarded(at),
            "released": reviewed(at, review=f"r{number}{at}"),
            "waived": reviewed(at, "waive", review=f"r{number}{at}"),
            "ticked": ticked(at + 10),
        }[kind]
        fields = message.event.__struct_fields__
        event = replace(message.event, session=session) if "session" in fields else message.event
        history.append(Heard(event, message.due))
    return [*history, ticked(start + 99)]


KINDS = [
    "delivered",
    "status",
    "ended",
    "refused",
    "unknown",
    "presumed",
    "corrected",
    "discarded",
    "released",
    "waived",
]
STEPS = st.lists(
    st.tuples(st.sampled_from([*KINDS, "ticked"]), st.integers(0, 80), st.integers(0, 20_000)), max_size=12
)


@given(st.lists(st.tuples(STEPS, st.sampled_from(TARIFFS)), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_every_bill_is_worked_out_again_from_the_log(
    sessions: list[tuple[list[tuple[str, int, int]], Assigned]],
) -> None:
    history = [each for n, (steps, assigned) in enumerate(sessions) for each in said(n, steps, assigned)]
    events = from_the_log(after(*history)[1])
    assert list(differing(events)) == []
    assert len(list(again(events))) == sum(hasattr(event, "priced") for event in events)


def test_a_re_rated_bill_follows_from_its_new_version() -> None:
    billed = (started(AC), delivered(30, 8000), ended(60, 10_000), ticked(65))
    [cdr] = [event for event in after(*billed)[1] if isinstance(event, CdrIssued)]
    _, events = after(*billed, rerated(100, version(element("0.50"), number=2), cdr.priced.input_hash))
    assert [event.priced for event, _ in again(from_the_log(events))] == [now for _, now in again(events)]
    assert list(differing(events)) == []


def test_a_bill_that_somebody_changed_is_found() -> None:
    _, events = after(started(AC), ended(60, 10_000), ticked(65))
    cdr = events[-1]
    assert isinstance(cdr, CdrIssued)
    forged = replace(cdr, priced=replace(cdr.priced, energy_wh=1))
    [(event, now)] = differing([*events[:-1], forged])
    assert (event, now) == (forged, cdr.priced)
    assert msgspec.json.encode(now) == msgspec.json.encode(cdr.priced)
