"""Ids that are derived are UUIDs of version 5, as anybody else would make them."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from contracts.event import NAMESPACE, derived_id


@given(st.text(), st.integers())
def test_a_derived_id_is_the_uuid_of_its_cause_service_and_number(cause: str, number: int) -> None:
    assert derived_id(cause, "sessions", number) == str(uuid5(NAMESPACE, f"{cause}/sessions/{number}"))
