import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.mend import DEEPEST, mended

CALL = '[2,"9","StopTransaction",%s]'


def read(text: str) -> tuple[object, list[str], bool]:
    """What a text says, by which rules, and whether something was left out."""
    found = mended(text)
    assert found is not None
    return msgspec.json.decode(found.text), [violation.rule for violation in found.violations], found.is_doubtful


def payload(text: str) -> tuple[object, list[str], bool]:
    said, rules, is_doubtful = read(CALL % text)
    assert isinstance(said, list)
    return said[3], rules, is_doubtful


@pytest.mark.parametrize(
    ("text", "said", "rules"),
    [
        pytest.param('{"a":[,{"b":1}]}', {"a": [{"b": 1}]}, ["Q-24"], marks=pytest.mark.covers("Q-24")),
        pytest.param('{,"a":1}', {"a": 1}, ["Q-24"], marks=pytest.mark.covers("Q-24")),
        pytest.param('{"a":,"b":2}', {"b": 2}, ["Q-25"], marks=pytest.mark.covers("Q-25")),
        pytest.param('{"b":2,"a":}', {"b": 2}, ["Q-25"], marks=pytest.mark.covers("Q-25")),
        pytest.param('{"b":2,"a"}', {"b": 2}, ["Q-25"], marks=pytest.mark.covers("Q-25")),
        ('{"a":1,}', {"a": 1}, ["Q-39"]),
        ("[1,,2,]", [1, 2], ["Q-39"]),
        ('{"a":1 "b":2}', {"a": 1, "b": 2}, ["Q-39"]),
        ('{"a":[1 2]}', {"a": [1, 2]}, ["Q-39"]),
        ("{'a':'b'}", {"a": "b"}, ["Q-39"]),
        ('{"a":1}}', {"a": 1}, ["Q-39"]),
        ('{"a":0012}', {"a": 12}, ["Q-39"]),
        ('{"a":-007.50}', {"a": -7.5}, ["Q-39"]),
        ('{"a":+5}', {"a": 5}, ["Q-39"]),
        ('{"a":.5}', {"a": 0.5}, ["Q-39"]),
        ('{"a":5.}', {"a": 5}, ["Q-39"]),
        ('{"a":00}', {"a": 0}, ["Q-39"]),
        ('{"a":1/*what*/}', {"a": 1}, ["Q-39"]),
        ('{"a":1//what\n}', {"a": 1}, ["Q-39"]),
        (r'{"a":"C:\path"}', {"a": r"C:\path"}, ["Q-22"]),
        (r'{"a":"\ud800x"}', {"a": "?x"}, ["Q-22"]),
        (r'{"a":"\u00e9\"","b":,}', {"a": 'é"'}, ["Q-25", "Q-39"]),
    ],
)
def test_what_has_one_way_to_be_read_is_read_that_way(text: str, said: object, rules: list[str]) -> None:
    assert payload(text) == (said, rules, False)


@pytest.mark.covers("T-49", "Q-23")
@pytest.mark.parametrize(
    ("text", "said", "is_doubtful"),
    [
        ('[3,"x",{"configurationKey":[]', [3, "x", {"configurationKey": []}], False),
        ('[2,"9","Heartbeat",{}', [2, "9", "Heartbeat", {}], False),
        ('[2,"9","Heart', [2, "9"], True),
        ('[2,"9","M",{"a":900,"b":90', [2, "9", "M", {"a": 900}], True),
        ('[2,"9","M",{"a":900,"ti', [2, "9", "M", {"a": 900}], True),
        ('[2,"9","M",{"a":900,', [2, "9", "M", {"a": 900}], True),
        ('[2,"9","M",{"a":900,"b"', [2, "9", "M", {"a": 900}], True),
        ('[2,"9","M",{"a":900,"b":', [2, "9", "M", {"a": 900}], True),
        ('[2,"9","M",{"a":"900"', [2, "9", "M", {"a": "900"}], False),
        ("[2,17", [2], True),
        ("[", [], False),
    ],
)
def test_an_end_that_is_missing_is_added_and_half_a_word_left_out(text: str, said: object, is_doubtful: bool) -> None:
    assert read(text) == (said, ["Q-23"], is_doubtful)


@pytest.mark.parametrize(
    ("text", "said", "rules"),
    [
        ('{"a":NaN,"b":1}', {"a": None, "b": 1}, ["Q-39"]),
        ('{"a":-Infinity,"b":1}', {"a": None, "b": 1}, ["Q-39"]),
        ('{"a":.,"b":1}', {"a": None, "b": 1}, ["Q-39"]),
        ('{"a":[{"b":1}}', {"a": [{"b": 1}]}, ["Q-23"]),
        ('{"a":1,b:2}', {"a": 1}, ["Q-23"]),
        ('{"a":1,"b" "c"}', {"a": 1}, ["Q-23"]),
        ('{"a":1,"b":"c":"d"}', {"a": 1, "b": "c"}, ["Q-23"]),
        ('{"a":1,[2]}', {"a": 1}, ["Q-23"]),
        ('{"a":1,7:2}', {"a": 1}, ["Q-23"]),
        ('{"a":1 7:2}', {"a": 1}, ["Q-39", "Q-23"]),
        ('{"a":1,:2}', {"a": 1}, ["Q-23"]),
        ('{"a":1,"b":"\n', {"a": 1}, ["Q-23"]),
    ],
)
@pytest.mark.covers("Q-39")
def test_what_cannot_be_read_is_left_out_and_said_to_be(text: str, said: object, rules: list[str]) -> None:
    assert payload(text) == (said, rules, True)


def test_what_follows_the_end_is_overlooked() -> None:
    assert read('[2,"9","Heartbeat",{}]]x') == ([2, "9", "Heartbeat", {}], ["T-40"], False)


@pytest.mark.parametrize("text", ["", " ", "{}", '"x"', "7", "x[", '{"a":['])
def test_what_does_not_begin_like_an_array_is_none(text: str) -> None:
    assert mended(text) is None


@pytest.mark.covers("T-50", "C-034")
def test_no_deeper_than_anybody_would_nest() -> None:
    said, rules, is_doubtful = read("[" * 100_000)
    assert msgspec.json.encode(said) == b"[" * DEEPEST + b"]" * DEEPEST
    assert (rules, is_doubtful) == (["Q-23"], True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=4))
def test_what_is_json_stays_what_it_is(said: list[object]) -> None:
    assert read(msgspec.json.encode(said).decode()) == (said, [], False)


@given(st.lists(VALUES, max_size=4), st.integers(min_value=1, max_value=60), st.text("[]{},:\"\\'0aN ", max_size=3))
def test_whatever_begins_like_an_array_becomes_one(said: list[object], place: int, odd: str) -> None:
    text = msgspec.json.encode(said).decode()
    for broken in (text[:place], text[:place] + odd, text[:place] + odd + text[place:]):
        found = mended(broken)
        assert found is not None
        assert isinstance(msgspec.json.decode(found.text), list)


@pytest.mark.parametrize("frame", ['[2,"7","Heartbeat",tru', '[2,"7","Heartbeat",{"a":1', '[2,"7","Heartbeat",{"a":12'])
def test_blanks_behind_what_is_cut_off_change_nothing(frame: str) -> None:
    assert mended(frame + " \r\n") == mended(frame)


def test_an_escape_of_a_backslash_is_no_escape_of_what_follows() -> None:
    found = mended(r'[2,"\\0\\\0",]')
    assert found is not None
    assert msgspec.json.decode(found.text) == [2, r"\0\\0"]
