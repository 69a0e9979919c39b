"""Torture: stations charge, while whatever there is gets killed; afterwards their books must be the system's.

Two gateways and two of each service; stations that give up as real ones do. Everything is drawn from one seed, though not when
the machine gets to what.
"""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import roster
from benchmarks.load.ledger import Ledger, Transaction
from benchmarks.load.profiles import MESSAGES, start_of
from benchmarks.load.run import Load, Plan
from benchmarks.load.station import Station
from deploy.local.rest import Rest
from deploy.local.system import SERVICES, build
from tests.system.network import Network, settings
from tests.torture import checks
from tests.torture.checks import Verdict
from tests.torture.killing import Killer, Say

OF_MONEY = ("payments", "accounts", "invoicing", "rerating")
"""They hear nothing of these sessions, as nobody's account pays for them: money has a torture of its own."""
ONCE = tuple(name for name in SERVICES if name not in OF_MONEY)
NAMES = (*ONCE, *(f"{name}-2" for name in ONCE))
WITHIN_S = 120.0
"""After the last kill everything must be well within this time."""


@dataclass(frozen=True)
class Terms:
    """How much of it."""

    stations: int = 200
    seconds: float = 60
    each: int = 3
    """How often each kind of process is killed at least."""
    sessions: int = 3
    """How many each station begins at least."""
    seed: int = 1

    @property
    def rate(self) -> float:
        """Messages per second: each station says one, or has time for one charge more than it must have."""
        return self.stations * max(1.0, MESSAGES * (self.sessions + 1) / self.seconds)


@dataclass
class Outcome:
    """What it came to."""

    offered: int = 0
    acknowledged: int = 0
    kills: int = 0
    verdict: Verdict = field(default_factory=Verdict)

    def __str__(self) -> str:
        found = self.verdict
        return (
            f"offered {self.offered} acked {self.acknowledged} lost {len(found.lost)} doubled {len(found.doubled)} "
            f"wrong {len(found.wrong)} kills {self.kills}"
        )


async def torture(terms: Terms, folder: Path, say: Say) -> Outcome:
    """Run it all; the system's logs stay in `folder`."""
    system = build(folder, settings(), names=NAMES, report=lambda line: say(f"          {line}"))
    await system.start()
    try:
        network = Network(system)
        try:
            return await Torture(terms, network, say).run()
        finally:
            await network.rest.client.aclose()
    finally:
        await system.stop()


class Torture:
    """The stations and the killer, on a running system."""

    def __init__(self, terms: Terms, network: Network, say: Say) -> None:
        self._terms, self._network, self._say = terms, network, say
        self._ledger = Ledger(frames=True)
        self._killer = Killer(network.system, random.Random(f"{terms.seed}/killer"), say)
        self._loop = asyncio.get_running_loop()
        self._outcome = Outcome()

    async def run(self) -> Outcome:
        """Charge and kill, and then compare."""
        load = await self._load()
        charging = asyncio.create_task(load.run())
        await load.began.wait()
        self._say(f"{self._terms.stations} stations charge; the killing begins")
        await self._killer.run(self._terms.seconds, self._terms.each)
        await self._until_enough(load)
        load.stop()
        await asyncio.wait([charging], timeout=self._left())
        if not charging.done():
            charging.cancel()
            await asyncio.wait([charging])
        else:
            charging.result()
        self._say(f"{self._loop.time() - self._killer.last:6.1f} s after the last kill every station has finished")
        self._say(load.result())
        await self._compare(load)
        self._outcome.offered, self._outcome.acknowledged = len(self._ledger.transactions), self._ledger.acknowledged
        self._outcome.kills = self._killer.kills.total()
        self._say("kills: " + ", ".join(f"{kind} {n}" for kind, n in sorted(self._killer.kills.items())))
        return self._outcome

    async def _load(self) -> Load:
        system = self._network.system
        rest = Rest(system.api_url, system.admin_key)
        try:
            members = await roster.register(rest, self._terms.stations, prefix="TORTURE", say=self._say)
        finally:
            await rest.close()
        plan = Plan(
            profile="paced",
            urls=self._network.urls,
            seconds=3600,
            rate=self._terms.rate,
            seed=self._terms.seed,
            goodbye=WITHIN_S,
        )
        return Load(plan, members, ledger=self._ledger, say=self._say)

    def _left(self) -> float:
        """Return how many seconds are left for everything to be well."""
        return max(0.1, self._killer.last + WITHIN_S - self._loop.time())

    async def _until_enough(self, load: Load) -> None:
        """Wait until each station has begun as many charges as it must have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._left()):
                while any(len(mine) < self._terms.sessions for mine in self._by_station(load).values()):
                    await asyncio.sleep(0.2)

    def _by_station(self, load: Load) -> dict[str, list[Transaction]]:
        found: dict[str, list[Transaction]] = {station.identity: [] for station in load.stations}
        for transaction in self._ledger.transactions:
            found[transaction.station].append(transaction)
        return found

    # ---- afterwards ----

    async def _compare(self, load: Load) -> None:
        verdict, network = self._outcome.verdict, self._network
        verdict.add(checks.given_up(self._ledger))
        verdict.wrong += [
            f"{station}: only {len(mine)} charges begun"
            for station, mine in self._by_station(load).items()
            if len(mine) < self._terms.sessions
        ]
        verdict.wrong += [
            f"{kind} was killed {self._killer.kills[kind]} times only"
            for kind in self._killer.kinds
            if self._killer.kills[kind] < self._terms.each
        ]
        verdict.add(await self._all_ready())
        verdict.add(await self._say_starts_again(load))
        verdict.add(await self._in_time(self._sql))
        verdict.add(await self._in_time(self._clickhouse))
        verdict.add(await self._in_time(lambda: checks.readings(network, self._ledger)))
        verdict.add(await checks.log(network, self._ledger))

    async def _all_ready(self) -> Verdict:
        async def look() -> Verdict:
            return Verdict(wrong=[f"{name} is not ready again" for name in await self._killer.not_ready()])

        return await self._in_time(look)

    async def _say_starts_again(self, load: Load) -> Verdict:
        """What a station has been told it is told again."""
        verdict, by_station = Verdict(), self._by_station(load)

        async def again(station: Station) -> None:
            for transaction in by_station[station.identity]:
                if not transaction.acknowledged:
                    continue
                answer = await station.insist("StartTransaction", start_of(transaction))
                if answer is None:
                    verdict.lost.append(f"{checks.name_of(transaction)}: its start, said again, was given up")
                elif (answer["transactionId"], answer["idTagInfo"]["status"]) != (transaction.id, transaction.status):
                    verdict.wrong.append(f"{checks.name_of(transaction)}, {transaction.status}: said again, {answer}")
            station.leave()

        try:
            async with asyncio.timeout(self._left()):
                await asyncio.gather(*(again(station) for station in load.stations))
        except TimeoutError:
            verdict.lost.append("starts that were said again were not all answered in time")
        self._say("every start was said again")
        return verdict

    async def _sql(self) -> Verdict:
        return checks.rows_of(self._ledger, await checks.in_sql(self._network), "SQL")

    async def _clickhouse(self) -> Verdict:
        return checks.rows_of(self._ledger, await checks.in_clickhouse(self._network), "ClickHouse")

    async def _in_time(self, look: Callable[[], Awaitable[Verdict]]) -> Verdict:
        """Return what is not well as soon as all is, or when no time is left."""
        while not (verdict := await look()) and self._left() > 0.1:
            await asyncio.sleep(0.5)
        return verdict


def fresh_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="voltstream-torture-"))
