"""States in parts: whatever changes, the records are one state again, and little of them is written."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from chassis.parts import Form, Found, part_key
from chassis.stream import Stream
from tests.chassis import toy
from tests.chassis.test_loop import _fields


class Book(Struct, frozen=True, tag=True, omit_defaults=True):
    """Something with a large past."""

    title: str = ""
    notes: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    ink: bytes = b""


class Blank(Struct, frozen=True, tag=True):
    """Nothing is written yet."""


def by_tens(value: tuple[int, ...] | bytes) -> list[tuple[str, object]]:
    return [(str(at // 10), value[at : at + 10]) for at in range(0, len(value), 10)]


def form(**how: object) -> Form:
    apart = {"notes": None, "pages": by_tens, "ink": by_tens}
    return Form(Stream(**{**_fields(toy.stream()), "state": Book | Blank, "apart": apart, **how}))


BOOKS = st.builds(
    Book,
    title=st.text(max_size=3),
    notes=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    pages=st.lists(st.integers(0, 9), max_size=35).map(tuple),
    ink=st.binary(max_size=35),
)
STATES = BOOKS | st.just(Blank())
KEY = b"acme/a station/with slashes"


class Shelf:
    """The state topic, as compaction leaves it."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def put(self, records: dict[bytes, bytes | None]) -> None:
        for key, value in records.items():
            self.records.pop(key, None)
            if value is not None:
                self.records[key] = value

    def found(self) -> Found:
        found = Found()
        for key, value in self.records.items():
            found.take(key, value)
        return found

    def read(self, by: Form) -> tuple[object, bool]:
        found = self.found()
        return by.read(found.states[KEY], found.parts.get(KEY, {}))


@given(st.lists(STATES, min_size=1, max_size=8))
def test_whatever_changes_the_records_are_the_state_and_nothing_else(history: list[Book | Blank]) -> None:
    shelf, ours, before = Shelf(), form(), None
    for state in history:
        shelf.put(ours.write(KEY, state, before))
        before = state
        assert shelf.read(ours) == (state, True)
    assert shelf.records == ours.write(KEY, history[-1]), "the same as if it had been written whole"


def test_only_what_has_changed_is_written() -> None:
    ours = form()
    book = Book(title="a", notes=("n",), pages=tuple(range(40)), ink=bytes(40))
    assert set(ours.write(KEY, msgspec.structs.replace(book, title="b"), book)) == {KEY}
    longer = msgspec.structs.replace(book, pages=(*book.pages, 40))
    assert set(ours.write(KEY, longer, book)) == {KEY, part_key("pages", KEY), part_key("pages.4", KEY)}
    other = msgspec.structs.replace(book, ink=bytes(39) + b"x")
    assert set(ours.write(KEY, other, book)) == {KEY, part_key("ink.3", KEY)}


def test_a_part_that_is_no_more_is_deleted() -> None:
    ours = form()
    book = Book(notes=("n",), pages=tuple(range(20)))
    records = ours.write(KEY, msgspec.structs.replace(book, notes=(), pages=tuple(range(10))), book)
    assert records[part_key("notes", KEY)] is records[part_key("pages.1", KEY)] is None


def test_a_state_with_a_part_missing_is_no_state() -> None:
    shelf, ours = Shelf(), form()
    shelf.put(ours.write(KEY, Book(pages=tuple(range(20)))))
    del shelf.records[part_key("pages.1", KEY)]
    with pytest.raises(KeyError):
        shelf.read(ours)


def test_a_release_without_parts_cannot_read_a_state_in_parts() -> None:
    class Former(Struct):
        version: int
        state: msgspec.Raw

    value = form().write(KEY, Book(title="a", notes=("n",)))[KEY]
    assert value is not None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(value, type=Former)


def test_a_state_that_was_written_whole_is_read_and_then_written_in_parts() -> None:
    book = Book(title="a", notes=("n",), ink=b"ink")
    shelf, ours = Shelf(), form()
    shelf.put(form(apart={}).write(KEY, book))
    assert shelf.read(ours) == (book, False)
    shelf.put(ours.write(KEY, book, None, ()))
    assert shelf.read(ours) == (book, True)


def test_an_older_shape_in_parts_is_lifted_whole_and_leaves_no_part_behind() -> None:
    shelf = Shelf()
    shelf.put(form().write(KEY, Book(title="a", ink=b"black and blue", pages=tuple(range(25)))))

    def brighter(shape: dict[str, object]) -> dict[str, object]:
        return {**shape, "ink": base64.b64encode(b"red").decode(), "pages": [7]}

    later = form(version=2, upcasts={1: brighter})
    state, as_ours = shelf.read(later)
    assert (state, as_ours) == (Book(title="a", ink=b"red", pages=(7,)), False)
    shelf.put(later.write(KEY, state, None, shelf.found().parts[KEY]))
    assert shelf.read(later) == (state, True)
    assert shelf.records == later.write(KEY, state)
