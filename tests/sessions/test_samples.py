"""Samples: C-064 to C-066, C-069, X-41, X-45, and what stations call a number."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.event import TransactionId
from contracts.stations import Reading, Sample
from services.sessions.samples import (
    REGISTER,
    SERIES,
    Register,
    digest,
    normalised,
    registers,
    renewed,
    unheard,
)
from tests.sessions.says import NOON, at, reading, wh

POWER = "Power.Active.Import"


def normal(sample: Sample) -> Sample | None:
    found = normalised([Reading(NOON, (sample,))])
    return found[0].samples[0] if found else None


@pytest.mark.covers("C-066")
@pytest.mark.parametrize(
    ("value", "unit", "whole"),
    [
        ("0.604213", "MWh", "604213"),
        ("604.213", "KWH", "604213"),
        ("604213.4", "wh", "604213"),
        ("604213", "Wh", "604213"),
        ("604.213", "kWh", "604213"),
        ("604.2", "", "604"),
        ("0.5", "Wh", "0"),
        ("1.5", "Wh", "2"),
        (" 0.0", "Wh", "0"),
        ("1e3", "Wh", "1000"),
        ("007", "Wh", "007"),
        ("-3", "Wh", "-3"),
    ],
)
def test_c_066_energies_are_whole_watt_hours(value: str, unit: str, whole: str) -> None:
    assert normal(Sample(value, unit=unit)) == Sample(whole, unit="Wh")


@pytest.mark.parametrize(
    ("value", "unit", "watts"),
    [("7.4", "kW", "7400"), ("7360.5", "W", "7360.5"), ("11", "", "11"), ("1e3", "W", "1000"), ("0.10", "W", "0.1")],
)
def test_powers_are_watts(value: str, unit: str, watts: str) -> None:
    assert normal(Sample(value, POWER, unit)) == Sample(watts, POWER, "W")


@pytest.mark.covers("C-065")
@pytest.mark.parametrize("value", ["", "abc", "NaN", "Infinity", "1,5", "1e99", "1e-99", "9" * 65])
def test_c_065_what_is_no_number_is_left_out_and_the_rest_kept(value: str) -> None:
    assert normal(Sample(value)) is None
    assert normalised([reading(Sample(value), 1500)]) == (reading(1500),)


@pytest.mark.parametrize(
    "sample",
    [
        Sample("230.1", "Voltage", "V"),
        Sample("0.98", "Power.Factor"),
        Sample("5", "Energy.Reactive.Import.Register", "kvarh"),
        Sample("5", unit="Joule"),
        Sample("abc", "SoC", "Percent"),
    ],
)
def test_everything_else_is_as_the_station_said(sample: Sample) -> None:
    assert normal(sample) == sample


@pytest.mark.covers("C-069")
def test_c_069_signed_data_is_untouched() -> None:
    signed = Sample("OCMF|{} | " + "A" * 20_000, unit="kWh", signed=True)
    assert normal(signed) is signed
    assert registers([reading(signed)]) == []


def test_a_register_is_found_in_each_reading_in_order_of_time() -> None:
    assert registers([reading(2000, minutes=2), reading(1500, minutes=1)]) == [
        Register(at(1), 1500),
        Register(at(2), 2000),
    ]


@pytest.mark.covers("C-064", "X-48")
@pytest.mark.parametrize(
    "other",
    [
        wh(9, measurand="Energy.Active.Export.Register"),
        wh(9, measurand="Energy.Active.Import.Interval"),
        wh(9, phase="L1"),
        wh(9, context="Interruption.Begin"),
        wh(9, signed=True),
        wh(9, context="Trigger"),
        wh(9, location="Inlet"),
        wh(9, context="Transaction.Begin"),
        wh(-9),
        Sample("9", unit="kvarh"),
    ],
)
def test_c_064_of_several_samples_the_register_is_picked_by_what_they_are_never_by_their_order(other: Sample) -> None:
    """X-48: Growatt repeats the register of the begin in every reading."""
    assert registers([reading(other, 5200)]) == registers([reading(5200, other)]) == [Register(at(1), 5200)]


def test_another_location_speaks_where_the_outlet_is_silent() -> None:
    assert registers([reading(wh(9, location="Inlet"))]) == [Register(at(1), 9, outlet=False)]


# ---- what has been heard ---------------------------------------------------------------------------------------------


@pytest.mark.covers("X-41")
def test_x_41_what_is_no_newer_than_its_series_has_been_heard() -> None:
    newest = renewed({}, [reading(1500, minutes=2), reading(1400, minutes=1)])
    power = Sample("7", POWER, "W")
    assert unheard([reading(1500, minutes=2)], newest) == ()
    assert unheard([reading(1500, power, minutes=2), reading(1600, minutes=3)], newest) == (
        reading(power, minutes=2),
        reading(1600, minutes=3),
    )


def test_only_so_many_series_are_remembered() -> None:
    many = reading(*(Sample("1", f"measurand {n}") for n in range(2 * SERIES)))
    newest = renewed({}, [many])
    assert len(newest) == SERIES
    assert len(unheard([many], newest)[0].samples) == SERIES


def test_readings_have_the_same_digest_only_if_they_are_the_same() -> None:
    one, again = (digest(1, 1, TransactionId("1"), [reading(1500)]) for _ in range(2))
    assert one == again
    assert len({one, digest(2, 1, TransactionId("1"), [reading(1500)]), digest(1, 1, None, [reading(1501)])}) == 3


values = st.one_of(st.text(max_size=70), st.decimals().map(str), st.integers().map(str))


@given_any(values, st.sampled_from(["", "Wh", "kWh", "W", "kW"]), st.sampled_from([REGISTER, POWER]))
def test_whatever_a_station_calls_a_number_becomes_a_plain_one_or_nothing(
    value: str, unit: str, measurand: str
) -> None:
    sample = normal(Sample(value, measurand, unit))
    if sample is not None and sample.unit == {REGISTER: "Wh", POWER: "W"}[measurand]:
        assert re.fullmatch(r"-?\d+" if measurand == REGISTER else r"-?\d+(\.\d+)?", sample.value, re.ASCII)


def test_times_before_1970_have_been_heard() -> None:
    assert unheard([Reading(datetime(1969, 1, 1, tzinfo=UTC), (wh(1),))], {}) == ()
