"""Whether a password is the right one. Slow by design, so it is asked once per station and process (T-26)."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.secrets import DIGESTED, is_digest_of


class Busy(Exception):
    """Too many passwords are being checked: the station should come back later."""


class Passwords:
    """Checks passwords against digests at once and argon2 hashes in a few threads, and remembers what it found by a keyed digest.

    The key is this process's own and the digest stays in memory: a storm of reconnecting stations hashes nothing.
    """

    def __init__(
        self, *, threads: int = 2, waiting: int = 5_000, within: float = 8, remembered: int = 1_000_000
    ) -> None:
        self._hasher = PasswordHasher()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._key = os.urandom(32)
        self._room, self._most = waiting, remembered
        self._threads, self._within = threads, within
        self._asked, self._took = 0, 0.0
        """How many are being checked now, and how many seconds one takes of late."""
        self._found: dict[str, tuple[bytes, int | None]] = {}

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def recall(self, station: str, stored: str, spellings: Sequence[bytes]) -> tuple[bool, int | None]:
        """Return whether this has been asked before, and what was found then."""
        known = self._found.get(station)
        asked = known is not None and hmac.compare_digest(known[0], self._digest(stored, spellings))
        return asked, known[1] if known is not None and asked else None

    async def match(self, station: str, stored: str, spellings: Sequence[bytes]) -> int | None:
        """Return which spelling is the stored password, None if none is. Raises `Busy`."""
        asked, found = self.recall(station, stored, spellings)
        if asked:
            return found
        if stored.startswith(DIGESTED):  # a few microseconds: nobody need wait for a thread
            found = next((n for n, spelling in enumerate(spellings) if is_digest_of(stored, spelling)), None)
            self._remember(station, self._digest(stored, spellings), found)
            return found
        if self._asked >= self._room or self._asked * self._took > self._within * self._threads:
            raise Busy  # the station would give up before its turn comes
        self._asked += 1
        try:
            found, took = await asyncio.get_running_loop().run_in_executor(self._pool, self._search, stored, spellings)
        finally:
            self._asked -= 1
        self._took += (took - self._took) / 64  # one slow check is no sign
        self._remember(station, self._digest(stored, spellings), found)
        return found

    def _digest(self, stored: str, spellings: Sequence[bytes]) -> bytes:
        return hashlib.blake2b(b"\0".join((stored.encode(), *spellings)), key=self._key).digest()

    def _search(self, stored: str, spellings: Sequence[bytes]) -> tuple[int | None, float]:
        began = perf_counter()
        found = next((number for number, spelling in enumerate(spellings) if self._is(stored, spelling)), None)
        return found, perf_counter() - began

    def _is(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _remember(self, station: str, digest: bytes, found: int | None) -> None:
        """A wrong guess never makes us forget the right password."""
        if found is None and (known := self._found.get(station)) is not None and known[1] is not None:
            return
        self._found.pop(station, None)
        self._found[station] = digest, found
        if len(self._found) > self._most:
            del self._found[next(iter(self._found))]
