from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from contracts.stations import Frame, Violation
from services.gateway.normalise import (
    Reader,
    Unfit,
    Ways,
    decimal,
    envelope,
    moment,
    number,
    number_with_unit,
    string,
    word,
)

# ---- frames ----


@pytest.mark.covers("C-035")
@pytest.mark.parametrize(
    ("frame", "rules"),
    [
        (b'[2,"7","Heartbeat",{}]', []),
        (b' [ 2,\t"7",\n"Heartbeat" , {} ]\r\n', []),
        (b'\xef\xbb\xbf[2,"7","Heartbeat",{}]\x00', ["Q-20"]),
        (b'[2,"7","Heartbeat",{}]\x00\n', ["Q-20"]),
        (b'[2,"7\x00\x07","Heartbeat",{}]', ["Q-21"]),
        (b'\xef\xbb\xbf[2,"7\x01","Heartbeat",{}]', ["Q-20", "Q-21"]),
    ],
)
def test_a_frame_is_read_past_what_surrounds_it(frame: bytes, rules: list[str]) -> None:
    read = envelope(frame)
    assert [bytes(part) for part in read.parts] == [b"2", b'"7"', b'"Heartbeat"', b"{}"]
    assert [violation.rule for violation in read.violations] == rules
    assert read.frame == Frame(frame.decode()), "the frame is kept as it came"


@pytest.mark.covers("Q-22", "C-035")
def test_bytes_that_are_no_utf8_are_replaced_and_kept() -> None:
    frame = b'[2,"7","Authorize",{"idTag":"M\xfcller"}]'
    read = envelope(frame)
    assert bytes(read.parts[3]) == '{"idTag":"M\ufffdller"}'.encode()
    assert read.frame == Frame(base64=frame)
    assert read.violations == (Violation("Q-22", "not UTF-8"),)


@pytest.mark.parametrize(
    ("frame", "parts", "rules", "is_doubtful"),
    [
        (b'[2,"7","Heartbeat",{}', [b"2", b'"7"', b'"Heartbeat"', b"{}"], ["Q-23"], False),
        (b'[2,"7\x01","Heart', [b"2", b'"7"'], ["Q-21", "Q-23"], True),
        (b'\xef\xbb\xbf[2,"7",', [b"2", b'"7"'], ["Q-20", "Q-23"], True),
        (b'[2,"7\xff",', [b"2", '"7\ufffd"'.encode()], ["Q-22", "Q-23"], True),
        (b'[2,\t"7",\r\n', [b"2", b'"7"'], ["Q-23"], True),
        (b'"[2,\\"7\\"]"', [b"2", b'"7"'], ["T-40"], False),
        (b'"[2,\\"7\\",', [], [], False),
        (b"[", [], ["Q-23"], False),
    ],
)
def test_a_frame_is_mended_where_there_is_one_way_to_read_it(
    frame: bytes, parts: list[bytes], rules: list[str], is_doubtful: bool
) -> None:
    read = envelope(frame)
    assert [bytes(part) for part in read.parts] == parts
    assert ([violation.rule for violation in read.violations], read.is_doubtful) == (rules, is_doubtful)


@pytest.mark.parametrize("frame", [b"", b"{", b'"x"', b"7", b'{"2":"7"}', b"GET / HTTP/1.1"])
def test_what_is_no_array_has_no_parts(frame: bytes) -> None:
    assert envelope(frame).parts == []


def test_a_string_is_what_json_calls_one() -> None:
    assert string(b'"\\u00e9"') == "é"
    assert string(b"7") is None
    assert string(b'"\\ud800"') is None


# ---- payloads ----


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


def plain(said: dict[str, Any], note: Callable[[str, str], None]) -> dict[str, Any]:
    """What is particular to a part: there may be a tilde before its name."""
    name = said.get("name")
    if not isinstance(name, str) or not name.startswith("~"):
        return said
    note("Q-89", "a tilde")
    return {"name": name[1:]}


class Thing(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    needed: int
    wanted: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, extra={"rule": "Q-77"})] | None
    note: Annotated[str, Meta(max_length=5, extra={"rule": "Q-48"})] | None = None
    plain: Annotated[str, Meta(max_length=5)] | None = None
    free: str | None = None
    seen_at: Annotated[datetime, Meta(tz=True)] | None = None
    word: Annotated[Literal["Local", "Remote"], Meta(extra={"rule": "Q-76"})] = "Local"
    bare: Literal["Local", "Remote"] = "Local"
    reason: Annotated[Literal["Local", "Other"], Meta(extra={"rule": "Q-76", "blank": "Other"})] = "Local"
    vendor: Annotated[Annotated[str, Meta(max_length=5)] | None, Meta(extra={"rule": "Q-41"})] = None
    parts: tuple[Part, ...] = ()
    flag: bool = False


READER = Reader(Thing, {Part: plain})


def repaired(**said: object) -> tuple[Thing, list[str]]:
    thing, violations = READER.read(msgspec.json.encode({"needed": 1, "wanted": 2} | said))
    return thing, [violation.rule for violation in violations]


def test_what_conforms_is_left_alone() -> None:
    assert repaired(word="Remote", parts=[{"name": "n"}]) == (Thing(1, 2, word="Remote", parts=(Part("n"),)), [])


@pytest.mark.parametrize(
    ("said", "thing", "rules"),
    [
        ({"extra": 1, "more": 2}, Thing(1, 2), ["Q-26"]),
        ({"Seen_At": "2026-01-01T12:00:00Z"}, Thing(1, 2, seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC)), ["Q-26"]),
        ({"NOTE": "n", "more": 2}, Thing(1, 2, note="n"), ["Q-26", "Q-26"]),
        ({"note": "n", "NOTE": "m"}, Thing(1, 2, note="n"), ["Q-26"]),
        ({"reason": ""}, Thing(1, 2, reason="Other"), ["Q-76"]),
        ({"reason": ' "" '}, Thing(1, 2, reason="Other"), ["Q-76"]),
        ({"reason": None}, Thing(1, 2), ["Q-76"]),
        ({"reason": "other"}, Thing(1, 2, reason="Other"), ["Q-76"]),
        ({"wanted": "1.5 kWh"}, Thing(1, 1500), ["Q-77"]),
        ({"wanted": "15 wh"}, Thing(1, 15), ["Q-77"]),
        ({"wanted": "15 V"}, Thing(1, None), ["Q-77"]),
        ({"vendor": "v" * 6}, Thing(1, 2, vendor="v" * 6), ["Q-40"]),
        ({"vendor": 7}, Thing(1, 2, vendor="7"), ["Q-41"]),
        ({"free": 1.5}, Thing(1, 2, free="1.5"), ["T-51"]),
        ({"free": [None, "é"]}, Thing(1, 2, free='[null,"é"]'), ["T-51"]),
        ({"parts": {"name": "n"}}, Thing(1, 2, parts=(Part("n"),)), ["Q-86"]),
        ({"parts": [{"name": "~n"}], "note": None}, Thing(1, 2, parts=(Part("n"),)), ["Q-48", "Q-89"]),
        ({"seenAt": 1767268800}, Thing(1, 2, seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC)), ["X-42"]),
        ({"seenAt": True}, Thing(1, 2), ["T-51"]),
        ({"seenAt": 1 << 70}, Thing(1, 2), ["T-51"]),
        ({"note": None}, Thing(1, 2), ["Q-48"]),
        ({"plain": None}, Thing(1, 2), ["T-51"]),
        ({"wanted": "123.0"}, Thing(1, 123), ["Q-77"]),
        ({"wanted": " 1,5 "}, Thing(1, 2), ["Q-77"]),
        ({"wanted": 2.5}, Thing(1, 2), ["Q-77"]),
        ({"wanted": 3.5}, Thing(1, 4), ["Q-77"]),
        ({"needed": 7.0}, Thing(7, 2), ["X-45"]),
        ({"needed": str((1 << 63) - 1)}, Thing((1 << 63) - 1, 2), ["X-45"]),
        ({"wanted": "much"}, Thing(1, None), ["Q-77"]),
        ({"wanted": True}, Thing(1, None), ["Q-77"]),
        ({"wanted": []}, Thing(1, None), ["Q-77"]),
        ({"wanted": 1e300}, Thing(1, None), ["Q-77"]),
        ({"wanted": 1 << 63}, Thing(1, None), ["Q-77"]),
        ({"wanted": "NaN"}, Thing(1, None), ["Q-77"]),
        ({"wanted": None}, Thing(1, None), ["Q-77"]),
        ({"note": "too long"}, Thing(1, 2, note="too long"), ["Q-48"]),
        ({"plain": "too long"}, Thing(1, 2, plain="too long"), ["Q-40"]),
        ({"note": 7}, Thing(1, 2, note="7"), ["Q-48"]),
        ({"note": {"a": 1}}, Thing(1, 2), ["Q-48"]),
        ({"free": {"a": 1}}, Thing(1, 2, free='{"a":1}'), ["T-51"]),
        ({"note": False}, Thing(1, 2), ["Q-48"]),
        ({"seenAt": "2026-01-01 12:00"}, Thing(1, 2, seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC)), ["X-42"]),
        (
            {"seenAt": "2026-01-01T13:00:00+01:00", "note": None},
            Thing(1, 2, seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC)),
            ["Q-48"],
        ),
        ({"seenAt": "yesterday"}, Thing(1, 2), ["T-51"]),
        ({"seenAt": 7}, Thing(1, 2), ["T-51"]),
        ({"word": "remote "}, Thing(1, 2, word="Remote"), ["Q-76"]),
        ({"word": "EVDisConnected"}, Thing(1, 2, word="EVDisConnected"), ["Q-76"]),  # type: ignore[arg-type]
        ({"bare": "remote"}, Thing(1, 2, bare="Remote"), ["T-51"]),
        ({"word": ""}, Thing(1, 2), ["Q-76"]),
        ({"word": 7}, Thing(1, 2), ["Q-76"]),
        ({"parts": []}, Thing(1, 2), []),
        ({"parts": [], "wanted": None}, Thing(1, None), ["Q-77", "Q-86"]),
        ({"parts": [{"name": "n"}, {}, 7]}, Thing(1, 2, parts=(Part("n"),)), ["Q-85", "Q-85"]),
        ({"parts": {}}, Thing(1, 2), ["T-51"]),
        ({"flag": 1}, Thing(1, 2), ["T-51"]),
    ],
)
def test_what_does_not_conform_is_read_leniently(said: dict[str, object], thing: Thing, rules: list[str]) -> None:
    assert repaired(**said) == (thing, rules)


def test_what_the_schema_requires_may_be_missing_where_we_can_do_without() -> None:
    assert READER.read(b'{"needed":1}') == (Thing(1, None), [Violation("Q-77", "wanted is missing")])


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{}", "ProtocolError"),
        (b'{"needed":null}', "ProtocolError"),
        (b'{"needed":{}}', "TypeConstraintViolation"),
        (b"[]", "FormationViolation"),
        (b"7", "FormationViolation"),
        (b'{"needed":\xff}', "FormationViolation"),
    ],
)
def test_what_is_needed_is_asked_for(payload: bytes, code: str) -> None:
    with pytest.raises(Unfit) as unfit:
        READER.read(payload)
    assert unfit.value.code == code


def test_no_object_is_an_empty_one_where_nothing_is_needed() -> None:
    class Loose(Struct, frozen=True):
        wanted: int | None

    assert Reader(Loose).read(b"[]") == (
        Loose(None),
        [Violation("T-51", "the payload is no JSON object"), Violation("T-51", "wanted is missing")],
    )


@pytest.mark.parametrize("payload", [b'[{"wanted":7}]', b'"{\\"wanted\\":7}"'])
def test_an_object_may_be_wrapped(payload: bytes) -> None:
    class Loose(Struct, frozen=True):
        wanted: int | None

    loose, violations = Reader(Loose).read(payload)
    assert (loose, [violation.rule for violation in violations]) == (Loose(7), ["T-51"])


def test_half_a_character_is_replaced_and_counted() -> None:
    thing, violations = READER.read(b'{"needed":1,"wanted":2,"free":"a\\ud800","word":"\\ud800","seenAt":"\\ud800"}')
    assert (thing.free, thing.word, thing.seen_at) == ("a?", "?", None)
    assert [violation.rule for violation in violations] == ["Q-22", "T-51", "Q-22", "Q-76"]


@pytest.mark.covers("X-42", "Q-101")
def test_a_time_without_a_zone_is_of_the_stations_where_that_is_known() -> None:
    oslo = Ways(zone=ZoneInfo("Europe/Oslo"))
    thing, _ = READER.read(b'{"needed":1,"wanted":2,"seenAt":"2026-07-01T12:00:00"}', oslo)
    assert thing.seen_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    thing, _ = READER.read(b'{"needed":1,"wanted":2,"seenAt":"2026-07-01T12:00:00 Z"}', oslo)
    assert thing.seen_at == datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.covers("Q-77")
@pytest.mark.parametrize(
    ("said", "wh"), [("12", 12_000), ("12.3456", 12_346), ('"900 Wh"', 900), ('"1 kWh"', 1000), ('"x"', None)]
)
def test_registers_are_in_kwh_where_that_is_known(said: str, wh: int | None) -> None:
    thing, violations = READER.read(f'{{"needed":7,"wanted":{said}}}'.encode(), Ways(registers_in_kwh=True))
    assert (thing, [violation.rule for violation in violations]) == (Thing(7, wh), ["Q-77"])


@pytest.mark.covers("C-034")
@pytest.mark.parametrize("digits", [20, 500, 5000])
def test_numbers_of_any_size_are_survived(digits: int) -> None:
    thing, violations = READER.read(b'{"needed":1,"wanted":%b,"note":"n"}' % (b"9" * digits))
    assert (thing, [violation.rule for violation in violations]) == (Thing(1, None, note="n"), ["Q-77"])


def test_details_never_repeat_what_a_station_wrote() -> None:
    _, violations = READER.read(b'{"needed":"1","wanted":null,"note":"04A1B2C3D4","plain":"04A1B2C3D4","word":"04A1"}')
    assert "04A1" not in repr(violations)


# ---- values ----


@pytest.mark.covers("Q-85", "X-47", "C-065")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("604.213", "604.213"),
        ("-7", "-7"),
        (" 0.0", "0.0"),
        ("1,5", "1.5"),
        ("1e3", "1000"),
        ("+2", "2"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1,234.5", "1234.5"),
        ("1.234,5", "1234.5"),
        ("12 345,6", "12345.6"),
        ("-1 234", "-1234"),
        ("1'234", "1234"),
    ],
)
def test_a_meter_may_write_its_numbers_as_it_likes(text: str, value: str) -> None:
    found = number(text)
    assert found is not None
    assert found[0] == value
    assert found[1] is (text == value)


@pytest.mark.covers("Q-85", "C-065")
@pytest.mark.parametrize(
    "text", ["", "abc", "NaN", "Infinity", "1.2.3", "1e400", "--1", "1,2,3", "1.2,3,4", "1,2.3.4", "12 34", "9" * 41]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize("value", [True, None, [], {}, "x"])
def test_only_numbers_are_decimal(value: object) -> None:
    assert decimal(value) is None


@pytest.mark.covers("X-42", "Q-101", "Q-103", "C-070")
@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00.000000000Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T13:00:00+0100",
        "2026-01-31T13:00:00+01",
        "2026-01-31T06:30:00-05:30",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00",
        "2026-1-31T12:00:00 Z",
        "2026-01-31T12:00",
        " 2026-01-31T12:00:00Z\0",
        "2026/01/31 12:00:00",
        "20260131T120000Z",
        "2026-01-31T12:00:00 UTC",
        "2026-01-31 12:00:00 GMT",
        "31.01.2026 12:00:00",
        "2026-01-31T14:00:00+2",
        "2026-01-31T14:00:00+02:00Z",
        "2026-01-31_12:00:00",
        "1769860800",
        "1769860800000",
        "1769860800.0",
    ],
)
def test_a_moment_may_be_written_in_many_ways(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.covers("X-42")
def test_fractions_and_leap_seconds_are_understood() -> None:
    assert moment("2026-01-31T12:00:00,5Z") == datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)
    assert moment("2026-01-31T23:59:60Z") == datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert moment("2026-01-31T12:00:00.Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.covers("X-42")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "now",
        "2026131T120000Z",
        "2026-01/31 12:00:00",
        "17698608",
        "2026-01-01T24:01:00Z",
        "9999-12-31T24:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
    ],
)
def test_what_names_no_moment_is_none(text: str) -> None:
    assert moment(text) is None


@pytest.mark.covers("X-42", "Q-103")
def test_midnight_may_be_the_end_of_a_day() -> None:
    assert moment("2026-01-31T24:00:00Z") == datetime(2026, 2, 1, tzinfo=UTC)
    assert moment("2026-01-31 24:00") == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.covers("Q-87", "Q-89", "Q-47")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("kWh", "kWh"),
        ("K.W.H", "kWh"),
        ("kilowatt hours", "kWh"),
        ("%", "Percent"),
        ("°C", "Celsius"),
        ("-", None),
        ("", None),
        ("Wh/x", None),
    ],
)
def test_a_word_is_found_in_other_letters(said: str, meant: str | None) -> None:
    assert word(("Wh", "kWh", "Percent", "Celsius"), said) == meant


def test_an_alias_counts_only_where_its_word_is_one() -> None:
    assert word(("L1", "L2"), "1") == "L1"
    assert word(("Wh",), "1") is None


@pytest.mark.covers("Q-85")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12.3 kWh", ("12.3", "kWh")),
        ("1,5kWh", ("1.5", "kWh")),
        ("55 %", ("55", "%")),
        ("5", None),
        ("kWh", None),
        ("1.2.3 V", None),
    ],
)
def test_a_number_may_have_its_unit_behind_it(text: str, found: tuple[str, str] | None) -> None:
    assert number_with_unit(text) == found


def test_a_zone_beyond_a_day_is_none() -> None:
    assert moment("2026-01-31T12:00:00+99:00") is None


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_every_moment_we_write_is_read_back(written: datetime) -> None:
    assert moment(written.isoformat()) == written


@given(st.text(max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    moment(text)
    number(text)


def test_a_whole_number_beyond_64_bits_is_none() -> None:
    with pytest.raises(Unfit):
        repaired(needed=str(1 << 63))


@pytest.mark.covers("Q-87")
@pytest.mark.parametrize(
    ("said", "meant"), [("amps", "A"), ("Ampere", "A"), ("volt ampere", "VA"), ("Kilowatts", "kW")]
)
def test_a_unit_may_be_spelt_out(said: str, meant: str) -> None:
    assert word(("A", "VA", "W", "kW"), said) == meant
