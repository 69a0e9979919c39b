"""What samples come to, where only a person would see it in a bill."""

from decimal import Decimal

import pytest

from contracts.tariffs import Policy
from services.billing.meter import Sample, measured
from tests.billing.given import component, element, energy, priced, sample, session, tariff

KWH = 1_000_000


def delivered(*registers: int) -> int:
    """Return the kWh of a session whose register showed these, one every two hours."""
    return measured([Sample(at=7200 * n, mwh=kwh * KWH) for n, kwh in enumerate(registers)], Policy()).mwh // KWH


@pytest.mark.parametrize(
    ("registers", "kwh"),
    [
        ((0, 501, 502), 1),  # a lifetime's register behind a zero
        ((0, 501, 501, 501), 0),
        ((0, 500, 500), 500),
        ((0, 501, 530), 530),
        ((0, 60, 60, 60), 60),  # a car that was full and stood idle
        ((0, 75, 78), 78),
        ((0, 40, 41), 41),
        ((0, 10, 20, 30), 30),
    ],
)
def test_a_zero_before_a_register_of_a_lifetime_is_no_register(registers: tuple[int, ...], kwh: int) -> None:
    assert delivered(*registers) == kwh


@pytest.mark.parametrize(
    ("seconds", "kwh", "counted"),
    [(600, 60, 61), (200, 49, 50), (450, 50, 51), (449, 51, 1), (539, 60, 1), (540, 60, 61), (600, 2000, 1)],
)
def test_what_hardly_any_connector_gives_so_fast_was_there_before(seconds: int, kwh: int, counted: int) -> None:
    samples = [Sample(0, 0), Sample(seconds, kwh * KWH), Sample(seconds + 3600, (kwh + 1) * KWH)]
    assert measured(samples, Policy()).mwh == counted * KWH


@pytest.mark.parametrize(
    ("samples", "flags"),
    [
        ([Sample(0, KWH), Sample(3600, 2 * KWH, "END")], ()),
        ([Sample(0, KWH), Sample(60), Sample(3600, 2 * KWH, "END")], ()),
        ([Sample(0, None, "CHARGING"), Sample(0, KWH), Sample(3600, 2 * KWH, "END")], ()),
        ([Sample(0), Sample(3600, 2 * KWH, "END")], ("energy_incomplete",)),
        ([Sample(0), Sample(60, KWH), Sample(3600, 2 * KWH, "END")], ("energy_incomplete",)),
        ([Sample(0, KWH), Sample(60, 2 * KWH), Sample(3600, None, "END")], ("energy_incomplete",)),
    ],
)
def test_energy_that_nobody_read_at_the_begin_or_end_is_not_silently_0(
    samples: list[Sample], flags: tuple[str, ...]
) -> None:
    assert measured(samples, Policy()).flags == flags
    assert "energy_incomplete" not in measured(samples, Policy(), relative=True).flags


def test_a_sample_without_energy_lies_between_its_neighbours() -> None:
    samples = [Sample(0, 0), Sample(100, KWH), Sample(200), Sample(400, 4 * KWH)]
    assert [point.mwh for point in measured(samples, Policy()).points] == [0, KWH, 2 * KWH, 4 * KWH]


@pytest.mark.parametrize(
    "word", ["SUSPENDED_EV", "SuspendedEV", "Finishing", "Occupied", "EV_CONNECTED", "EVConnected", "PARKING", "IDLE"]
)
def test_a_car_that_asks_for_no_power_parks(word: str) -> None:
    samples = [Sample(0, 0, "CHARGING"), Sample(3600, KWH, word.upper()), Sample(7200, KWH, "END")]
    spells = measured(samples, Policy()).spells
    assert [(spell.start, spell.kind) for spell in spells][-1] == (3600, "PARKING")


@pytest.mark.parametrize("word", ["Occupied", "EV_CONNECTED", "EVConnected"])
def test_a_car_that_is_connected_and_has_not_charged_yet_does_not_park(word: str) -> None:
    """TAR-22: it parks after charging."""
    samples = [
        Sample(0, 0, word),
        Sample(600, 0, "CHARGING"),
        Sample(3600, KWH, word),
        Sample(7200, KWH, "END"),
    ]
    spells = measured(samples, Policy()).spells
    assert [(spell.start, spell.end, spell.kind) for spell in spells] == [
        (0, 3600, "CHARGING"),
        (3600, 7200, "PARKING"),
    ]


def test_while_we_allow_too_little_time_costs_nothing_and_energy_does() -> None:
    """D-9: less than 6 A is a limit of ours, and no car charges by it."""
    slow = tariff(element(energy("0.40"), component("TIME", "6"), component("PARKING_TIME", "60")))
    said = session(
        sample("08:00", 0), sample("08:30", 5000, "THROTTLED"), sample("09:00", 5100), sample("09:30", 10_100, "END")
    )
    found = priced(slow, said)
    assert [(line["dimension"], line["quantity"]) for line in found["line_items"]] == [
        ("ENERGY", "10100.000"),
        ("TIME", "3600.000"),
    ]
    assert [period["state"] for period in found["charging_periods"]] == ["CHARGING", "GRACE", "CHARGING"]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_what_was_measured_at_the_moment_of_the_end_counts_in_whatever_order_it_is_said(order: tuple[int, ...]) -> None:
    said = [Sample(0, 0, "CHARGING"), Sample(3600, 5 * KWH), Sample(3600, None, "END")]
    found = measured([said[n] for n in order], Policy())
    assert (found.mwh, found.end, found.flags) == (5 * KWH, 3600, ())


@pytest.mark.parametrize(("mwh", "flags"), [(1_100_000, ()), (1_100_001, ("implausible_energy",))])
def test_more_than_a_tenth_above_what_the_connector_can_is_implausible_and_counts(
    mwh: int, flags: tuple[str, ...]
) -> None:
    found = measured([Sample(0, KWH), Sample(3600, KWH + mwh)], Policy(max_power_kw=Decimal(1)))
    assert (found.mwh, found.flags) == (mwh, flags)


def test_a_session_without_energy_has_no_price() -> None:
    with pytest.raises(ValueError, match="no sample says an energy"):
        measured([Sample(0), Sample(60, None, "END")], Policy())


def test_several_samples_of_one_moment_are_no_stretch_of_time() -> None:
    bare = [Sample(0, 0), Sample(0, 0), Sample(100, KWH), Sample(100), Sample(100, 2 * KWH), Sample(3700, 3 * KWH)]
    found = measured(bare, Policy())
    assert [point.mwh // KWH for point in found.points] == [0, 0, 1, 1, 2, 3]
    assert found.spells == [(0, 3700, "CHARGING")]
    named = [Sample(0, 0, "CHARGING"), Sample(100, KWH, "THROTTLED"), Sample(100, KWH, "CHARGING"), Sample(200, KWH)]
    assert measured(named, Policy()).spells == [(0, 200, "CHARGING")]


@pytest.mark.parametrize(("grace_s", "kinds"), [(599, ["GRACE", "PARKING"]), (600, ["GRACE"]), (601, ["GRACE"])])
def test_who_leaves_within_the_grace_has_not_parked(grace_s: int, kinds: list[str]) -> None:
    samples = [Sample(0, 0, "CHARGING"), Sample(3600, KWH, "IDLE"), Sample(4200, KWH, "END")]
    spells = measured(samples, Policy(idle_grace_s=grace_s)).spells
    assert [spell.kind for spell in spells] == ["CHARGING", *kinds]
    assert spells[-1].end == 4200
