"""The meter of a session: X-44 to X-48, Q-77 to Q-97, C-062 to C-066."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.stations import Reading, Sample
from services.sessions.meter import Energy, Meter, ended, known, limit_wh, watched, wrapped
from services.sessions.samples import intervals, powers, registers
from tests.sessions.says import NOON, at, reading, wh

HOUR = timedelta(hours=1)
WRAP = 2**32


def metered(start_wh: int | None, *shown: int | None, **more: Any) -> Meter:
    """Return a meter that began with a register and has shown others, ten minutes apart."""
    meter = Meter(start_wh=start_wh, start_missing=start_wh is None, **more)
    readings = [reading(value, minutes=10 * n) for n, value in enumerate(shown, 1) if value is not None]
    return watched(meter, readings, NOON)


def energy(meter: Meter, stop_wh: int | None, lasted: timedelta | None = HOUR) -> int | None:
    return ended(meter, stop_wh, lasted).energy_wh


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.covers("M-06", "X-45")
def test_the_energy_is_by_how_much_the_register_has_risen() -> None:
    assert [metered(1000, *shown).energy_wh for shown in ((), (1500,), (1500, 1700))] == [None, 500, 700]
    assert metered(1000, 1500).source == "register"


@pytest.mark.covers("Q-97")
def test_a_register_that_falls_by_a_few_watt_hours_has_not_fallen() -> None:
    meter = metered(1000, 1500, 1491, 1600)
    assert (meter.energy_wh, meter.meter_flags) == (600, ())
    assert metered(1000, 996, 1100).energy_wh == 100
    assert ended(metered(1000, 1000), 995, HOUR) == Energy(995, 0, "register")


@pytest.mark.covers("Q-97")
def test_a_stop_ten_watt_hours_below_its_start_went_back() -> None:
    assert ended(metered(1000), 991, HOUR) == Energy(991, 0, "register")
    assert ended(metered(1000), 990, HOUR).flags == ("meter_went_back", "review")


def test_what_was_told_in_former_times_is_what_the_registers_say() -> None:
    assert [Meter(start_wh=1000).told, Meter(register_wh=1500).told, Meter().told] == [None, None, None]
    assert Meter(start_wh=1000, register_wh=1500).told == 500
    assert Meter(start_wh=1000, register_wh=1500, told_wh=7).told == 7
    assert Meter(start_wh=1000, register_wh=1500, read_ms=1).told is None


def test_a_power_lasts_until_the_next_sample_but_a_quarter_of_an_hour_at_most() -> None:
    far_apart = [reading(power("3600"), minutes=minutes) for minutes in (0, 10, 60)]
    assert watched(Meter(), far_apart, NOON).power_ws == 3600 * (600 + 900)


@pytest.mark.covers("X-45", "Q-80", "C-062")
def test_a_register_that_begins_anew_counts_by_its_rises() -> None:
    meter = metered(1000, 1500, 2000, 0, 500)
    assert (meter.energy_wh, meter.source, meter.meter_flags) == (1500, "samples", ("meter_reset",))
    assert ended(meter, 800, HOUR) == Energy(800, 1800, "samples", ("meter_reset", "meter_went_back", "review"))


@pytest.mark.covers("X-45", "C-062")
def test_a_register_that_begins_anew_and_passes_its_start_still_counts_by_its_rises() -> None:
    found = ended(metered(1000, 1500, 0, 900), 1200, HOUR)
    assert (found.energy_wh, found.source, found.flags) == (1700, "samples", ("meter_reset",))


@pytest.mark.covers("X-45")
def test_a_zero_that_stands_for_a_register_nobody_could_read_is_a_slip() -> None:
    for slip in ((1500, 0, 1600), (1500, 0, 0, 1600), (1500, 700, 1600)):
        meter = metered(1000, *slip)
        assert (meter.energy_wh, meter.source, meter.meter_flags) == (600, "register", ())


def test_while_a_fall_may_be_a_slip_nothing_has_changed() -> None:
    meter = metered(1000, 1500, 0)
    assert (meter.energy_wh, meter.shown_wh) == (500, 1500)
    assert metered(1000, 1500, 800, 0, 300).energy_wh == 800


def test_a_slip_after_the_register_had_begun_anew_is_a_slip_too() -> None:
    assert metered(1000, 1500, 0, 300, 5, 400).energy_wh == 900


@pytest.mark.covers("X-45", "Q-80", "C-062")
@pytest.mark.parametrize("digits", [WRAP, 10**9])
def test_a_register_that_runs_over_its_last_digit_goes_on(digits: int) -> None:
    assert ended(metered(digits - 7296), 9400, HOUR) == Energy(9400, 16_696, "register", ("meter_wrapped",))
    meter = metered(digits - 7296, digits - 296, 700)
    assert (meter.energy_wh, meter.meter_flags) == (7996, ("meter_wrapped",))
    assert energy(meter, 9400) == 16_696
    assert metered(digits - 7296, 700).energy_wh == 7996


def test_only_what_is_near_the_last_digit_can_run_over_it() -> None:
    assert wrapped(WRAP - 500_000, 500_000) == 1_000_000
    assert wrapped(WRAP - 500_001, 0) is wrapped(WRAP - 1, 500_001) is wrapped(WRAP, 5) is wrapped(1000, 5) is None


@pytest.mark.covers("X-46", "Q-81", "C-064")
def test_samples_that_count_from_the_start_of_the_session_are_its_energy_so_far() -> None:
    meter = metered(1_000_000, 300, 6900)
    assert (meter.energy_wh, meter.source) == (6900, "relative")
    assert ended(meter, 1_007_000, HOUR) == Energy(1_007_000, 7000, "register")
    assert ended(meter, None, HOUR) == Energy(None, 6900, "relative", ("meter_stop_missing",))
    relative_stop = ended(meter, 7000, HOUR)
    assert (relative_stop.energy_wh, relative_stop.source) == (7000, "relative")
    assert relative_stop.flags == ("meter_went_back", "review")


@pytest.mark.covers("X-46")
def test_a_first_sample_that_is_no_energy_of_a_session_is_only_another_register() -> None:
    assert metered(90_000_000, 40_000_000, 40_000_500).energy_wh == 500
    assert metered(1000, 900, 950).energy_wh == 50


@pytest.mark.covers("X-46", "Q-77")
def test_a_start_of_0_with_lifetime_samples_is_a_placeholder() -> None:
    meter = metered(0, 5_000_000, 5_000_700)
    assert (meter.start_wh, meter.energy_wh, meter.meter_flags) == (5_000_000, 700, ("meter_start_placeholder",))
    assert energy(meter, 5_001_000) == 1000
    assert metered(0, 5000).energy_wh == 5000, "a register that is zeroed at each start"


@pytest.mark.covers("X-46")
def test_what_is_too_much_depends_on_the_connector_and_the_time() -> None:
    assert (limit_wh(None, 3600), limit_wh(None, 60)) == (1_200_000, 200_000)
    assert limit_wh(22_000, 3600) == 28_400
    assert limit_wh(22_000, 0) == limit_wh(22_000, -5) == limit_wh(None, None) == 200_000
    assert metered(0, 50_000, max_w=22_000).meter_flags == ("meter_start_placeholder",)
    assert metered(0, 5_600, max_w=22_000).meter_flags == ()


@pytest.mark.covers("Q-77")
def test_without_a_register_at_the_start_the_first_sample_since_is_it() -> None:
    assert metered(None, 5000, 5700).energy_wh == 700
    late = watched(Meter(start_missing=True), [reading(5000, minutes=-5), reading(6000, minutes=5)], NOON)
    assert (late.start_wh, late.energy_wh) == (6000, 0)


@pytest.mark.covers("X-48", "Q-90", "C-064")
def test_what_the_register_showed_at_the_begin_is_no_register_of_now() -> None:
    begin = [wh(1000, context="Transaction.Begin")]
    assert watched(metered(1000, 1500), [reading(*begin, minutes=60)], NOON) == metered(1000, 1500)
    assert watched(Meter(start_missing=True), [reading(*begin), reading(1700, minutes=5)], NOON).energy_wh == 700


@pytest.mark.covers("X-46")
def test_a_zero_that_the_register_showed_at_the_begin_may_be_a_placeholder() -> None:
    shown = [reading(wh(0, context="Transaction.Begin")), reading(5_000_000, minutes=5), reading(5_000_400, minutes=6)]
    assert watched(Meter(start_missing=True), shown, NOON).energy_wh == 400


@pytest.mark.covers("Q-91")
def test_readings_that_come_late_do_not_take_the_meter_back() -> None:
    meter = metered(1000, 1500, 2000)
    assert watched(meter, [reading(1200, minutes=5)], NOON) == meter


# ---- phases, intervals, powers ---------------------------------------------------------------------------------------


def phases(*values: int, names: tuple[str, ...] = ("L1", "L2", "L3"), **more: Any) -> list[Sample]:
    return [wh(value, phase=name, **more) for value, name in zip(values, names, strict=False)]


@pytest.mark.covers("Q-92", "X-48")
def test_without_a_total_the_sum_of_all_phases_is_the_register() -> None:
    assert registers([reading(*phases(100, 200, 300))]) == [(at(1), 600, False)]
    assert registers([reading(*phases(1, 2, 3, names=("L1-N", "L2-N", "L3-N")))]) == [(at(1), 6, False)]
    assert registers([reading(*phases(1, 2, 3), 700)]) == [(at(1), 700, False)], "a total speaks for itself"
    assert registers([reading(*phases(100, 200))]) == [], "a phase is missing"


@pytest.mark.covers("Q-90", "Q-92")
def test_phases_of_the_begin_are_not_mixed_with_those_of_now() -> None:
    begin, now = phases(1, 1, 1, context="Transaction.Begin"), phases(5, 6, 7)
    assert registers([reading(*begin, *now)]) == registers([reading(*now, *begin)]) == [(at(1), 18, False)]
    assert registers([reading(*phases(1, 1, 1, location="Inlet"), *now)]) == [(at(1), 18, False)]


def interval(value: int, minutes: float) -> Reading:
    return reading(wh(value, measurand="Energy.Active.Import.Interval"), minutes=minutes)


@pytest.mark.covers("X-45")
def test_where_there_is_no_register_the_intervals_are_summed_each_once() -> None:
    shown = [interval(100, 1), interval(150, 2), interval(150, 2)]
    meter = watched(Meter(start_missing=True), shown, NOON)
    assert (meter.energy_wh, meter.source) == (250, "intervals")
    assert ended(meter, None, HOUR) == Energy(None, 250, "intervals", ("meter_stop_missing",))
    assert ended(meter, 8000, HOUR) == Energy(8000, 250, "intervals")
    assert intervals([reading(5)]) == []


def test_a_register_is_better_than_intervals() -> None:
    meter = watched(metered(1000, 1500), [interval(100, 30)], NOON)
    assert (meter.energy_wh, meter.source) == (500, "register")


@pytest.mark.covers("X-45")
def test_what_intervals_told_before_the_first_register_is_not_lost() -> None:
    told = [interval(300, 1), interval(200, 2)]
    both = reading(wh(100, measurand="Energy.Active.Import.Interval"), 10_600, minutes=3)
    for shown in (told, [both]), ([*told, both],):
        meter = Meter(start_missing=True)
        for some in shown:
            meter = watched(meter, some, NOON)
        assert (meter.start_wh, meter.energy_wh, meter.source) == (10_000, 600, "register")
        later = watched(meter, [interval(50, 4), reading(10_700, minutes=5)], NOON)
        assert (later.energy_wh, energy(later, 10_750)) == (700, 750), "from then on the register speaks alone"


def test_a_register_of_before_the_newest_interval_does_not_take_the_energy_back() -> None:
    meter = watched(Meter(start_missing=True), [interval(300, 2), interval(200, 4)], NOON)
    late = watched(meter, [reading(10_300, minutes=3)], NOON)
    assert (late.start_wh, late.energy_wh, late.source) == (None, 500, "intervals")
    assert watched(late, [reading(10_500, minutes=4)], NOON).energy_wh == 500, "of the same moment it is known"


def test_a_register_that_has_counted_less_than_the_intervals_has_begun_anew() -> None:
    meter = watched(Meter(start_missing=True), [interval(300, 1), reading(120, minutes=2)], NOON)
    assert (meter.energy_wh, meter.source, meter.meter_flags) == (300, "samples", ("meter_reset",))
    meter = watched(meter, [reading(150, minutes=3)], NOON)
    assert (meter.energy_wh, energy(meter, 200)) == (330, 380)
    exactly = watched(Meter(start_missing=True), [interval(300, 1), reading(300, minutes=2)], NOON)
    assert (exactly.start_wh, exactly.energy_wh, exactly.meter_flags) == (0, 300, ())


def power(value: str, **more: Any) -> Sample:
    return Sample(value, "Power.Active.Import", "W", **more)


def test_the_power_of_a_reading_is_its_total() -> None:
    assert powers([reading(power("7200.5"), power("9", phase="L1"))]) == [(at(1), 7200, False)]
    assert powers([reading(power("9", location="Inlet"), power("7"))]) == [(at(1), 7, False)]
    assert powers([reading(power("-5")), reading(500), reading(power("abc"))]) == []


# ---- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.covers("X-45")
def test_the_registers_of_the_start_and_the_stop_say_how_much() -> None:
    assert ended(metered(1000), 8000, HOUR) == Energy(8000, 7000, "register")
    assert ended(metered(1000, 5000), 4990, HOUR) == Energy(4990, 3990, "register", ("below_last_register",))
    assert ended(metered(1000, 5000), 4991, HOUR) == Energy(4991, 3991, "register")
    assert ended(metered(1000), None, HOUR) == Energy(None, None, "", ("meter_stop_missing",))
    assert ended(metered(None), 900, HOUR) == Energy(900, None)


@pytest.mark.covers("Q-79", "X-45")
def test_a_stop_that_repeats_the_start_although_energy_flowed_leaves_it_to_the_samples() -> None:
    assert ended(metered(1000, 5000), 1000, HOUR) == Energy(1000, 4000, "samples", ("meter_stop_is_start",))
    assert ended(metered(1000, 1005), 1000, HOUR) == Energy(1000, 0, "register")


@pytest.mark.covers("C-063", "X-45", "Q-80")
def test_a_stop_below_the_start_leaves_it_to_the_samples_and_to_a_person() -> None:
    found = ended(metered(1000, 5000), 900, HOUR)
    assert (found.energy_wh, found.source) == (4000, "samples")
    assert found.flags == ("meter_went_back", "below_last_register", "review")
    assert ended(metered(1000), 900, HOUR) == Energy(900, None, "", ("meter_went_back", "review"))
    assert ended(metered(1000, 1000), 900, HOUR).energy_wh is None


@pytest.mark.covers("X-45")
def test_more_than_the_connector_can_deliver_is_not_billed_as_it_is() -> None:
    found = ended(metered(1000, max_w=22_000), 1_000_000, HOUR)
    assert (found.energy_wh, found.flags) == (999_000, ("implausible", "review"))
    sampled = ended(metered(1000, 12_000, max_w=22_000), 1_000_000, HOUR)
    assert (sampled.energy_wh, sampled.source, sampled.flags) == (11_000, "samples", ("implausible", "review"))
    assert ended(metered(1000, max_w=22_000), 1_000_000, None).flags == (), "no clock says how long it took"


@pytest.mark.covers("Q-88", "C-066")
def test_kwh_that_are_called_wh_are_flagged_and_left_as_they_are() -> None:
    drawn = [reading(power("7000"), minutes=10 * n) for n in range(7)]
    found = ended(watched(metered(1000), drawn, NOON), 1007, HOUR)
    assert (found.energy_wh, found.flags) == (7, ("unit_suspect", "review"))
    assert ended(watched(metered(1000), drawn, NOON), 8000, HOUR).flags == ()
    samples_thousandfold = ended(metered(0, 7_000, 7_000_000), 7000, HOUR)
    assert "unit_suspect" in samples_thousandfold.flags
    assert "unit_suspect" in ended(metered(1, 300_001), 1001, None).flags
    assert "unit_suspect" not in ended(metered(1, 300_000), 1001, None).flags


@pytest.mark.covers("Q-77")
def test_a_placeholder_is_no_register() -> None:
    assert [known(None), known(-1), known(0), known(7)] == [None, None, 0, 7]


# ---- always ----------------------------------------------------------------------------------------------------------

shown = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 60)), max_size=12)


def read(values: list[tuple[int, int]]) -> list[Reading]:
    return [reading(value, minutes=minute) for value, minute in values]


@given_any(st.none() | st.integers(0, 20_000), shown, st.none() | st.integers(0, 20_000))
def test_energy_is_never_below_0_and_every_figure_says_where_it_is_from(
    start_wh: int | None, values: list[tuple[int, int]], stop_wh: int | None
) -> None:
    meter = watched(Meter(start_wh=start_wh, start_missing=start_wh is None), read(values), NOON)
    found = ended(meter, stop_wh, HOUR)
    assert found.energy_wh is None or found.energy_wh >= 0
    assert (found.energy_wh is None) == (found.source == "")


@given_any(st.integers(0, 20_000), shown, shown)
def test_energy_so_far_never_falls(start_wh: int, before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    first = watched(Meter(start_wh=start_wh), read(before), NOON)
    later = watched(first, read(after), NOON)
    assert (later.energy_wh or 0) >= (first.energy_wh or 0)


@given_any(st.integers(0, 10**8), st.lists(st.integers(0, 5000), max_size=10), st.randoms())
def test_in_any_order_and_twice_a_rising_register_comes_to_the_same(
    start_wh: int, rises: list[int], random: Any
) -> None:
    values, total = [], start_wh
    for minute, rise in enumerate(rises, 1):
        total += rise
        values.append((total, minute))
    shuffled = [*values, *values]
    random.shuffle(shuffled)
    meter = Meter(start_wh=start_wh, max_w=300_000)
    for value in shuffled:
        meter = watched(meter, read([value]), NOON)
    assert ended(meter, total, HOUR).energy_wh == total - start_wh
