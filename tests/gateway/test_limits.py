import pytest

from services.gateway.limits import Bucket, Failures, Flaps, Flow, Loops


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(100.4) is False
    assert bucket.take(100.5) is True
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False], "it never holds more than the burst"


@pytest.mark.covers("T-06")
def test_an_address_that_fails_often_waits_and_others_do_not() -> None:
    failures = Failures(rate=1, burst=2)
    for _ in range(3):
        failures.count("a", 100)
    assert failures.too_many("a", 100)
    assert not failures.too_many("b", 100)
    assert not failures.too_many("a", 101)


def test_only_so_many_addresses_are_remembered() -> None:
    failures = Failures(burst=1, addresses=2)
    for address in "abc":
        failures.count(address, 100)
    assert [failures.too_many(address, 100) for address in "abc"] == [False, True, True]


@pytest.mark.covers("T-06")
def test_where_one_succeeded_others_may_try() -> None:
    failures = Failures(addresses=2)
    for address in "abc":
        failures.success(address)
    assert [failures.is_trusted(address) for address in "abcd"] == [False, True, True, False]


@pytest.mark.covers("T-54")
def test_a_flood_flows_at_its_rate_after_a_burst_and_nothing_is_dropped() -> None:
    flow = Flow(rate=2, burst=3)
    assert [flow.wait(100) for _ in range(5)] == [0, 0, 0, 0.5, 1]
    assert flow.wait(1000) == 0
    assert [Flow(rate=0, burst=1).wait(100) for _ in range(5)] == [0] * 5, "no rate is no limit"


@pytest.mark.covers("T-64", "C-023")
def test_connections_that_replace_one_another_too_often_are_noticed() -> None:
    flaps = Flaps(most=3, within=60)
    assert [flaps.replaced("CP-1", 100 + second) for second in range(5)] == [0, 0, 0, 4, 0], "told once"
    assert flaps.replaced("CP-1", 103 + 60) == 0, "calm again"
    assert flaps.is_flapping("CP-1", 110)
    assert not flaps.is_flapping("CP-2", 110)
    assert not flaps.is_flapping("CP-1", 162)
    assert [flaps.replaced("CP-1", 164 + second) for second in range(3)] == [0, 0, 4], "and told again a window later"


@pytest.mark.covers("Q-14")
def test_only_leaving_after_the_same_again_and_again_is_a_loop() -> None:
    loops = Loops()
    assert [loops.left("CP-1", after) for after in ("boot", "boot", "reset", "boot", "boot")] == [1, 2, 1, 1, 2]
    loops.stayed("CP-1")
    assert loops.left("CP-1", "boot") == 1


def test_only_so_many_stations_are_remembered() -> None:
    flaps, loops = Flaps(most=1, stations=2), Loops(stations=2)
    for station in ("a", "a", "b", "b", "c", "c"):
        flaps.replaced(station, 100)
        loops.left(station, "boot")
    assert [flaps.is_flapping(station, 100) for station in "abc"] == [False, True, True]
    assert [loops.left(station, "boot") for station in "ca"] == [3, 1]
