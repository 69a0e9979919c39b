"""Whether the work of this process goes on, for `/healthz`, and what it has to wait for, for `/readyz`.

A reading loop beats at every turn, also at one that brings nothing: that Kafka is away is no reason to restart a process.
"""

from collections.abc import Callable
from time import monotonic

from chassis.logs import log

PATIENCE_S = 60


class Progress:
    """When each piece of work was last heard of."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}

    def beat(self, work: str) -> None:
        """From now on `work` must beat again within 60 s."""
        self._beats[work] = self._clock()

    def over(self, work: str) -> None:
        """`work` has ended, or waits for what may take as long as it likes."""
        self._beats.pop(work, None)

    def stuck(self) -> list[str]:
        """Return what has not been heard of for too long."""
        return sorted(work for work, at in self._beats.items() if self._clock() - at > PATIENCE_S)


PROGRESS = Progress()
"""This process's."""


class Needs:
    """What this process needs and cannot reach just now: it is not ready without, and no restart would help."""

    def __init__(self) -> None:
        self._away: set[str] = set()

    def away(self, what: str) -> None:
        """It is waited for from now on."""
        if what not in self._away:
            self._away.add(what)
            log.warning("not ready", waiting_for=what)

    def back(self, what: str) -> None:
        """It answers."""
        if what in self._away:
            self._away.discard(what)
            log.info("answers again", what=what)

    def missing(self) -> list[str]:
        """Return what is waited for."""
        return sorted(self._away)


NEEDS = Needs()
"""This process's."""
