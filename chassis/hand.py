"""What of a partition has been taken in hand and is not done yet: so how far everything is done. Pure."""

from collections.abc import Iterable


class Hand:
    """The records of one partition that are in hand. What is done out of order counts once all before it is."""

    def __init__(self) -> None:
        self._open: dict[int, None] = {}
        self._after = 0

    def take(self, offsets: Iterable[int], after: int) -> None:
        """Take records in hand, in order; `after` is the offset that comes next."""
        self._open |= dict.fromkeys(offsets)
        self._after = after

    def done(self, offset: int) -> None:
        del self._open[offset]

    @property
    def reached(self) -> int:
        """Return the offset before which everything is done."""
        return next(iter(self._open), self._after)
