"""What is no case is refused, with its place and what is wrong there."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.billing.__main__ import price
from services.billing.said import read
from services.billing.tariff import Unpriceable
from tests.billing.given import component, element, energy, priced, sample, session, tariff

MONEY = tariff(element(energy("0.40")))
HOUR = (sample("08:00", "100000"), sample("09:00", "110000", "END"))
WINDOW = {"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:00:00Z"}


def refused(tariff_: Any, session_: dict[str, Any]) -> str:
    with pytest.raises(Unpriceable) as said:
        priced(tariff_, session_)
    return str(said.value)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"t": 5}, "samples[1]: 5 is no time"),
        ({"t": "0001-01-01T00:00:00+14:00"}, "samples[1]: '0001-01-01T00:00:00+14:00' is not between 1970 and 2200"),
        ({"t": "9999-12-31T23:59:59-14:00"}, "samples[1]: '9999-12-31T23:59:59-14:00' is not between 1970 and 2200"),
        ({"t": "2200-01-01T00:00:00Z"}, "is not between"),
        ({"wh": "x"}, "samples[1]: wh is no number that a meter shows"),
        ({"wh": True}, "samples[1]: wh is no number that a meter shows"),
        ({"wh": [1]}, "samples[1]: wh is no number that a meter shows"),
        ({"wh": "NaN"}, "samples[1]: wh is no number that a meter shows"),
        ({"state": 7}, "samples[1]: state is a text"),
        ({"tariff_id": {}}, "samples[1]: tariff_id is a text"),
        ({"amps": []}, "samples[1]: amps names no phase"),
        ({"amps": [16, "x"]}, "samples[1]: amps is no number that a meter shows"),
        ({"kw": {}}, "samples[1]: kw is no number that a meter shows"),
    ],
)
def test_a_sample_that_is_none_is_refused(wrong: dict[str, Any], why: str) -> None:
    assert why in refused(MONEY, session(HOUR[0], sample("08:30", "105000") | wrong, HOUR[1]))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"samples": {}}, "samples is a list"),
        ({"samples": ""}, "samples is a list"),
        ({"samples": [[]]}, "samples[0] has no time t"),
        ({"timezone": "\ud800"}, "timezone: '\\ud800' is no time zone"),
        ({"timezone": None}, "timezone: None is no time zone"),
        ({"policy": []}, "policy: Expected `object`"),
        ({"policy": {"idle_grace_s": -1}}, "policy: a time or an energy is negative"),
        ({"policy": {"idle_debounce_s": -1}}, "policy: a time or an energy is negative"),
        ({"policy": {"void_below_wh": -1}}, "policy: a time or an energy is negative"),
        ({"policy": {"void_below_s": -1}}, "policy: a time or an energy is negative"),
        ({"policy": {"max_power_kw": "0"}}, "policy: max_power_kw is no power"),
        ({"policy": {"max_power_kw": "Infinity"}}, "policy: max_power_kw is no power"),
        ({"policy": {"discounts": [{"percent": "101"}]}}, "policy: a discount is from 0 to 100 percent"),
        ({"policy": {"dearer": "\ud800"}}, "policy: "),
        ({"reservation": "soon"}, "reservation: it is {"),
        ({"reservation": {"start": WINDOW["start"]}}, "reservation: it is {"),
        ({"reservation": WINDOW | {"end": "late"}}, "reservation: 'late' is no time"),
        ({"reservation": WINDOW | {"outcome": "LOST"}}, "reservation: outcome: Invalid enum value 'LOST'"),
    ],
)
def test_a_session_that_is_none_is_refused(wrong: dict[str, Any], why: str) -> None:
    assert why in refused(MONEY, session(*HOUR) | wrong)


def test_what_is_null_is_left_out() -> None:
    said = session(*HOUR) | {"policy": None, "reservation": None}
    assert priced(MONEY, said) == priced(MONEY, session(*HOUR))
    assert priced(MONEY, {"samples": None, "reservation": WINDOW})["total_excl"] == "0.00"


def test_a_time_without_an_offset_and_a_session_without_a_zone_are_utcs() -> None:
    day = tariff(element(energy("0.40"), start_time="08:00", end_time="08:30"))
    said = {"samples": [{**each, "t": each["t"].removesuffix("Z")} for each in HOUR]}
    assert priced(day, said)["line_items"][0]["quantity"] == "5000.000"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"elements": []}, "tariff 'T1': a tariff has at least one element with a price"),
        ({"elements": [{"price_components": []}]}, "tariff 'T1': a tariff has at least one element with a price"),
        ({"elements": [element(energy("1"), start_time="")]}, "elements[0].restrictions: '' is no time of day"),
        ({"elements": [element(energy("1"), end_time="24:30")]}, "'24:30' is no time of day"),
        ({"elements": [element(energy("1"), end_time="08:3a")]}, "'08:3a' is no time of day"),
        ({"elements": [element(energy("1"), end_time="8:5")]}, "'8:5' is no time of day"),
        (
            {"elements": [element(energy("1")), element(energy("1"), max_kwhs="5")]},
            "tariff: elements[1].restrictions: 'max_kwhs' is no restriction that is known here",
        ),
        ({"elements": [element(energy("1"), max_power="NaN")]}, "restrictions: max_power is no number"),
        ({"elements": [element(energy("1", step_size=10**16))]}, "the step_size of ENERGY is negative or larger"),
        ({"tax_included": "\ud800"}, "tariff: "),
    ],
)
def test_a_tariff_that_is_none_is_refused(wrong: dict[str, Any], why: str) -> None:
    assert why in refused(MONEY | wrong, session(*HOUR))


def test_a_restriction_that_is_null_is_none() -> None:
    assert priced(tariff(element(energy("0.40"), soc_above=None)), session(*HOUR))["total_excl"] == "4.00"


def test_seconds_of_a_window_count() -> None:
    day = tariff(element(component("TIME", "3.60"), start_time="09:00", end_time="09:00:30"))
    assert priced(day, session(*HOUR))["line_items"][0]["quantity"] == "30.000"


@pytest.mark.parametrize("number", ["1e9999999999999999999", "NaN", "-Infinity", "9" * 5000])
def test_what_json_has_and_no_meter_is_refused_where_it_stands(number: str) -> None:
    text = json.dumps(session(sample("08:00", "#"), HOUR[1])).replace('"#"', number)
    assert refused(MONEY, read(text)) == "samples[0]: wh is no number that a meter shows"


def test_numbers_are_as_they_are_written() -> None:
    text = json.dumps(tariff(element(energy("#")))).replace('"#"', "0.12345678901234567891")
    found = priced(read(text), session(*HOUR))
    assert found["line_items"][0]["unit_price"] == "0.12345678901234567891"
    assert (
        priced(read(text.replace("0.12345678901234567891", "1e2")), session(*HOUR))["line_items"][0]["unit_price"]
        == "100"
    )


def test_an_amount_is_exact_however_large() -> None:
    dear = tariff(element(energy("123456789012345.123456789012345", step_size=0)))
    said = session(sample("08:00", "1"), sample("09:00", "123456789013.345", "END"))
    assert priced(dear, said)["total_excl_exact"] == "15241578753238684362141.152264"


@pytest.mark.parametrize(
    ("deliveries", "why"),
    [
        ({}, "deliveries is a list"),
        ([7], 'deliveries[0]: it is {"at"'),
        ([{"session": []}], 'deliveries[0]: it is {"at"'),
        ([{"session": session(*HOUR)}, {"at": "x", "session": session(*HOUR)}], "deliveries[1]: 'x' is no time"),
        ([{"session": session(sample("08:00", "x"))}], "deliveries[0]: samples[0]: wh is no number"),
    ],
)
def test_deliveries_that_are_none_are_refused(deliveries: Any, why: str) -> None:
    assert why in refused(MONEY, {"deliveries": deliveries})


def test_deliveries_count_in_the_order_of_their_instants() -> None:
    later = session(HOUR[0], sample("09:00", "120000", "END"))
    said = [
        {"at": "2026-11-23T09:30:00Z", "session": later},
        {"at": "2026-11-23T10:00:00+01:00", "session": session(*HOUR)},
    ]
    documents = priced(MONEY, {"deliveries": said})["documents"]
    assert [each["total_excl"] for each in documents] == ["4.00", "-4.00", "8.00"]


# ---- the command ----


def test_a_case_that_is_none_loses_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"tariff": MONEY, "session": session(*HOUR)}
    text = json.dumps([{"name": 7, **good}, {"name": "bad", **good, "tariff": "#"}, [], good])
    file = tmp_path / "cases.json"
    file.write_text(text.replace('"#"', "NaN"), "utf-8")
    assert price(str(file)) == 1
    said = capsys.readouterr()
    assert [each.get("total_excl") for each in json.loads(said.out)] == ["4.00", None, None, "4.00"]
    assert [each.get("name") for each in json.loads(said.out)] == ["7", "bad", None, None]
    first, second = said.err.splitlines()
    assert first.startswith(f"{file}: case 1 (bad): tariff: Expected `object`")
    assert second == f'{file}: case 2: a case is {{"tariff": …, "session": …}}'


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": 1} {}', "\udcff"])
def test_a_file_that_is_no_json_is_said_to_be_none(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cases.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert price(str(file)) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.startswith(f"{file}: "), len(said.err.splitlines())) == ("", True, 1)
