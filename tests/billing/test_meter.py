"""What samples come to, where only a person would see it in a bill."""

import pytest

from contracts.tariffs import Policy
from services.billing.meter import Sample, measured

KWH = 1_000_000


def delivered(*registers: int) -> int:
    """Return the kWh of a session whose register showed these, one each hour."""
    return measured([Sample(at=3600 * n, mwh=kwh * KWH) for n, kwh in enumerate(registers)], Policy()).mwh // KWH


@pytest.mark.parametrize(
    ("registers", "kwh"),
    [
        ((0, 60, 61), 1),  # a lifetime's register behind a zero
        ((0, 60, 70), 70),
        ((0, 60, 60, 60), 0),
        ((0, 40, 41), 41),
        ((0, 10, 20, 30), 30),
    ],
)
def test_a_zero_before_a_register_of_a_lifetime_is_no_register(registers: tuple[int, ...], kwh: int) -> None:
    assert delivered(*registers) == kwh


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
