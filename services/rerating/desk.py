"""What is to be done: all that the topic `ratings` says, kept current."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from chassis.kafka import Record
from chassis.logs import log
from chassis.settings import Settings
from chassis.spans import everything
from contracts.cloudevents import Unreadable
from contracts.topics import RATINGS
from services.rerating.jobs import Job, Jobs, Name

LOOK_S = 1.0
"""How often it is asked whether a job is ours now."""


def everybodys(_: bytes) -> bool:
    """Tell that a job is ours, as there is nobody else."""
    return True


class Desk:
    """The jobs that are not over, read from the log, while it is entered."""

    def __init__(self, settings: Settings, *, ours: Callable[[bytes], bool] = everybodys) -> None:
        self._settings, self._ours = settings, ours
        self._jobs = Jobs()
        self._done: set[Name] = set()
        """Whose end we have written and not read yet."""
        self._moved = asyncio.Event()
        self._current = asyncio.Event()
        self.task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Return when all that has been written is known."""
        self.task = asyncio.create_task(self._read(), name="desk")
        known = asyncio.create_task(self._current.wait())
        await asyncio.wait([self.task, known], return_when=asyncio.FIRST_COMPLETED)
        known.cancel()
        if self.task.done():
            self.task.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _read(self) -> None:
        async for news in everything(self._settings, RATINGS, "desk"):
            for record in news.records:
                self._hear(record)
            if news.is_current:
                self._current.set()
            self._moved.set()
            self._moved = asyncio.Event()

    def _hear(self, record: Record) -> None:
        try:
            self._jobs.hear(record.message().event)
        except Unreadable as error:
            log.error("unreadable", topic=RATINGS.name, offset=record.offset, why=str(error))

    # ---- what a worker asks ----------------------------------------------------------------------------------------

    async def next(self) -> Job:
        """Return the job that has waited longest, as soon as there is one."""
        while True:
            moved = self._moved
            for job in self._jobs:
                if job.name not in self._done and self.wants(job):
                    return job
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await moved.wait()

    async def begun(self, job: Job) -> Job:
        """Return a job as the log has it begun; as it was, if it has been cancelled meanwhile."""
        while True:
            moved, now = self._moved, self._jobs.get(job.name)
            if now is None or now.has_begun:
                return now or job
            await moved.wait()

    def wants(self, job: Job) -> bool:
        """Tell whether a job is still to be done, and by us."""
        return self._jobs.get(job.name) is not None and self._ours(RATINGS.key_of(job.asked))

    def done(self, job: Job) -> None:
        """Take a job off the desk: its end is written."""
        self._done.add(job.name)
