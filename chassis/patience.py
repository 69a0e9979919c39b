"""Doing work again while what it needs is away, until the process is asked to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from chassis.logs import log
from chassis.progress import NEEDS, PROGRESS

T = TypeVar("T")


class Interrupted(Exception):
    """The process is asked to stop while it waits."""


@dataclass(frozen=True)
class Patience:
    """How one service waits for one other thing."""

    work: str
    """Whose progress it is, for `/healthz`."""
    thing: str
    """What is waited for, as the log and `/readyz` call it."""
    errors: tuple[type[Exception], ...]
    delays: Callable[[], Iterable[float]]
    """How long to wait before each further try, in seconds, without an end."""
    is_away: Callable[[Exception], bool] = lambda _: True
    """Whether an error says that the thing is away; any other is raised."""
    said: Callable[[Exception], str] = str

    async def attempt(self, work: Callable[[], Awaitable[T]], stopping: asyncio.Event) -> T:
        """Return what `work` does, done again and again while the thing is away. Raises `Interrupted` if asked to stop."""
        for delay_s in self.delays():
            PROGRESS.beat(self.work)
            try:
                done = await work()
            except self.errors as error:
                if not self.is_away(error):
                    raise
                NEEDS.away(self.thing)
                log.warning(f"waiting for {self.thing}", why=self.said(error), retry_s=round(delay_s, 1))
            else:
                NEEDS.back(self.thing)
                return done
            if await is_set_within(stopping, delay_s):
                break
        raise Interrupted


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return whether an event is set before so many seconds have passed; waits until then."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
