"""Kills, again and again, what is just at work: with SIGKILL, as a failing machine or an impatient kernel does."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol

from chassis.broker import answers
from deploy.local.system import System

Say = Callable[[str], None]
ALL_AT_ONCE = 0.2
"""How often all processes of a kind are killed together, as by the end of a machine."""


class Victim(Protocol):
    """A process that is none of the system's. Somebody starts it again."""

    async def is_ready(self) -> bool:
        """Tell whether it is at work."""

    def kill(self) -> None:
        """SIGKILL it."""


class Killer:
    """Kills each kind of process at least so often. What dies is started again by the system's own supervisor.

    `kinds`: only these of the system's; None: all. `others` are killed too, each a kind of its own.
    """

    def __init__(
        self,
        system: System,
        dice: random.Random,
        say: Say,
        *,
        kinds: Collection[str] | None = None,
        others: Mapping[str, Victim] | None = None,
    ) -> None:
        self.kills: Counter[str] = Counter()
        """By kind."""
        self.last = 0.0
        """When the last was, by the event loop's clock."""
        self._system, self._dice, self._say = system, dice, say
        self._others = dict(others or {})
        everything: dict[str, list[str]] = {"kafka": ["kafka"]}
        for name, part in system.parts.items():
            everything.setdefault(part.service, []).append(name)
        self._parts = {kind: names for kind, names in everything.items() if kinds is None or kind in kinds}
        self._parts |= {name: [name] for name in self._others}
        self._loop = asyncio.get_running_loop()

    @property
    def kinds(self) -> list[str]:
        return list(self._parts)

    async def run(self, seconds: float, each: int) -> None:
        """Kill for so many seconds, and on until each kind has been killed `each` times; give up after ten times as long."""
        began = self._loop.time()
        pause = seconds / (len(self._parts) * each)
        waiting = self._rounds()
        kind = next(waiting)
        while (since := self._loop.time() - began) < 10 * seconds:
            if since >= seconds and all(self.kills[kind] >= each for kind in self._parts):
                return
            names = await self._at_work(kind)
            if not names:  # others first
                await asyncio.sleep(0.2)
            else:
                self._kill(kind, names, since)
                await asyncio.sleep(pause * self._dice.uniform(0.7, 1.3))
            kind = next(waiting)

    def _rounds(self) -> Iterator[str]:
        """Yield kinds in ever new orders; what has been killed less often comes first."""
        while True:
            kinds = self.kinds
            self._dice.shuffle(kinds)
            fewest = min(self.kills[kind] for kind in kinds)
            yield from [kind for kind in kinds if self.kills[kind] == fewest]

    async def _at_work(self, kind: str) -> list[str]:
        """Return the process of this kind that is ready for longest, if there is one; now and then all of them.

        The stations of a gateway that dies go to the other and stay there: the one just started is not at work yet.
        """
        ready = [name for name in self._parts[kind] if await self._is_ready(name)]
        if self._dice.random() < ALL_AT_ONCE:
            return ready
        return sorted(ready, key=self._started_at)[:1]

    def _started_at(self, name: str) -> float:
        return self._system.parts[name].starts[-1] if name in self._system.parts else 0.0

    async def _is_ready(self, name: str) -> bool:
        if name in self._others:
            return await self._others[name].is_ready()
        if name == "kafka":
            return self._system.kafka.pid is not None and await answers(self._system.kafka.port)
        return await self._system.parts[name].is_ready()

    def _kill(self, kind: str, names: list[str], since: float) -> None:
        for name in names:
            if name in self._others:
                self._others[name].kill()
            else:
                self._system.kill(name)
        self.kills[kind] += len(names)
        self.last = self._loop.time()
        self._say(f"{since:6.1f} s  SIGKILL {' and '.join(names)}")

    async def not_ready(self) -> list[str]:
        """Return what is not ready now."""
        return [name for names in self._parts.values() for name in names if not await self._is_ready(name)]
