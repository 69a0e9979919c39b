"""How much of something is let through: token buckets, without a clock (seconds of any clock come as arguments)."""


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
