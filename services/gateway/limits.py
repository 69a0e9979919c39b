"""How much of something is let through: token buckets, without a clock (seconds of any clock come as arguments)."""

from collections import deque


class Bucket:
    """Lets `burst` through at once, and `rate` per second in the long run."""

    __slots__ = ("_burst", "_level", "_rate", "_since")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._since = burst, 0.0

    def level(self, now: float) -> float:
        """Return how much may pass now."""
        if now > self._since:
            self._level = min(self._burst, self._level + (now - self._since) * self._rate)
            self._since = now
        return self._level

    def take(self, now: float) -> bool:
        """Let one through, if one may pass now."""
        if self.level(now) < 1:
            return False
        self._level -= 1
        return True


class Flow:
    """Lets messages through at `rate` per second, and `burst` at once: the others come later, and none is dropped (T-54)."""

    __slots__ = ("_due", "_every", "_room")

    def __init__(self, rate: float, burst: float) -> None:
        self._every = 1 / rate if rate else 0.0
        self._room = (burst - 1) * self._every
        self._due = 0.0

    def wait(self, now: float) -> float:
        """Take one message; return for how many seconds to wait before it is let through, mostly 0."""
        self._due = max(self._due, now - self._room) + self._every
        return max(0.0, self._due - self._every - now)


class Flaps:
    """Counts how often the connections of a station replace one another (T-64)."""

    def __init__(self, *, most: int = 10, within: float = 60, stations: int = 10_000) -> None:
        self.within = within
        self._most, self._stations = most, stations
        self._times: dict[str, deque[float]] = {}
        self._told: dict[str, float] = {}

    def replaced(self, station: str, now: float) -> int:
        """A connection has replaced an older one. Return how often that happened lately, if that is too often and news."""
        times = self._times.pop(station, None) or deque(maxlen=10 * self._most)
        times.append(now)
        self._times[station] = times
        if len(self._times) > self._stations:
            forgotten = next(iter(self._times))
            del self._times[forgotten]
            self._told.pop(forgotten, None)
        lately = self._lately(station, now)
        if lately <= self._most or now - self._told.get(station, now - self.within) < self.within:
            return 0
        self._told[station] = now
        return lately

    def is_flapping(self, station: str, now: float) -> bool:
        """Whether that has happened too often of late."""
        return self._lately(station, now) > self._most

    def _lately(self, station: str, now: float) -> int:
        return sum(now - time < self.within for time in self._times.get(station, ()))


class Loops:
    """Counts how often in a row a station has left soon after the same frame of ours (Q-14)."""

    def __init__(self, *, stations: int = 10_000) -> None:
        self._stations = stations
        self._left: dict[str, tuple[str, int]] = {}

    def left(self, station: str, after: str) -> int:
        """It has left soon after this. Return how often in a row."""
        known, times = self._left.pop(station, ("", 0))
        times = times + 1 if known == after else 1
        self._left[station] = after, times
        if len(self._left) > self._stations:
            del self._left[next(iter(self._left))]
        return times

    def stayed(self, station: str) -> None:
        """It has left for some other reason."""
        self._left.pop(station, None)


class Failures:
    """Counts the failures of each address, and forgets the addresses that were heard of longest ago (T-06).

    Behind one address there may be a whole site, or a load balancer: where somebody succeeded, others may try.
    """

    def __init__(self, *, rate: float = 1, burst: float = 30, addresses: int = 10_000) -> None:
        self._rate, self._burst, self._most = rate, burst, addresses
        self._buckets: dict[str, Bucket] = {}
        self._trusted: dict[str, None] = {}

    def success(self, address: str) -> None:
        """A handshake from `address` has succeeded."""
        self._trusted.pop(address, None)
        self._trusted[address] = None
        if len(self._trusted) > self._most:
            del self._trusted[next(iter(self._trusted))]

    def is_trusted(self, address: str) -> bool:
        """Whether somebody has succeeded from there."""
        return address in self._trusted

    def count(self, address: str, now: float) -> None:
        """A handshake from `address` has failed."""
        bucket = self._buckets.pop(address, None) or Bucket(self._rate, self._burst)
        bucket.take(now)
        self._buckets[address] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]

    def too_many(self, address: str, now: float) -> bool:
        """Whether `address` has failed so often that it must wait."""
        bucket = self._buckets.get(address)
        return bucket is not None and bucket.level(now) < 1
