import asyncio
from collections.abc import Iterator

import pytest

from chassis.secrets import DIGESTED, digested
from services.gateway.passwords import Busy, Passwords
from tests.gateway.stage import hashed

STORED = hashed(b"right")


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.mark.covers("T-23")
async def test_the_right_password_is_found_among_its_spellings(passwords: Passwords) -> None:
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0
    assert await passwords.match("CP-1", STORED, [b"7269676874", b"right"]) == 1
    assert await passwords.match("CP-1", STORED, [b"wrong"]) is None


@pytest.mark.covers("T-26", "C-014")
async def test_a_password_of_ours_needs_no_slow_hash(passwords: Passwords) -> None:
    stored = digested(b"k7Qm2ZtRw9XbHc4NvJ8e")
    passwords._pool.shutdown()
    assert await passwords.match("CP-1", stored, [b"other", b"k7Qm2ZtRw9XbHc4NvJ8e"]) == 1
    assert await passwords.match("CP-2", stored, [b"k7Qm2ZtRw9XbHc4NvJ8f", b""]) is None
    assert await passwords.match("CP-3", DIGESTED + "no digest", [b"k7Qm2ZtRw9XbHc4NvJ8e"]) is None
    assert digested(b"k7Qm2ZtRw9XbHc4NvJ8e") != stored


@pytest.mark.covers("T-26", "C-014")
async def test_a_storm_hashes_nothing(passwords: Passwords) -> None:
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0
    passwords._pool.shutdown()
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0


async def test_a_wrong_password_is_remembered_too_and_forgets_no_right_one(passwords: Passwords) -> None:
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0
    assert await passwords.match("CP-1", STORED, [b"wrong"]) is None
    assert await passwords.match("CP-2", STORED, [b"wrong"]) is None
    passwords._pool.shutdown()
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0
    assert await passwords.match("CP-2", STORED, [b"wrong"]) is None


async def test_a_changed_password_is_asked_anew(passwords: Passwords) -> None:
    assert await passwords.match("CP-1", STORED, [b"right"]) == 0
    assert await passwords.match("CP-1", hashed(b"new"), [b"right"]) is None
    assert await passwords.match("CP-1", hashed(b"new"), [b"new"]) == 0


async def test_a_hash_that_is_none_matches_nothing(passwords: Passwords) -> None:
    assert await passwords.match("CP-1", "garbage", [b"right"]) is None


async def test_only_so_many_wait() -> None:
    passwords = Passwords(threads=1, waiting=1)
    first = asyncio.create_task(passwords.match("CP-1", STORED, [b"right"]))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.match("CP-2", STORED, [b"right"])
    assert await first == 0
    passwords.close()


async def test_only_so_many_are_remembered() -> None:
    passwords = Passwords(remembered=1)
    for station in ("CP-1", "CP-2"):
        assert await passwords.match(station, STORED, [b"right"]) == 0
    assert list(passwords._found) == ["CP-2"]
    passwords.close()


@pytest.mark.covers("T-26")
async def test_neither_passwords_nor_plain_digests_are_kept(passwords: Passwords) -> None:
    await passwords.match("CP-1", STORED, [b"right"])
    assert b"right" not in passwords._found["CP-1"][0]
