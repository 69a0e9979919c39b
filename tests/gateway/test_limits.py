from services.gateway.limits import Bucket, Failures


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(100.4) is False
    assert bucket.take(100.5) is True
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False], "it never holds more than the burst"


def test_an_address_that_fails_often_waits_and_others_do_not_t06() -> None:
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


def test_where_one_succeeded_others_may_try_t06() -> None:
    failures = Failures(addresses=2)
    for address in "abc":
        failures.success(address)
    assert [failures.is_trusted(address) for address in "abcd"] == [False, True, True, False]
