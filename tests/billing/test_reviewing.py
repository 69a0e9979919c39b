"""What a person decides of a session that was held."""

from decimal import Decimal

from contracts.bills import CdrConfirmed, CdrCredited, CdrHeld, CdrIssued, CdrWaived, Review, ReviewRefused
from contracts.event import RequestId, SessionId
from contracts.tariffs import Policy, Tariff
from services.billing import domain
from services.billing.heard import Assigned
from tests.billing.history import AC, after, kinds, last
from tests.billing.says import ANNA, corrected, ended, reviewed, started, ticked, version

DOUBTED = (started(AC), ended(60, 10_000, flags=("refused",)), ticked(65))
GROSS = Tariff("AC", "EUR", version().tariff.elements, tax_included="YES")


def gross(policy: Policy | None = None) -> Assigned:
    one = version(policy=policy)
    return Assigned("tenant", type(one)(**{n: getattr(one, n) for n in one.__struct_fields__} | {"tariff": GROSS}))


def test_what_is_released_is_billed_and_names_its_review() -> None:
    state, events = after(*DOUBTED, reviewed(90))
    cdr = last(events, CdrIssued)
    assert (cdr.priced.total_excl, cdr.at, cdr.number) == (Decimal("4.00"), reviewed(90).event.at, 1)
    assert cdr.review == Review(RequestId("rev-1"), "release", "seen", "ops")
    assert domain.deadline(state) is None


def test_what_is_waived_is_never_billed_whatever_is_heard_of_it() -> None:
    _, events = after(*DOUBTED, reviewed(90, "waive"), corrected(60, 12_000, recorded=100), ticked(105))
    assert kinds(events)[-1] is CdrWaived
    waived = last(events, CdrWaived)
    assert (waived.cdr, waived.account, waived.currency) == (None, ANNA, "EUR")


def test_a_decision_is_taken_once() -> None:
    once = after(*DOUBTED, reviewed(90))
    assert after(*DOUBTED, reviewed(90), reviewed(90)) == once
    _, events = after(*DOUBTED, reviewed(90), reviewed(91, "waive", fingerprint="other"))
    assert last(events, ReviewRefused).reason == "idempotency_key_reused"
    for decision in ("release", "waive"):
        _, events = after(*DOUBTED, reviewed(90, decision), reviewed(95, review="rev-2"))
        assert last(events, ReviewRefused).reason == "already_decided"
        assert kinds(events).count(CdrIssued) == (decision == "release")


def test_where_nothing_is_held_nothing_can_be_decided() -> None:
    for history in ((), (started(AC),), (started(AC), ended(60, 10_000)), (started(AC), ended(60, 10_000), ticked(65))):
        _, events = after(*history, reviewed(90))
        assert last(events, ReviewRefused).reason == "nothing_held"
    assert last(after(reviewed(90, session=SessionId("x")))[1], ReviewRefused).review.reason == "seen"


def test_what_becomes_known_while_it_is_held_is_looked_at_again() -> None:
    later = (corrected(60, 12_000, recorded=70, flags=("refused",)), reviewed(71), ticked(75), reviewed(90, review="b"))
    _, events = after(*DOUBTED, *later)
    assert last(events, ReviewRefused).reason == "nothing_held"
    assert last(events, CdrIssued).priced.total_excl == Decimal("4.80")


def test_a_correction_that_is_dearer_for_a_consumer_waits_for_a_person() -> None:
    billed = (started(gross()), ended(60, 10_000), ticked(65))
    _, events = after(*billed, corrected(60, 12_000, recorded=100), ticked(105))
    held = last(events, CdrHeld)
    assert (held.why, held.corrects) == (("requires_approval",), last(events, CdrIssued).cdr)
    _, events = after(*billed, corrected(60, 9000, recorded=100), ticked(105))
    assert kinds(events)[-2:] == [CdrCredited, CdrIssued]


def test_a_dearer_correction_is_issued_or_dropped_as_the_person_says() -> None:
    history = (started(gross()), ended(60, 10_000), ticked(65), corrected(60, 12_000, recorded=100), ticked(105))
    _, events = after(*history, reviewed(110))
    assert kinds(events)[-2:] == [CdrCredited, CdrIssued]
    assert last(events, CdrIssued).priced.total_incl == Decimal("4.80")
    state, events = after(*history, reviewed(110, "waive"))
    first = last(events, CdrIssued)
    assert last(events, CdrWaived).cdr == first.cdr
    assert state.over[0].cdr == first.cdr
    assert (state.over[0].waived, state.over[0].is_held, state.over[0].is_billed) == (True, False, False)


def test_a_policy_says_whether_what_is_dearer_is_held() -> None:
    def kind(assigned: Assigned) -> type:
        history = (started(assigned), ended(60, 10_000), ticked(65), corrected(60, 12_000, recorded=100), ticked(105))
        return kinds(after(*history)[1])[-1]

    assert kind(gross(Policy(dearer="issued"))) is CdrIssued
    assert kind(Assigned("tenant", version(policy=Policy(dearer="held")))) is CdrHeld
    assert kind(AC) is CdrIssued


def test_what_is_released_and_comes_to_the_same_is_confirmed() -> None:
    doubted = corrected(61, 10_000, recorded=100, flags=("refused",))
    _, events = after(started(AC), ended(60, 10_000), ticked(65), doubted, ticked(105), reviewed(110))
    assert kinds(events)[-2:] == [CdrHeld, CdrConfirmed]
    assert last(events, CdrConfirmed).review.id == "rev-1"


def test_what_was_billed_long_ago_is_corrected_by_a_person() -> None:
    day = 24 * 60
    history = (started(AC), ended(60, 10_000), ticked(65), corrected(60, 12_000, recorded=61 * day))
    _, events = after(*history, ticked(61 * day + 5))
    assert last(events, CdrHeld).why == ("long_ago",)
