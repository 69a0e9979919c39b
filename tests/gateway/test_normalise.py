from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from contracts.stations import Frame, Violation
from services.gateway.normalise import Reader, Unfit, decimal, envelope, moment, number, string

# ---- frames ----


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
def test_a_frame_is_read_past_what_surrounds_it_c035(frame: bytes, rules: list[str]) -> None:
    read = envelope(frame)
    assert [bytes(part) for part in read.parts] == [b"2", b'"7"', b'"Heartbeat"', b"{}"]
    assert [violation.rule for violation in read.violations] == rules
    assert read.frame == Frame(frame.decode()), "the frame is kept as it came"


def test_bytes_that_are_no_utf8_are_replaced_and_kept_q22_c035() -> None:
    frame = b'[2,"7","Authorize",{"idTag":"M\xfcller"}]'
    read = envelope(frame)
    assert bytes(read.parts[3]) == '{"idTag":"M\ufffdller"}'.encode()
    assert read.frame == Frame(base64=frame)
    assert read.violations == (Violation("Q-22", "not UTF-8"),)


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


class Thing(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    needed: int
    wanted: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, extra={"rule": "Q-77"})] | None
    note: Annotated[str, Meta(max_length=5, extra={"rule": "Q-48"})] | None = None
    plain: Annotated[str, Meta(max_length=5)] | None = None
    free: str | None = None
    seen_at: Annotated[datetime, Meta(tz=True)] | None = None
    word: Annotated[Literal["Local", "Remote"], Meta(extra={"rule": "Q-76"})] = "Local"
    bare: Literal["Local", "Remote"] = "Local"
    parts: tuple[Part, ...] = ()
    flag: bool = False


READER = Reader(Thing)


def repaired(**said: object) -> tuple[Thing, list[str]]:
    thing, violations = READER.read(msgspec.json.encode({"needed": 1, "wanted": 2} | said))
    return thing, [violation.rule for violation in violations]


def test_what_conforms_is_left_alone() -> None:
    assert repaired(word="Remote", parts=[{"name": "n"}]) == (Thing(1, 2, word="Remote", parts=(Part("n"),)), [])


@pytest.mark.parametrize(
    ("said", "thing", "rules"),
    [
        ({"extra": 1, "more": 2}, Thing(1, 2), ["Q-26"]),
        ({"note": None}, Thing(1, 2), ["Q-48"]),
        ({"plain": None}, Thing(1, 2), ["T-51"]),
        ({"wanted": "123.0"}, Thing(1, 123), ["Q-77"]),
        ({"wanted": " 1,5 "}, Thing(1, 2), ["Q-77"]),
        ({"wanted": 2.5}, Thing(1, 2), ["Q-77"]),
        ({"wanted": 3.5}, Thing(1, 4), ["Q-77"]),
        ({"needed": 7.0}, Thing(7, 2), ["X-45"]),
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


@pytest.mark.covers("C-034")
@pytest.mark.parametrize("digits", [20, 500, 5000])
def test_numbers_of_any_size_are_survived(digits: int) -> None:
    thing, violations = READER.read(b'{"needed":1,"wanted":%b,"note":"n"}' % (b"9" * digits))
    assert (thing, [violation.rule for violation in violations]) == (Thing(1, None, note="n"), ["Q-77"])


def test_details_never_repeat_what_a_station_wrote() -> None:
    _, violations = READER.read(b'{"needed":"1","wanted":null,"note":"04A1B2C3D4","plain":"04A1B2C3D4","word":"04A1"}')
    assert "04A1" not in repr(violations)


# ---- values ----


@pytest.mark.parametrize(
    ("text", "value"),
    [("604.213", "604.213"), ("-7", "-7"), (" 0.0", "0.0"), ("1,5", "1.5"), ("1e3", "1000"), ("+2", "2")],
)
def test_a_meter_may_write_its_numbers_as_it_likes_q85_x47_c065(text: str, value: str) -> None:
    found = number(text)
    assert found is not None
    assert found[0] == value
    assert found[1] is (text == value)


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1.2.3", "1e400", "--1"])
def test_what_is_no_number_is_none_q85_c065(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize("value", [True, None, [], {}, "x"])
def test_only_numbers_are_decimal(value: object) -> None:
    assert decimal(value) is None


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
    ],
)
def test_a_moment_may_be_written_in_many_ways_x42_q101_q103_c070(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_fractions_and_leap_seconds_are_understood_x42() -> None:
    assert moment("2026-01-31T12:00:00,5Z") == datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)
    assert moment("2026-01-31T23:59:60Z") == datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert moment("2026-01-31T12:00:00.Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "0", "now", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"]
)
def test_what_names_no_moment_is_none_x42(text: str) -> None:
    assert moment(text) is None


def test_a_zone_beyond_a_day_is_none() -> None:
    assert moment("2026-01-31T12:00:00+99:00") is None


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_every_moment_we_write_is_read_back(written: datetime) -> None:
    assert moment(written.isoformat()) == written


@given(st.text(max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    moment(text)
    number(text)
