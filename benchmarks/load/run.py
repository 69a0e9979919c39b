"""All stations of a load together: from their arrival until each has finished what it had begun."""

import asyncio
import random
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Any

from msgspec import Struct

from benchmarks.load.figures import Figures
from benchmarks.load.ledger import Ledger
from benchmarks.load.profiles import PROFILES, Profile, Terms
from benchmarks.load.station import Habits, Member, Station

Say = Callable[[str], None]
SAY_EVERY_S = 5.0
IDLE_S = 30.0
"""Between two heartbeats of an idle station."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a load is to be."""

    profile: str = "closed"
    urls: Sequence[str]
    seconds: float = 30
    rate: float = 0
    """Messages per second of all stations together; 0: as the profile likes."""
    charges: int = 12
    """Of each station's offline day."""
    seed: int = 1
    warm_up: float = 0
    """Seconds after everybody's arrival that are not measured."""
    goodbye: float = 60
    """Seconds in which stations may finish what they have begun: three attempts of 20 s."""
    habits: Habits = Habits()


class Load:
    """The stations of a plan. `run` returns when they have finished; `stop` lets them do so early."""

    def __init__(
        self, plan: Plan, members: Sequence[Member], *, ledger: Ledger | None = None, say: Say = print
    ) -> None:
        self.plan, self.ledger, self.figures = plan, ledger or Ledger(), Figures()
        self.seconds = 0.0
        """How long was measured."""
        self.unfinished = 0
        """Stations that had not finished when they were cut off."""
        self.began = asyncio.Event()
        """Set when measuring begins."""
        self._say, self._loop = say, asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._here = 0
        self._since = 0.0
        rate = plan.rate or len(members) / IDLE_S
        self._terms = Terms(stations=len(members), rate=rate, charges=plan.charges, stopping=self._stopping)
        run = f"{time_ns() // 1_000_000:x}"
        self.stations = [
            Station(
                member,
                [*plan.urls[index % len(plan.urls) :], *plan.urls[: index % len(plan.urls)]],
                run,
                random.Random(f"{plan.seed}/{member.identity}"),
                self.ledger,
                self.figures,
                plan.habits,
            )
            for index, member in enumerate(members)
        ]

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Let every station finish what it has begun."""
        self._stopping.set()
        self.began.set()

    async def run(self) -> None:
        """Let the stations live, measure, and let them finish."""
        profile = PROFILES[self.plan.profile]
        self._since = self._loop.time()
        lives = [asyncio.create_task(self._live(profile, station)) for station in self.stations]
        watch = asyncio.create_task(self._watch(profile))
        news = asyncio.create_task(self._tell())
        try:
            await self._until_over(profile, lives)
        finally:
            for task in (watch, news, *lives):
                task.cancel()
            await asyncio.gather(watch, news, *lives, return_exceptions=True)
            for station in self.stations:
                station.leave()

    async def _live(self, profile: Profile, station: Station) -> None:
        await station.arrive()
        self._here += 1
        if profile.waits_for_all:
            await self.began.wait()
        await profile.live(station, self._terms)

    async def _watch(self, profile: Profile) -> None:
        """Say when measuring begins, and when it is over."""
        if profile.waits_for_all:
            while self._here < len(self.stations):
                await asyncio.sleep(0.02)
            self.began.set()
            await asyncio.sleep(self.plan.warm_up)
            self.figures.forget()
        self._since = self._loop.time()
        self.began.set()
        await asyncio.sleep(self.plan.seconds)
        self._stopping.set()

    async def _until_over(self, profile: Profile, lives: Sequence[asyncio.Task[None]]) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        everybody: asyncio.Future[Any] = asyncio.gather(*lives)
        either: list[asyncio.Future[Any]] = [stop, everybody]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not profile.ends_by_itself:
            self.seconds, self.figures.is_over = self._loop.time() - self._since, True
        await asyncio.wait([everybody], timeout=self.plan.goodbye if self.began.is_set() else 0)
        if profile.ends_by_itself:
            self.seconds = self._loop.time() - self._since
        self.unfinished = sum(not life.done() for life in lives)
        if everybody.done():
            everybody.result()
        everybody.cancel()

    async def _tell(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            done = self.figures.messages
            rate = max(0, done - before) / SAY_EVERY_S
            before = done
            self._say(
                f"{self._loop.time() - self._since:6.0f} s  {self.figures.connected} of {len(self.stations)} connected"
                f"  {rate:,.0f} messages/s  {self.figures.errors.total()} errors  {self.figures.reconnects} reconnects"
                f"  {self.ledger.acknowledged:,} of {len(self.ledger.transactions):,} transactions acknowledged"
            )

    def result(self) -> str:
        """Return the table, and what the stations' books say."""
        ledger = self.ledger
        books = (
            f"offered {len(ledger.transactions):,} transactions, acknowledged {ledger.acknowledged:,}, "
            f"lost {ledger.lost:,} messages, {ledger.energy_wh:,} Wh acknowledged"
        )
        lines = [self.figures.table(self.seconds), books]
        if self.unfinished:
            lines.append(f"{self.unfinished} stations had not finished")
        return "\n".join(lines)
