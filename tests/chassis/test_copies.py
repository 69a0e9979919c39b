"""Whole copies, without Kafka: `test_kafka` keeps them current over a real one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.copies import Copies, Copy, Whole
from contracts.cloudevents import Unreadable
from contracts.event import SiteId, TenantId
from contracts.reference import Site
from contracts.topics import SITES, TOKENS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def site(id: str, zone: str) -> bytes:
    value = SITES.encode(Site(at=NOON, tenant=TenantId("acme"), id=SiteId(id), version=1, name=id, time_zone=zone))
    assert value is not None
    return value


def by_zone(event: Any) -> str | None:
    return event.time_zone if isinstance(event, Site) and event.time_zone != "UTC" else None


ZONES = ["UTC", "Europe/Oslo", "Asia/Tokyo"]
steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*ZONES, None])))


@given(steps)
def test_a_copy_and_its_index_are_what_the_last_record_of_each_key_says(said: list[tuple[str, str | None]]) -> None:
    copy: Copy[Any] = Copy(Whole(SITES, index=by_zone))
    truth: dict[str, str] = {}
    for key, zone in said:
        copy.apply(f"acme/{key}".encode(), None if zone is None else site(key, zone))
        truth.pop(key, None)
        if zone is not None:
            truth[key] = zone
    assert {it.id: it.time_zone for it in copy} == truth
    assert len(copy) == len(truth)
    for zone in ZONES[1:]:
        assert [it.id for it in copy.by(zone)] == sorted(key for key, its in truth.items() if its == zone)
    assert copy.by("UTC") == ()


@pytest.mark.parametrize("index", [None, by_zone])
def test_a_record_that_cannot_be_read_changes_nothing(index: Any) -> None:
    copy: Copy[Any] = Copy(Whole(SITES, index=index))
    copy.apply(b"acme/a", site("a", "Europe/Oslo"))
    for key, value in ((b"acme/a", b"\xff{"), (b"acme/a", site("b", "Europe/Oslo"))):
        with pytest.raises(Unreadable):
            copy.apply(key, value)
    assert copy.get("acme/a") == copy.get(b"acme/a") == next(iter(copy))
    copy.apply(b"acme/a", None)
    assert copy.get("acme/a") is None


def test_a_copy_can_have_keys_of_its_own() -> None:
    copy: Copy[Any] = Copy(Whole(SITES, rekey=lambda key: key.partition(b"/")[2]))
    copy.apply(b"acme/a", site("a", "UTC"))
    assert copy.get("a") is not None
    copy.apply(b"acme/a", None)
    assert copy.get("a") is None


def test_only_what_was_asked_for_is_there() -> None:
    copies = Copies(Whole(SITES))
    assert len(copies.of(SITES)) == 0
    with pytest.raises(KeyError):
        copies.of(TOKENS)
