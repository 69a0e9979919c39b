"""What the worked examples leave out, by the rules' ids."""

from typing import Any

import pytest

from services.billing.tariff import Unpriceable
from tests.billing.given import component, element, energy, priced, sample, session, tariff, totals

HOUR = (sample("08:00", "100000"), sample("09:00", "110000", "END"))


def lines(found: dict[str, Any]) -> list[tuple[str, int, str, str]]:
    return [
        (each["dimension"], each["element_index"], each["quantity"], each["net_exact"]) for each in found["line_items"]
    ]


# ---- restrictions (TAR-11, TAR-12) ----


def test_p_04_an_hour_that_comes_twice_counts_twice() -> None:
    night = tariff(
        element(component("TIME", "6.00"), start_time="02:00", end_time="03:00"), element(component("TIME", "3.00"))
    )
    # 25 October 2026, 01:30 to 03:30 in Berlin: three hours.
    said = session(
        sample("23:30", "0", day="2026-10-24"),
        sample("02:30", "9000", "END", day="2026-10-25"),
        timezone="Europe/Berlin",
    )
    assert lines(priced(night, said)) == [("TIME", 1, "3600.000", "3.000000"), ("TIME", 0, "7200.000", "12.000000")]


def test_p_06_an_end_date_does_not_belong_to_it() -> None:
    dated = tariff(element(energy("1.00"), start_date="2026-11-23", end_date="2026-11-24"), element(energy("0.10")))
    said = session(sample("22:00", "0"), sample("00:00", "2000", "END", day="2026-11-24"))
    assert lines(priced(dated, said)) == [("ENERGY", 0, "1000.000", "1.000000"), ("ENERGY", 1, "1000.000", "0.100000")]


def test_p_07_a_limit_of_energy_is_crossed_between_two_samples() -> None:
    tiers = tariff(element(energy("0.50"), max_kwh="3"), element(energy("0.20")))
    found = priced(tiers, session(*HOUR))
    assert lines(found) == [("ENERGY", 0, "3000.000", "1.500000"), ("ENERGY", 1, "7000.000", "1.400000")]
    assert [each["start_date_time"] for each in found["charging_periods"]] == [
        "2026-11-23T08:00:00Z",
        "2026-11-23T08:18:00Z",
    ]


def test_an_instant_between_two_seconds_is_told_to_the_nearest_microsecond() -> None:
    found = priced(
        tariff(element(energy("0.50"), max_kwh="3"), element(energy("0.20"))),
        session(sample("08:00", "100000"), sample("08:00:20", "107000", "END")),
    )
    assert found["charging_periods"][1]["start_date_time"] == "2026-11-23T08:00:08.571429Z"


def test_a_limit_that_is_reached_and_not_passed_has_the_next_price_from_there() -> None:
    tiers = tariff(element(component("TIME", "1.00"), max_kwh="10"), element(component("TIME", "7.00")))
    said = session(sample("08:00", "0"), sample("09:00", "10000"), sample("10:00", "10000", "END"))
    assert lines(priced(tiers, said)) == [("TIME", 0, "3600.000", "1.000000"), ("TIME", 1, "3600.000", "7.000000")]


def test_p_31_a_current_is_the_sum_over_the_phases() -> None:
    by_current = tariff(element(energy("0.60"), min_current="48"), element(energy("0.40")))
    three = session(sample("08:00", "0", amps=["16", "16", "16"]), sample("09:00", "1000", "END"))
    one = session(sample("08:00", "0", amps="47.9"), sample("09:00", "1000", "END"))
    assert (totals(by_current, three)[0], totals(by_current, one)[0]) == ("0.60", "0.40")


def test_a_current_that_nobody_measured_is_within_no_limit() -> None:
    by_current = tariff(element(energy("0.60"), max_current="48"), element(energy("0.40")))
    assert totals(by_current, session(*HOUR))[0] == "4.00"


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"kw": "22"}, "0.60"),
        ({"kw": "21.999999"}, "0.40"),
        ({"power_kw": "22"}, "0.60"),
        ({"power_kw": "21.999999"}, "0.40"),
        ({"w": 22_000}, "0.60"),
        ({"w": 21_999}, "0.40"),
        ({"watts": "22000"}, "0.60"),
        ({"watts": "21999.99"}, "0.40"),
        ({}, "0.40"),
    ],
)
def test_a_power_is_the_samples_or_that_of_the_interval(fields: dict[str, Any], cost: str) -> None:
    fast = tariff(element(energy("0.60"), min_power="22"), element(energy("0.40")))
    said = session(sample("08:00", "0", **fields), sample("09:00", "1000", "END"))
    assert totals(fast, said)[0] == cost


def test_the_power_of_an_interval_is_what_it_delivered() -> None:
    fast = tariff(element(energy("0.60"), min_power="10"), element(energy("0.40")))
    said = session(sample("08:00", "0"), sample("08:30", "5000"), sample("09:00", "6000", "END"))
    assert lines(priced(fast, said)) == [("ENERGY", 0, "5000.000", "3.000000"), ("ENERGY", 1, "1000.000", "0.400000")]


def test_the_power_of_an_interval_is_exact_at_a_limit() -> None:
    slow = tariff(element(energy("0.20"), max_power="11"), element(energy("0.60")))
    costs = [totals(slow, session(sample("08:00", "0"), sample("09:00", wh, "END")))[0] for wh in ("10999", "11000")]
    assert costs == ["2.20", "6.60"]


def test_a_duration_counts_from_the_start_and_not_from_the_end_of_charging() -> None:
    late = tariff(element(component("PARKING_TIME", "6.00"), min_duration=7200))
    said = session(sample("08:00", "0"), sample("09:00", "1000", "SUSPENDED_EV"), sample("11:00", "1000", "END"))
    assert lines(priced(late, said)) == [("PARKING_TIME", 0, "3600.000", "6.000000")]


# ---- states (TAR-22 to TAR-24) ----


def test_p_10_a_pause_of_the_stations_is_no_idle_time() -> None:
    fee = tariff(element(energy("0.40"), component("PARKING_TIME", "6.00")))
    said = session(sample("08:00", "0"), sample("08:30", "5000", "SUSPENDED_EVSE"), sample("09:00", "5000", "END"))
    assert totals(fee, said)[0] == "2.00"


def test_grace_is_given_for_each_time_the_car_stops() -> None:
    fee = tariff(element(component("PARKING_TIME", "6.00")))
    said = session(
        sample("08:00", "0"),
        sample("08:30", "1000", "SUSPENDED_EV"),
        sample("08:50", "1000"),
        sample("09:00", "1500", "FINISHING"),
        sample("09:05", "1500", "END"),
        policy={"idle_grace_s": 600},
    )
    found = priced(fee, said)
    assert lines(found) == [("PARKING_TIME", 0, "600.000", "1.000000")]
    assert [each["state"] for each in found["charging_periods"]] == [
        "CHARGING",
        "GRACE",
        "PARKING",
        "CHARGING",
        "GRACE",
    ]


def test_where_no_state_is_named_five_minutes_without_power_are_idle() -> None:
    fee = tariff(element(component("PARKING_TIME", "6.00")))
    said = session(
        sample("08:00", "0", None),
        sample("08:30", "5000", None),
        sample("08:34", "5001", None),
        sample("08:38", "6000", None),
        sample("09:08", "6010", None),
    )
    assert lines(priced(fee, said)) == [("PARKING_TIME", 0, "1800.000", "3.000000")]


# ---- the meter (TAR-21) ----


def test_p_25_a_zero_before_a_lifetime_register_is_no_baseline() -> None:
    said = session(sample("08:00", "0"), sample("08:01", "910000"), sample("09:00", "910083", "END"))
    found = priced(tariff(element(energy("0.40"))), said)
    assert lines(found) == [("ENERGY", 0, "83.000", "0.033200")]
    assert found["flags"] == ["zero_placeholder"]


def test_a_session_that_counts_from_zero_is_believed() -> None:
    said = session(sample("08:00", "0"), sample("08:30", "40000"), sample("09:00", "70000", "END"))
    assert lines(priced(tariff(element(energy("0.40"))), said)) == [("ENERGY", 0, "70000.000", "28.000000")]


def test_more_than_the_connector_can_give_is_flagged() -> None:
    said = session(sample("08:00", "100000"), sample("09:00", "130000", "END"), policy={"max_power_kw": "22"})
    assert priced(tariff(element(energy("0.40"))), said)["flags"] == ["implausible_energy"]


def test_samples_may_come_in_any_order_and_after_the_end_nothing_counts() -> None:
    said = [
        sample("08:00", "100000"),
        sample("08:20", "103000"),
        sample("09:00", "110000", "END"),
        sample("09:01", "119000"),
    ]
    money = tariff(element(energy("0.40")))
    assert priced(money, session(*said)) == priced(money, session(*reversed(said)))
    assert totals(money, session(*said))[0] == "4.00"


def test_a_session_without_an_end_is_priced_up_to_its_last_sample() -> None:
    found = priced(tariff(element(energy("0.40"))), session(sample("08:00", "0"), sample("09:00", "10000")))
    assert (found["total_excl"], found["flags"]) == ("4.00", ["estimated_end"])


# ---- flat, reservations (TAR-13, D-5, D-6, D-8) ----


def test_p_29_a_fee_is_due_once_the_first_that_becomes_active() -> None:
    fees = tariff(
        element(component("FLAT", "2.00"), start_time="10:00"), element(component("FLAT", "1.00"), min_kwh="5")
    )
    assert lines(priced(fees, session(*HOUR))) == [("FLAT", 1, "1.000", "1.000000")]


def test_s_15_a_reservation_has_a_fee_of_its_own() -> None:
    fees = tariff(
        element(component("FLAT", "2.00"), reservation="RESERVATION"),
        element(component("FLAT", "0.50"), energy("0.25")),
    )
    said = session(
        *HOUR, reservation={"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:00:00Z", "outcome": "USED"}
    )
    assert lines(priced(fees, said)) == [
        ("RESERVATION_FLAT", 0, "1.000", "2.000000"),
        ("FLAT", 1, "1.000", "0.500000"),
        ("ENERGY", 1, "10000.000", "2.500000"),
    ]


def test_s_16_an_expired_reservation_pays_its_time_and_both_fees() -> None:
    fees = tariff(
        element(component("FLAT", "4.00"), reservation="RESERVATION_EXPIRES"),
        element(component("FLAT", "1.00"), component("TIME", "2.00", 600), reservation="RESERVATION"),
    )
    said = session(reservation={"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:25:00Z", "outcome": "EXPIRED"})
    assert totals(fees, said)[0] == "7.00"


def test_s_12b_on_a_saturday_at_much_current() -> None:
    """OCPI prints 12.28 and 13.861 for its own example; its rules come to this (114 minutes at 1.25 are 2.375)."""
    fast = {"min_current": "32"}
    prices = tariff(
        element(component("FLAT", "2.50", vat="15")),
        element(component("TIME", "1.00", 900, "20"), max_current="32"),
        element(component("TIME", "2.00", 600, "20"), day_of_week=["MONDAY", "FRIDAY"], **fast),
        element(component("TIME", "1.25", 600, "20"), day_of_week=["SATURDAY", "SUNDAY"], **fast),
        element(
            component("PARKING_TIME", "6.00", 300, "10"), start_time="10:00", end_time="17:00", day_of_week=["SATURDAY"]
        ),
    )
    said = session(
        sample("12:30", "100000", day="2026-11-28", amps="43"),
        sample("14:24", "105000", "SUSPENDED_EV", day="2026-11-28", amps="0"),
        sample("15:35", "105000", "END", day="2026-11-28"),
    )
    assert totals(prices, said) == ("12.38", "13.98")


def test_s_18c_only_what_is_priced_of_standing_idle_is_rounded_up() -> None:
    prices = tariff(
        element(component("TIME", "2.40", 900), start_time="17:00", end_time="20:00"),
        element(component("PARKING_TIME", "1.00", 900), end_time="20:00"),
    )
    said = session(sample("18:40", "0"), sample("18:52", "3000", "SUSPENDED_EV"), sample("19:12", "3000", "END"))
    found = priced(prices, said)
    assert [(each["quantity"], each["billed_quantity"]) for each in found["line_items"]] == [
        ("720.000", "720.000"),
        ("480.000", "900.000"),
    ]
    assert found["total_excl"] == "0.73"


# ---- taxes and limits (TAR-06, TAR-30, TAR-31) ----


def test_p_16_a_limit_without_taxes_takes_the_taxes_of_the_base() -> None:
    cheap = tariff(element(energy("0.10", vat="21")), min_price={"before_taxes": "5.00"})
    assert totals(cheap, session(*HOUR)) == ("5.00", "6.05")


def test_a_limit_of_nothing_takes_the_only_rate_of_its_tariff() -> None:
    cheap = tariff(element(energy("0.10", vat="21")), min_price={"before_taxes": "1.00"})
    assert totals(cheap, session(sample("08:00", "5"), sample("09:00", "5", "END"))) == ("1.00", "1.21")


def test_a_limit_of_nothing_bears_no_tax_where_the_rates_differ() -> None:
    fees = tariff(
        element(energy("0.10", vat="21"), component("TIME", "0.00", vat="10")), min_price={"before_taxes": "1.00"}
    )
    assert totals(fees, session(sample("08:00", "5"), sample("09:00", "5", "END"))) == ("1.00", "1.00")


def test_limits_bound_net_and_gross_each_for_itself() -> None:
    dear = tariff(element(energy("1.00", vat="10")), max_price={"before_taxes": "20.00", "after_taxes": "10.50"})
    found = priced(dear, session(*HOUR))
    assert (found["total_excl"], found["total_incl"], found["limit_applied"]) == ("10.00", "10.50", "max_price")


def test_a_limit_that_is_said_with_taxes_alone_takes_the_base_along() -> None:
    """TAR-35: a net is never more than its gross."""
    dear = tariff(element(energy("1.00", vat="10")), max_price={"after_taxes": "5.50"})
    assert totals(dear, session(*HOUR)) == ("5.00", "5.50")
    cheap = tariff(element(energy("0.10", vat="21")), min_price={"incl_vat": "12.10"})
    assert totals(cheap, session(*HOUR)) == ("10.00", "12.10")
    assert totals(cheap, session(sample("08:00", "5"), sample("09:00", "5", "END"))) == ("10.00", "12.10")
    untold = tariff(element(energy("1.00")), tax_included="YES", max_price={"after_taxes": "5.50"})
    assert totals(untold, session(*HOUR)) == (None, "5.50")


def test_a_limit_without_taxes_bounds_nothing_where_the_net_is_unknown() -> None:
    cheap = tariff(element(energy("0.10")), tax_included="YES", min_price={"before_taxes": "5.00"})
    assert totals(cheap, session(*HOUR)) == (None, "1.00")


def test_limits_in_the_words_of_2_2_1_are_limits_too() -> None:
    dear = tariff(element(energy("1.00", vat="10")), max_price={"excl_vat": "5.00", "incl_vat": "5.50"})
    assert totals(dear, session(*HOUR)) == ("5.00", "5.50")


def test_discounts_multiply_and_leave_other_dimensions_alone() -> None:
    money = tariff(element(energy("1.00"), component("TIME", "1.00")))
    policy = {"discounts": [{"percent": "10"}, {"percent": "50", "dimension": "ENERGY"}]}
    found = priced(money, session(*HOUR, policy=policy))
    assert lines(found) == [("ENERGY", 0, "10000.000", "4.500000"), ("TIME", 0, "3600.000", "0.900000")]
    assert [each["discount_percent"] for each in found["explanation"]] == ["55.00", "10.00"]


# ---- the bill explains itself (TAR-34) ----


def test_a_bill_says_why_each_line_is_there_and_its_lines_add_up() -> None:
    thirds = tariff(
        *(
            element(energy("0.1", step_size=7), start_time=f"{hour:02}:00", end_time=f"{hour + 1:02}:00")
            for hour in (9, 10, 11)
        )
    )
    said = session(sample("08:00", "0"), sample("11:00", "1000", "END"))
    found = priced(thirds, said)
    assert [each["restrictions"]["start_time"] for each in found["explanation"]] == ["09:00", "10:00", "11:00"]
    assert [each["net"] for each in found["explanation"]] == ["0.03", "0.03", "0.04"]
    assert (found["total_excl"], [each["billed"] for each in found["explanation"]][-1]) == ("0.10", "334.333")


# ---- what has no price ----


@pytest.mark.parametrize(
    ("tariff_", "session_", "why"),
    [
        (tariff(element(energy("-0.10"))), session(*HOUR), "the price of ENERGY is negative"),
        (tariff(element(energy("0.10")), currency="XXQ"), session(*HOUR), "'XXQ' is no currency"),
        (tariff(element(energy("0.10", step_size=-1))), session(*HOUR), "the step_size of ENERGY is negative"),
        (tariff(element(energy("0.10", vat="-5"))), session(*HOUR), "the vat of ENERGY is negative"),
        (tariff(element(energy("0.10")), min_price={"before_taxes": "-1"}), session(*HOUR), "min_price is negative"),
        (tariff(element(energy("0.10")), max_price={"after_taxes": "-1"}), session(*HOUR), "max_price is negative"),
        (tariff(element(energy("0.10"), start_time="25:00")), session(*HOUR), "'25:00' is no time of day"),
        (
            tariff(element(energy("0.10"), start_date="yesterday")),
            session(*HOUR),
            "Invalid isoformat string: 'yesterday'",
        ),
        (tariff(element(energy("0.10"), day_of_week=["MOONDAY"])), session(*HOUR), "Invalid enum value 'MOONDAY'"),
        (tariff(element(energy("much"))), session(*HOUR), "Invalid decimal string"),
        ([], session(*HOUR), "there is no tariff"),
        (tariff(element(energy("0.10"))), session(), "neither samples nor a reservation"),
        (
            tariff(element(energy("0.10"))),
            session(sample("09:00", "1"), sample("08:00", "2", "END")),
            "ends before it starts",
        ),
        (tariff(element(energy("0.10"))), session(sample("08:00", "x")), "samples[0]"),
        (tariff(element(energy("0.10"))), session(sample("08:00", "-1")), "wh is negative"),
        (tariff(element(energy("0.10"))), session({"wh": "1"}), "samples[0] has no time t"),
        (tariff(element(energy("0.10"))), session({"t": "soon", "wh": "1"}), "'soon' is no time"),
        (tariff(element(energy("0.10"))), session(*HOUR, timezone="Mars/Olympus"), "'Mars/Olympus' is no time zone"),
        (tariff(element(energy("0.10"))), session(*HOUR, reservation={"start": "soon"}), "reservation: "),
        (
            tariff(element(energy("0.10"))),
            session(reservation={"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}),
            "the reservation ends before it starts",
        ),
        (tariff(element(energy("0.10"))), session(*HOUR, policy={"idle_grace_s": "long"}), "policy: "),
    ],
)
def test_what_has_no_price_says_why(tariff_: Any, session_: dict[str, Any], why: str) -> None:
    with pytest.raises(Unpriceable) as said:
        priced(tariff_, session_)
    assert why in str(said.value)


@pytest.mark.parametrize("monster", ["1e999999", "1e-999999", "9" * 31])
def test_numbers_that_take_for_ever_are_refused_at_once(monster: str) -> None:
    for wrong in (
        (tariff(element(energy(monster))), session(*HOUR)),
        (tariff(element(energy("1"), min_kwh=monster)), session(*HOUR)),
        (tariff(element(energy("1"))), session(sample("08:00", monster))),
        (tariff(element(energy("1"))), session(*HOUR, policy={"discounts": [{"percent": monster}]})),
    ):
        with pytest.raises(Unpriceable):
            priced(*wrong)


def test_what_lasts_for_years_is_refused() -> None:
    ages = session(sample("08:00", "0", day="1999-01-01"), sample("08:00", "9", "END", day="2026-01-01"))
    with pytest.raises(Unpriceable, match="more than 366 days"):
        priced(tariff(element(energy("1"), start_time="07:00")), ages)
    reserved = session(reservation={"start": "1999-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z", "outcome": "USED"})
    with pytest.raises(Unpriceable, match="more than 366 days"):
        priced(tariff(element(energy("1"), start_time="07:00")), reserved)


def test_the_price_of_a_reservation_may_depend_on_the_time_of_day() -> None:
    early = element(component("FLAT", "2.00"), reservation="RESERVATION", start_time="06:00", end_time="08:00")
    late = element(component("FLAT", "3.00"), reservation="RESERVATION", start_time="08:00", end_time="10:00")
    said = {"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:00:00Z", "outcome": "USED"}
    found = priced(tariff(early, late, element(energy("0.10"))), session(*HOUR, reservation=said))
    fees = [(number, net) for dimension, number, _, net in lines(found) if dimension == "RESERVATION_FLAT"]
    assert fees == [(1, "3.000000")], "half past eight, in Amsterdam"


@pytest.mark.parametrize(("below", "wh", "is_void"), [(100, "99", True), (100, "100", False), (2000, "1999", True)])
def test_a_session_with_just_the_energy_that_counts_is_not_void(below: int, wh: str, is_void: bool) -> None:
    policy = {"void_below_wh": below, "void_below_s": 120}
    said = session(sample("08:00", "0"), sample("08:01", wh, "END"), policy=policy)
    assert ("void" in priced(tariff(element(energy("0.10"))), said)["flags"]) == is_void


def test_a_reservation_alone_owes_no_minimum() -> None:
    fee = tariff(element(component("FLAT", "1.00"), reservation="RESERVATION"), min_price={"excl_vat": "5.00"})
    said = session(reservation={"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:25:00Z", "outcome": "EXPIRED"})
    assert totals(fee, said)[0] == "1.00"


def test_a_reservations_fee_is_the_first_that_becomes_active() -> None:
    """As of a session's (D-6): one that counts from nine o'clock is due where the reservation lasts until then."""
    fee = element(component("FLAT", "3.00"), reservation="RESERVATION", start_time="09:00", end_time="10:00")
    said = {"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T08:10:00Z"}
    assert totals(tariff(fee), session(reservation=said))[0] == "3.00"
    assert totals(tariff(fee), session(reservation=said | {"end": "2026-11-23T07:50:00Z"}))[0] == "0.00"


@pytest.mark.parametrize(
    ("until", "outcome", "seconds"),
    [
        ("07:40", "USED", "2400.000"),
        ("08:00", "USED", "3600.000"),
        ("08:30", "USED", "3600.000"),
        ("08:30", "CANCELLED", "5400.000"),
    ],
)
def test_a_reservation_that_is_used_ends_where_the_session_begins(until: str, outcome: str, seconds: str) -> None:
    kept = tariff(element(component("TIME", "6.00"), component("FLAT", "1.00"), reservation="RESERVATION"))
    said = {"start": "2026-11-23T07:00:00Z", "end": f"2026-11-23T{until}:00Z", "outcome": outcome}
    found = priced(kept, session(*reversed(HOUR), reservation=said))
    assert [each["quantity"] for each in found["line_items"]] == ["1.000", seconds]
    early = {"start": "2026-11-23T08:10:00Z", "end": "2026-11-23T08:30:00Z"}
    assert totals(kept, session(*HOUR, reservation=early))[0] == "1.00"


def test_a_reservation_of_no_time_owes_its_fee() -> None:
    fee = tariff(element(component("FLAT", "2.00"), component("TIME", "5.00"), reservation="RESERVATION"))
    moment = {"start": "2026-11-23T07:30:00Z", "end": "2026-11-23T07:30:00Z"}
    assert lines(priced(fee, session(reservation=moment))) == [("RESERVATION_FLAT", 0, "1.000", "2.000000")]


# ---- what comes at once ----


def test_what_a_register_rises_by_in_the_first_second_is_billed_too() -> None:
    money = tariff(element(energy("0.40")))
    found = priced(
        money, session(sample("08:00", "100000"), sample("08:00", "101000"), sample("09:00", "110000", "END"))
    )
    assert lines(found) == [("ENERGY", 0, "10000.000", "4.000000")]
    assert found["charging_periods"][0]["dimensions"] == {"ENERGY": "10.0000", "TIME": "1.0000"}


def test_a_session_of_no_time_has_no_power() -> None:
    fee = tariff(element(component("FLAT", "1.00"), max_power="11"), element(component("FLAT", "2.00")))
    assert totals(fee, session(sample("08:00", "100000", "END")))[0] == "2.00"


def test_a_session_of_no_time_has_its_energy() -> None:
    money = tariff(element(energy("0.40")))
    assert totals(money, session(sample("08:00", "100000"), sample("08:00", "101000", "END")))[0] == "0.40"


def test_a_sample_that_says_only_a_state_changes_no_energy() -> None:
    """TAR-03: it lies exactly on the line between the registers, wherever the prices change."""
    night = tariff(element(energy("0.40"), max_duration=1000), element(energy("0.20")))
    bare = [sample("08:00", "0"), sample("09:00", "10000", "END")]
    between = {"t": "2026-11-23T08:16:40Z", "state": "CHARGING"}
    found = priced(night, session(*bare, between))
    assert found == priced(night, session(*bare))
    assert [each["quantity"] for each in found["line_items"]] == ["2777.778", "7222.222"]


def test_a_current_holds_until_the_next_that_is_measured() -> None:
    by_current = tariff(element(energy("0.60"), min_current="32"), element(energy("0.40")))
    said = session(
        sample("08:00", "0", amps="32"),
        {"t": "2026-11-23T08:20:00Z", "state": "SUSPENDED_EVSE"},
        sample("08:30", "1000", amps="16"),
        sample("09:00", "2000", "END"),
    )
    assert lines(priced(by_current, said)) == [
        ("ENERGY", 0, "1000.000", "0.600000"),
        ("ENERGY", 1, "1000.000", "0.400000"),
    ]
    late = session(sample("08:00", "0"), sample("08:30", "1000", amps="32"), sample("09:00", "2000", "END"))
    assert totals(by_current, late)[0] == "1.00"


def test_two_samples_of_one_second_count_in_the_order_of_their_times() -> None:
    money = tariff(element(energy("0.40")))
    said = [
        {"t": "2026-11-23T08:30:00.9Z", "wh": "6000", "state": "CHARGING"},
        {"t": "2026-11-23T09:30:00.2+01:00", "wh": "5000", "state": "CHARGING"},
    ]
    found = priced(money, session(sample("08:00", "1000"), *said, sample("09:00", "11000", "END")))
    assert (found["total_excl"], found["flags"]) == ("4.00", [])


# ---- several tariffs, in force by what samples name (P23) ----


def two(**second: Any) -> list[dict[str, Any]]:
    return [tariff(element(energy("0.50"))), tariff(element(energy("0.30")), **{"id": "CHEAP", **second})]


def test_a_tariff_is_in_force_until_another_is_named() -> None:
    said = session(
        sample("08:00", "0"),
        sample("08:10", "1000", tariff_id="CHEAP"),
        sample("08:20", "2000"),
        sample("08:30", "3000", tariff_id="T1"),
        sample("08:40", "4000", "END"),
    )
    assert [(each["tariff_id"], each["quantity"]) for each in priced(two(), said)["line_items"]] == [
        ("T1", "2000.000"),
        ("CHEAP", "2000.000"),
    ]


def test_of_several_tariffs_the_limits_of_the_first_in_force_count() -> None:
    limited = two(max_price={"before_taxes": "2.00"}, min_price={"before_taxes": "1.00"})
    cheap = session(sample("08:00", "0", tariff_id="CHEAP"), sample("09:00", "10000", "END"))
    assert totals(limited, cheap) == ("2.00", "2.00")
    nothing = session(sample("08:00", "0", tariff_id="CHEAP"), sample("09:00", "0", "END"))
    assert totals(limited, nothing) == ("1.00", "1.00")
    switched = session(
        sample("08:00", "0"), sample("08:30", "5000", tariff_id="CHEAP"), sample("09:00", "10000", "END")
    )
    assert totals(limited, switched) == ("4.00", "4.00")
    taxed = [
        tariff(element(energy("0.50"))),
        tariff(element(energy("0.30", vat="25")), id="CHEAP", min_price={"before_taxes": "1"}),
    ]
    assert totals(taxed, nothing) == ("1.00", "1.25")


@pytest.mark.parametrize(
    ("tariffs", "fields", "why"),
    [
        (two(), {"tariff_id": "NIGHT"}, "samples[1]: tariff_id 'NIGHT' is none of this case's tariffs"),
        (two(), {"tariff_id": ["CHEAP"]}, "samples[1]: tariff_id is a text"),
        (two(id="T1"), {}, "two are the same"),
        (two(currency="NOK"), {}, "one currency"),
        ([*two(), {"id": "X"}], {}, "tariff[2]: Object missing required field"),
    ],
)
def test_tariffs_that_cannot_be_told_apart_are_refused(tariffs: Any, fields: dict[str, Any], why: str) -> None:
    said = session(sample("08:00", "0"), sample("09:00", "1000", "END", **fields))
    with pytest.raises(Unpriceable) as refused:
        priced(tariffs, said)
    assert why in str(refused.value)


def test_what_is_void_owes_its_reservation_within_the_most_and_no_least() -> None:
    fees = tariff(
        element(component("TIME", "6.00"), reservation="RESERVATION"),
        element(component("FLAT", "1.00"), energy("0.40")),
        min_price={"before_taxes": "4.00"},
        max_price={"before_taxes": "5.00"},
    )
    policy = {"void_below_wh": 50, "void_below_s": 120}
    void = (sample("08:00", "0"), sample("08:01", "0", "END"))

    def reserved(start: str) -> dict[str, Any]:
        return session(*void, reservation={"start": start, "end": "2026-11-23T08:00:00Z"}, policy=policy)

    assert totals(fees, reserved("2026-11-23T06:00:00Z"))[0] == "5.00"
    assert totals(fees, reserved("2026-11-23T07:30:00Z"))[0] == "3.00"
    assert totals(fees, session(*void, policy=policy))[0] == "0.00"
