"""Ids of what is new in the world."""

from itertools import islice
from uuid import UUID

from contracts.event import minted_ids


def test_minted_ids_are_uuids_and_all_different() -> None:
    minted = [id for cause in ("g-1/1", "g-1/2", "g-2/1") for id in islice(minted_ids(cause), 1000)]
    assert len(set(minted)) == 3000
    assert all(str(UUID(id)) == id and UUID(id).version == 8 for id in minted)


def test_the_same_cause_mints_the_same_ids_again() -> None:
    assert list(islice(minted_ids("g-1/1"), 10)) == list(islice(minted_ids("g-1/1"), 10))
