"""Which number a document gets."""

from hypothesis import given as each
from hypothesis import strategies as st

from chassis.decider import step
from contracts.event import Message, Ticked
from services.invoicing import domain
from services.invoicing.domain import BLOCK, DIGEST, KEPT, Series, blocks
from tests.given import given
from tests.invoicing.given import DECEMBER, asked


def test_the_first_draft_of_a_series_is_number_1_and_the_next_is_2() -> None:
    (first,) = given(domain).when(asked(5))
    assert (first.number, first.name, first.draft) == (1, "2026-INV-000001", asked(5).event.draft)
    (second,) = given(domain, first).when(asked(6))
    assert (second.number, second.name, second.at) == (2, "2026-INV-000002", DECEMBER)


def test_what_comes_again_from_where_it_came_has_its_number() -> None:
    (first,) = given(domain).when(asked(5))
    assert given(domain, first).when(asked(5)) == []
    assert given(domain, first).when(asked(4)) == []


def test_every_partition_of_the_ledger_has_an_order_of_its_own() -> None:
    (first,) = given(domain).when(asked(5))
    (second,) = given(domain, first).when(asked(3, part=1))
    assert second.number == 2


def test_a_draft_that_lies_in_the_ledger_twice_has_one_number() -> None:
    (first,) = given(domain).when(asked(5, "the same"))
    assert given(domain, first).when(asked(6, "the same")) == []
    assert given(domain, first).when(asked(1, "the same", part=1)) == []


def test_what_is_no_draft_gets_no_number() -> None:
    assert given(domain).when(Message(Ticked(at=DECEMBER), "tick", DECEMBER)) == []


def test_a_thousand_drafts_at_least_are_remembered_by_their_ids_and_no_more_than_twice_as_many() -> None:
    state = Series()
    for offset in range(3000):
        state, _ = step(domain, state, asked(offset))
        assert len(state.lately) <= 2 * KEPT
    assert state.last == 3000
    again = [asked(offset, f"0-{offset - 4000}") for offset in range(6000, 7000)]
    assert given(domain).when(again[0]) != []
    assert all(not domain.decide(state, message) for message in again)


def test_what_is_remembered_of_drafts_stays_where_it_is_until_the_older_half_is_forgotten() -> None:
    state, first = Series(), set[bytes]()
    for offset in range(2 * KEPT // DIGEST):
        state, _ = step(domain, state, asked(offset))
        first |= {state.lately[:DIGEST]}
    assert (len(first), len(state.lately)) == (1, 2 * KEPT)
    state, _ = step(domain, state, asked(2 * KEPT // DIGEST))
    assert len(state.lately) == KEPT + DIGEST


def test_blocks_are_the_whole_and_only_the_last_changes() -> None:
    lately = bytes(range(256)) * (3 * BLOCK // 256) + bytes(DIGEST)
    divided = list(blocks(lately))
    assert b"".join(block for _, block in divided) == lately
    assert list(blocks(lately + bytes(DIGEST)))[:-1] == divided[:-1]


@each(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9))))
def test_whatever_is_repeated_numbers_have_no_gap_and_each_draft_has_one(said: list[tuple[int, int]]) -> None:
    state, numbers = Series(), dict[str, int]()
    for part, offset in said:
        state, events = step(domain, state, asked(offset, part=part))
        for event in events:
            assert event.draft.invoice not in numbers
            numbers[event.draft.invoice] = event.number
    assert sorted(numbers.values()) == list(range(1, len(numbers) + 1))
