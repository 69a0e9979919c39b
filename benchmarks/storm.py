"""How long it takes until 2,000 stations that connect at once, each with its password, have booted, beside bare handshakes.

A station that is sent away (503) comes again after as many seconds as it is told, as real ones do.
"""

import asyncio
from statistics import median
from time import perf_counter

from benchmarks.crowd import Refused, Station, boot, connect
from benchmarks.gateway import echo, gateway, registered, settings_on, station
from benchmarks.harness import Figure, Ground, Mark, compared
from chassis.secrets import digested
from chassis.settings import Settings

STATIONS = 2_000
PASSWORD = b"a password of the network's"
MARK = Mark(at_most=3)
PATIENCE_S = 120


class Storm:
    """Stations that all connect at once; each boots as soon as it is in, unless it only shakes hands."""

    def __init__(self, port: int, *, boots: bool) -> None:
        self._port, self._boots = port, boots
        self.refused = 0
        """How many were sent away, some of them more than once."""
        self._answered: dict[int, asyncio.Future[None]] = {}
        self._open: list[Station] = []

    async def pass_over(self) -> float:
        """Return the seconds until the last one is in, and has its answer."""
        began = perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(self._one(number) for number in range(STATIONS)))
        took = perf_counter() - began
        for each in self._open:
            each.close()
        return took

    async def _one(self, number: int) -> None:
        try:
            it = await connect(self._port, number, self._heard, PASSWORD)
        except Refused as refused:
            if refused.retry_after is None:
                raise
            self.refused += 1
            await asyncio.sleep(refused.retry_after)
            return await self._one(number)
        self._open.append(it)
        if self._boots:
            self._answered[number] = asyncio.get_running_loop().create_future()
            it.say(boot(number, self.refused))
            await self._answered[number]
        return None

    def _heard(self, it: Station) -> None:
        if not (answered := self._answered[it.number]).done():
            answered.set_result(None)


async def measure(ground: Ground) -> list[Figure]:
    """Return how long the storm lasts, and how often stations are sent away."""
    hashed = digested(PASSWORD)  # as the directory's own
    sent_away: list[int] = []

    async def bare() -> float:
        async with echo(ground) as (_, port):
            return await Storm(port, boots=False).pass_over()

    async def booted(settings: Settings) -> float:
        async with gateway(ground, settings) as (_, port):
            storm = Storm(port, boots=True)
            took = await storm.pass_over()
            sent_away.append(storm.refused)
            return took

    async with ground.kafka() as broker:
        settings = settings_on(broker)
        records = (station(number, security_profile=1, password_hash=hashed) for number in range(STATIONS))
        await registered(settings, records)
        floors, found = await ground.alternate(bare, lambda: booted(settings), "s")
    return [
        compared("storm", f"s until {STATIONS:,} stations have booted", found, floors, MARK),
        Figure("storm.sent_away", median(sent_away), "times a station was sent away (503) and came again"),
    ]
