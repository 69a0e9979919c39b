"""What is found in bills: each session whose CDR counts, once, with everything that its price followed from."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.bills import CdrCredited, CdrHeld, CdrIssued, ChargedFree, TariffBound, Usage
from contracts.event import SessionId, SiteId, StationId
from contracts.ratings import Choice
from services.billing.meter import END
from services.rerating.past import HEARD
from tests.billing.says import ACME, CP1, NOON, SESSION, at, corrected, delivered, discarded, ended, started, ticked
from tests.rerating.given import ASSIGNED, bills, bound_version, found, past_of, renamed, session


def test_a_billed_session_is_found_with_all_that_was_used() -> None:
    [billed] = found(bills(*session()))
    assert billed.usage == (Usage(at(0), 0), Usage(at(20), 5000), Usage(at(60), 10_000, END))
    assert billed.input_hash == billed.issued.priced.input_hash


def test_a_session_that_goes_on_or_is_held_is_not_found() -> None:
    assert found(bills(started(ASSIGNED), delivered(20, 500))) == []
    held = bills(started(ASSIGNED), ended(60, None), ticked(66))
    assert isinstance(held[-1], CdrHeld)
    assert found(held) == []


def test_what_a_corrected_session_is_billed_at_last_counts() -> None:
    written = bills(*session(), corrected(60, 12_000, recorded=70), ticked(76))
    [billed] = found(written)
    assert (billed.issued.number, billed.usage[-1]) == (2, Usage(at(60), 12_000, END))


def test_of_a_session_that_was_corrected_twice_only_the_last_bill_counts() -> None:
    once = corrected(60, 12_000, recorded=70), ticked(76)
    written = bills(*session(), *once, corrected(60, 13_000, recorded=80), ticked(86))
    assert [billed.issued.number for billed in found(written)] == [3]


def test_a_session_that_was_discarded_is_open_no_more() -> None:
    past = past_of([])
    for offset, event in enumerate(bills(started(ASSIGNED), discarded(90))):
        if isinstance(event, HEARD):
            past.hear(offset, event)
    assert len(past) == 0


def test_what_was_confirmed_counts_with_what_is_known_now() -> None:
    written = bills(*session(), corrected(61, 10_000, recorded=70), ticked(76))
    [billed] = found(written)
    assert (billed.issued.number, billed.usage[-1].at) == (1, at(61))
    assert billed.input_hash == written[-1].input_hash != billed.issued.priced.input_hash  # type: ignore[union-attr]


def test_what_was_discarded_after_its_bill_is_not_found() -> None:
    assert found(bills(*session(), discarded(90))) == []
    assert found(bills(started(ASSIGNED), discarded(90))) == []


def test_a_cdr_that_was_taken_back_is_not_found() -> None:
    written = bills(*session())
    [issued] = [each for each in written if isinstance(each, CdrIssued)]
    credit = CdrCredited(
        at=at(80), tenant=ACME, station=CP1, session=SESSION, cdr="c", credits=issued.cdr, currency="EUR",
        total_excl=None, total_incl=None,
    )  # fmt: skip
    confirmed = bills(*session(), corrected(61, 10_000, recorded=70), ticked(76))[-1]
    past = past_of([*written, credit, confirmed])
    assert [past.hear(offset, event) for offset, event in enumerate([*written, credit, confirmed])][-3:] == [None] * 3
    assert len(past) == 0


def test_a_second_tariff_of_a_session_is_the_one_that_it_has() -> None:
    written = bills(*session())
    first = written[0]
    assert isinstance(first, TariffBound)
    other = replace(first, tariff_version=2, tariff=bound_version(2, "0.10").tariff)
    [billed] = found([first, *written[1:-1], other, written[-1]])
    assert (billed.bound.tariff, billed.bound.tariff_version, len(billed.usage)) == (other.tariff, 2, 3)


def test_bills_of_sessions_that_are_not_chosen_are_passed_over() -> None:
    written = bills(*session())
    hour = timedelta(hours=1)
    for choice, is_one in [
        (Choice(first=NOON, until=NOON + hour), True),
        (Choice(first=NOON + hour), False),
        (Choice(until=NOON), False),
        (Choice(tariff="AC"), True),
        (Choice(tariff="DC"), False),
        (Choice(station=StationId("CP-1")), True),
        (Choice(station=StationId("CP-2")), False),
        (Choice(site=SiteId("oslo")), True),
        (Choice(site=SiteId("bergen")), False),
    ]:
        assert len(found(written, choice)) == is_one, choice


def test_what_has_no_tariff_means_nothing() -> None:
    free = ChargedFree(at=NOON, tenant=ACME, station=CP1, session=SessionId("free"), assignment="tenant")
    written = bills(*session())
    assert len(found([free, written[0], replace(free, session=SESSION), *written[1:]])) == 1


@given(st.lists(st.integers(0, 3), max_size=40), st.data())
@settings(deadline=None)
def test_whoever_goes_on_from_where_one_must_read_finds_the_rest(turns: list[int], data: st.DataObject) -> None:
    """Sessions that lie over one another in the log, cut anywhere: both halves together find each once."""
    histories = [renamed(bills(*session()), f"s-{number}", number) for number in range(4)]
    log = [histories[turn].pop(0) for turn in turns if histories[turn]]
    cut = data.draw(st.integers(0, len(log)))
    past, before = past_of(log), []
    for offset, event in enumerate(log[:cut]):
        before.append(past.hear(offset, event))
    resume = past.resume(cut)
    again, after = past_of(log), []
    for offset, event in enumerate(log[resume:], resume):
        billed = again.hear(offset, event)
        after.append(billed if offset >= cut else None)
    assert [each for each in before + after if each] == found(log)


def test_a_session_that_began_earlier_than_was_known_is_found_so() -> None:
    written = bills(started(ASSIGNED, minutes=50), delivered(55, 500), ended(60, 10_000, started_at=at(0)), ticked(66))
    [billed] = found(written)
    assert (billed.bound.at, billed.usage) == (at(0), (Usage(at(0), 0), Usage(at(60), 10_000, END)))
