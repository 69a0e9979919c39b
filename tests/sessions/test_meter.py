"""The meter of a session: X-44 to X-48, Q-77 to Q-97, C-062 to C-066."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from contracts.stations import Reading, Sample
from services.sessions.meter import Energy, Meter, ended, known, limit_wh, watched, wrapped
from services.sessions.samples import PHASES, Register, intervals, powers, registers
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


def test_a_power_that_is_told_again_or_late_counts_once() -> None:
    told = [reading(power("3600"), minutes=minutes) for minutes in (0, 10, 10, 5, 20)]
    assert [watched(watched(Meter(), told[:most], NOON), told, NOON).power_ws for most in (0, 3)] == [3600 * 1200] * 2


def test_a_register_that_has_just_begun_anew_and_stops_below_its_start_says_both() -> None:
    flags = ended(metered(5000, 6000, 20), 900, HOUR).flags
    assert {"meter_reset", "meter_went_back", "review"} <= set(flags)


@pytest.mark.covers("Q-88")
def test_one_register_alone_that_may_be_kwh_is_nothing_and_waits_for_a_person() -> None:
    meter = metered(1_234_567, 1235)
    assert (meter.energy_wh, meter.source) == (None, "")
    assert set(ended(meter, None, HOUR).flags) >= {"unit_suspect", "review"}


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
    assert metered(0, 50_000, 50_100, max_w=22_000).meter_flags == ("meter_start_placeholder",)
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


@pytest.mark.covers("X-45", "X-47", "Q-88")
@pytest.mark.parametrize("leap", [5_000_000, 1_599_000, WRAP - 1])
def test_a_register_that_shows_too_much_for_a_moment_has_not_risen(leap: int) -> None:
    """A sample in another unit, a glitch, or all bits set for a register that could not be read."""
    for shown in ((leap,), (leap, leap), (leap, leap - 9)):
        meter = metered(1000, 1500, *shown)
        assert (meter.energy_wh, meter.shown_wh) == (500, 1500), "while it may be a slip nothing has changed"
        meter = metered(1000, 1500, *shown, 1600)
        assert (meter.energy_wh, meter.source, meter.meter_flags) == (600, "register", ())
    assert metered(1000, 1500, leap, 1500).energy_wh == 500
    assert metered(1000, 1500, leap, leap + 10**6, 1600) == metered(1000, 1500, None, None, 1600)
    assert metered(1000, 1500, leap, 0, 300).energy_wh == 800, "it begins anew after the slip"
    assert metered(1000, 1500, 0, leap, 1600).energy_wh == 600, "two slips, one after the other"
    assert ended(metered(1000, 1500, leap, 1600), 1700, HOUR) == Energy(1700, 700, "register")
    assert ended(metered(1000, 1500, leap, 1600), None, HOUR).energy_wh == 600


@pytest.mark.covers("X-45", "X-46")
def test_a_register_that_goes_on_from_where_it_cannot_be_is_another_one_and_its_rises_count() -> None:
    meter = metered(1000, 1500, 5_000_000, 5_000_300)
    assert (meter.energy_wh, meter.shown_wh, meter.meter_flags) == (800, 5_000_300, ("implausible",))
    assert ended(meter, 1900, HOUR).flags[0] == "implausible", "a person looks at it whatever comes"
    for waits in (metered(1000, 1500, 5_000_000), meter):
        for lasted in (HOUR, 10 * HOUR, None):
            found = ended(waits, 5_000_400, lasted)
            assert (found.energy_wh, found.source, found.flags) == (900, "samples", ("implausible", "review"))
    assert metered(1000, 1500, 5_000_000, 5_000_010).energy_wh == 510, "ten watt-hours more are no noise"


@pytest.mark.covers("X-45")
def test_what_a_register_can_have_risen_by_is_what_its_connector_delivers_in_an_hour_or_since_it_was_read() -> None:
    assert metered(1000, 29_400, max_w=22_000).energy_wh == 28_400
    assert metered(1000, 29_401, max_w=22_000).energy_wh == 0
    rarely = watched(metered(1000, 1500, max_w=22_000), [reading(54_700, minutes=130)], NOON)
    assert rarely.energy_wh == 53_700
    assert metered(1000, 201_000).energy_wh == 200_000
    assert metered(1000, 201_001).energy_wh == 0


@pytest.mark.covers("X-46", "Q-77")
def test_after_a_start_of_0_a_moment_with_too_much_is_no_lifetime_register() -> None:
    assert metered(0, WRAP - 1, 500, 900) == metered(0, None, 500, 900)
    waits = metered(0, 5_000_000)
    assert (waits.energy_wh, waits.meter_flags) == (0, ())
    assert ended(waits, 5_001_000, HOUR) == Energy(5_001_000, 1000, "register", ("meter_start_placeholder",))
    assert ended(waits, 4_999_991, HOUR).flags[0] == "meter_start_placeholder"
    assert ended(waits, 4_999_990, HOUR).flags[0] != "meter_start_placeholder"
    assert energy(waits, 1000) == 1000
    assert metered(0, 5000, max_w=22_000).energy_wh == 5000
    assert metered(0, 6401, max_w=22_000).energy_wh == 0, "more than ten minutes can bring"


@pytest.mark.covers("X-45", "X-46")
def test_a_first_0_that_stands_for_a_lifetime_register_does_not_make_the_session_count_from_there() -> None:
    for max_w in (None, 22_000):
        assert metered(987_654, 0, 989_000, 989_500, max_w=max_w).energy_wh == 1846
        assert metered(150_000, 0, 150_300, max_w=max_w).energy_wh == 300
        assert metered(150_000, 0, 149_991, max_w=max_w).energy_wh == 0
        assert metered(150_000, 0, 500, max_w=max_w).energy_wh == 500
    assert metered(5000, 0, 7000).energy_wh == 7000, "what soon flows is no lifetime"
    assert metered(150_000, 0, 100, 150_300).energy_wh == 150_300


@pytest.mark.covers("X-46", "Q-81", "Q-94")
def test_the_lifetime_register_among_samples_that_count_from_the_start_is_none_of_them() -> None:
    meter = metered(1_000_000, 500, 1000, 1_001_500, 2000)
    assert (meter.energy_wh, meter.source) == (2000, "relative")
    assert ended(meter, 1_002_500, HOUR) == Energy(1_002_500, 2500, "register")


@pytest.mark.covers("X-48")
def test_once_the_outlet_has_been_read_no_other_place_counts() -> None:
    inlet = wh(1_060_000, location="Inlet", context="Sample.Clock")
    shown = [reading(1_001_000, minutes=10), reading(inlet, minutes=15), reading(1_003_000, minutes=20)]
    assert watched(Meter(start_wh=1_000_000), shown, NOON).energy_wh == 3000
    assert watched(Meter(start_missing=True), shown, NOON).energy_wh == 2000
    elsewhere = [reading(wh(value, location="Inlet"), minutes=n) for n, value in enumerate((1500, 1700), 1)]
    assert watched(Meter(start_wh=1000), elsewhere, NOON).energy_wh == 700
    begin = [reading(wh(1000, location="Inlet", context="Transaction.Begin"), minutes=1)]
    assert watched(Meter(start_wh=1000), [*begin, *elsewhere], NOON).energy_wh == 700


@pytest.mark.covers("X-43", "Q-100", "Q-102")
def test_a_register_that_has_risen_although_it_is_older_was_read_by_a_clock_that_was_set_back() -> None:
    for early in (60 * 24 * 365 * 10, 120):
        shown = [(1500, early), (2000, 20), (3000, 30)]
        assert watched(Meter(start_wh=1000), [reading(1500, minutes=early)], NOON).energy_wh == 500
        meter = Meter(start_wh=1000)
        for value, minutes in shown:
            meter = watched(meter, [reading(value, minutes=minutes)], NOON)
        assert meter.energy_wh == 2000
    for late in (2009, 900):
        assert watched(metered(1000, 1500, 2000), [reading(late, minutes=15)], NOON).energy_wh == 1000
    begun_anew = metered(1000, 1500, 0, 300)
    assert watched(begun_anew, [reading(1400, minutes=9)], NOON) == begun_anew
    slips = metered(1000, 1500, 0), metered(1000, 1500, 5_000_000)
    assert all(watched(slip, [reading(1490, minutes=9)], NOON) == slip for slip in slips)


@pytest.mark.covers("X-47", "Q-87", "Q-88", "C-066")
def test_a_register_in_kwh_without_a_unit_is_no_energy_of_a_session() -> None:
    meter = metered(1_234_567, 1235, 1236)
    assert meter.energy_wh is None
    assert ended(meter, 1_235_567, HOUR) == Energy(1_235_567, 1000, "register", ("unit_suspect", "review"))
    counted = metered(1_234_567, 1300, 2600)
    assert (counted.energy_wh, counted.source, counted.meter_flags) == (2600, "relative", ()), "it only looked like it"
    assert metered(1_234_567, 1234).energy_wh == 1234


@pytest.mark.covers("Q-91")
def test_readings_that_come_late_do_not_take_the_meter_back() -> None:
    meter = metered(1000, 1500, 2000)
    assert watched(meter, [reading(1200, minutes=5)], NOON) == meter


# ---- phases, intervals, powers ---------------------------------------------------------------------------------------


def phases(*values: int, names: tuple[str, ...] = ("L1", "L2", "L3"), **more: Any) -> list[Sample]:
    return [wh(value, phase=name, **more) for value, name in zip(values, names, strict=False)]


@pytest.mark.covers("Q-92", "X-48")
def test_without_a_total_the_sum_of_all_phases_is_the_register() -> None:
    assert registers([reading(*phases(100, 200, 300))]) == [Register(at(1), 600)]
    assert registers([reading(*phases(1, 2, 3, names=("L1-N", "L2-N", "L3-N")))]) == [Register(at(1), 6)]
    assert registers([reading(*phases(1, 2, 3), 700)]) == [Register(at(1), 700)], "a total speaks for itself"
    assert registers([reading(*phases(100, 200))]) == [], "a phase is missing"


@pytest.mark.covers("Q-90", "Q-92")
def test_phases_of_the_begin_are_not_mixed_with_those_of_now() -> None:
    begin, now = phases(1, 1, 1, context="Transaction.Begin"), phases(5, 6, 7)
    assert registers([reading(*begin, *now)]) == registers([reading(*now, *begin)]) == [Register(at(1), 18)]
    assert registers([reading(*phases(1, 1, 1, location="Inlet"), *now)]) == [Register(at(1), 18)]


@pytest.mark.covers("Q-92", "X-48")
def test_phases_that_came_as_readings_of_their_own_belong_to_one_moment() -> None:
    first = [reading(phase, minutes=1) for phase in phases(100, 200, 300)]
    later = [reading(phase, minutes=2) for phase in phases(150, 250, 400)]
    assert registers([*first, *later]) == [Register(at(1), 600), Register(at(2), 800)]
    assert registers(first[:2]) == [], "a phase is missing"
    assert registers([*first, reading(700)]) == [Register(at(1), 700)], "a total speaks for itself"
    assert intervals([reading(wh(5, phase=name, measurand="Energy.Active.Import.Interval")) for name in PHASES[0]]) == [
        Register(at(1), 15)
    ]


@pytest.mark.covers("Q-90", "Q-92", "X-48")
def test_phases_of_now_speak_before_a_total_of_the_begin_and_of_the_outlet_before_a_total_of_elsewhere() -> None:
    now, begin = phases(5, 6, 7), wh(1, context="Transaction.Begin")
    inlet = wh(99, location="Inlet")
    apart = [reading(sample) for sample in (begin, inlet, *now)]
    assert registers([reading(begin, *now, inlet)]) == [Register(at(1), 18)]
    assert Register(at(1), 18) in registers(apart)
    assert registers([reading(begin, inlet)]) == [Register(at(1), 99, outlet=False)]
    assert watched(Meter(start_wh=0), apart, NOON).energy_wh == 18


@pytest.mark.covers("Q-91", "X-48", "M-06")
def test_a_register_under_a_context_that_ocpp_has_not_is_a_register() -> None:
    assert registers([reading(wh(1500, context="Sample.Whenever"))]) == [Register(at(1), 1500)]
    assert registers([reading(wh(9, context="Sample.Whenever"), wh(1500, context="Trigger"))]) == [
        Register(at(1), 1500)
    ]
    assert registers([reading(*phases(1, 2, 3, context="Sample.Whenever"))]) == [Register(at(1), 6)]


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
    assert powers([reading(power("7200.5"), power("9", phase="L1"))]) == [Register(at(1), 7200)]
    assert powers([reading(power("9", location="Inlet"), power("7"))]) == [Register(at(1), 7)]
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


@pytest.mark.covers("X-45", "Q-80")
def test_a_reset_that_was_none_does_not_bill_the_whole_register() -> None:
    slipped = metered(4_000_000, 4_000_500, 0, 300)
    found = ended(slipped, 4_001_000, HOUR)
    assert (found.energy_wh, found.source, found.flags) == (1000, "register", ("meter_reset", "implausible", "review"))
    assert "implausible" not in ended(slipped, 4_001_000, None).flags, "no clock says how long it took"
    both = ended(metered(1000, 1500, 0, 300), 5_000_000, HOUR)
    assert (both.energy_wh, "implausible" in both.flags) == (5_000_500, True)


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


@given_any(st.lists(st.integers(0, 5000), min_size=1, max_size=10), st.sets(st.integers(0, 9)))
def test_a_slip_now_and_then_however_high_or_low_changes_nothing(rises: list[int], slips: set[int]) -> None:
    meter, total = Meter(start_wh=1_000_000), 1_000_000
    for minute, rise in enumerate(rises):
        total += rise
        meter = watched(meter, read([(total, 2 * minute)]), NOON)
        if minute in slips:
            slip = 0 if minute % 2 else 9_000_000
            meter = watched(meter, read([(slip, 2 * minute + 1)]), NOON)
    assert meter.energy_wh == total - 1_000_000
    assert ended(meter, total, HOUR).energy_wh == total - 1_000_000
