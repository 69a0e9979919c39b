"""Runs jobs, one after the other, in the order in which they were asked for.

What it writes of a job has derived ids and depends on nothing but the log, so a second process, or the same one after a crash,
writes the same again, which changes nothing.
"""

import asyncio
from datetime import timedelta
from typing import Any

from chassis.copies import Whole
from chassis.kafka import CopyKeeper, Log, partition_of_key
from chassis.logs import log
from chassis.service import Service
from chassis.settings import Settings
from chassis.shares import Share
from chassis.spans import Expired, Extent, extents
from contracts.event import Event, derived_id
from contracts.ratings import (
    AssignmentsPinned,
    ByAssignments,
    Rated,
    ReRatingBegun,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    SessionsRated,
    Span,
)
from contracts.topics import BILLS, RATED, RATINGS, REVIEWS, TARIFFS, TOKENS, Topic
from services.rerating import pins
from services.rerating.desk import Desk
from services.rerating.jobs import Job, Reached
from services.rerating.past import Billed, Past
from services.rerating.piece import Piece, sums
from services.rerating.prices import Prices, rated
from services.rerating.reading import bills, revisions
from services.rerating.reviews import review

SOURCE = "/voltstream/rerating"
AHEAD = timedelta(days=2)
"""A session's start lies in the log at most so long before the time that it names: stations' clocks are ahead of ours."""


async def serve(settings: Settings, service: Service) -> None:
    """Run jobs until asked to stop. The job in hand is gone on with by whoever starts next."""
    writing = Log(settings)
    await writing.start()
    try:
        async with Share(settings, "rerating", RATINGS) as share, Desk(settings, ours=share.owns) as desk:
            service.ready()
            running = asyncio.create_task(Work(settings, writing, desk).run())
            asked = asyncio.create_task(service.stopping.wait())
            await asyncio.wait([running, asked, desk.task], return_when=asyncio.FIRST_COMPLETED)
            for task in (running, asked, desk.task):
                if task.done():
                    task.result()
            running.cancel()
            asked.cancel()
            await asyncio.gather(running, asked, return_exceptions=True)
    finally:
        await writing.stop()


class Work:
    """Does what lies on the desk."""

    def __init__(self, settings: Settings, writing: Log, desk: Desk) -> None:
        self._settings, self._writing, self._desk = settings, writing, desk

    async def run(self) -> None:
        """Do one job after the other, for ever."""
        while True:
            await self.do(await self._desk.next())

    async def do(self, job: Job) -> None:
        """Do a job, or what is left of it."""
        log.info("re-rating", tenant=job.asked.tenant, job=job.asked.job, resumed=job.has_begun)
        try:
            if not job.has_begun:
                job = await self._begin(job)
            for span in list(job.left()):
                await self._hear(job, span)
        except Expired as expired:
            await self._say(
                job, RATINGS, ReRatingFailed(**about(job), reason="log_expired", detail=str(expired)), "end"
            )
        else:
            if self._desk.wants(job):
                await self._say(job, RATINGS, ReRatingFinished(**about(job)), "end")
        self._desk.done(job)

    # ---- beginning -------------------------------------------------------------------------------------------------

    async def _begin(self, job: Job) -> Job:
        """Return the job with what it reads, and what it rates by, settled for good."""
        if isinstance(job.asked.by, ByAssignments):
            for pin in await self._pins(job):
                await self._say(job, RATINGS, pin, f"pin {pin.number}")
        begun = ReRatingBegun(**about(job), spans=await self._spans(job))
        await self._say(job, RATINGS, begun, "begun")
        return await self._desk.begun(job)

    async def _pins(self, job: Job) -> list[AssignmentsPinned]:
        async with CopyKeeper(self._settings, Whole(TARIFFS), Whole(TOKENS)) as copies:
            assigned = pins.pinned(copies, job.asked.tenant, job.asked.at)
            groups = pins.groups(copies, job.asked.tenant, assigned)
        return [
            AssignmentsPinned(**about(job), number=number, assigned=some, groups=of)
            for number, (some, of) in enumerate(pins.pieces(assigned, groups))
        ]

    async def _spans(self, job: Job) -> tuple[Span, ...]:
        choice, count = job.asked.choice, self._settings.partitions
        numbers = list(range(count))
        if choice.station is not None:
            numbers = [partition_of_key(f"{job.asked.tenant}/{choice.station}".encode(), count)]
        since = None if choice.first is None else choice.first - AHEAD
        return tuple(Span(*extent) for extent in await extents(self._settings, BILLS, numbers, since))

    # ---- a partition -----------------------------------------------------------------------------------------------

    async def _hear(self, job: Job, span: Span) -> None:
        """Rate the sessions of a partition, from where the job is in it to the end of its span."""
        tenant, at = job.asked.tenant, job.at(span)
        past = Past(job.asked.choice, await revisions(self._settings, tenant, Extent(span.part, span.first, span.end)))
        piece, prices = Piece(at.after), job.prices()
        async for heard in bills(self._settings, tenant, Extent(span.part, at.resume, span.end)):
            for offset, event in heard:
                if event is not None and (billed := past.hear(offset, event)) and offset >= at.after:
                    _rate(job, billed, prices, piece)
                if piece.is_full(offset + 1):
                    await self._finish(job, span, piece, Reached(offset + 1, past.resume(offset + 1)))
                    piece = Piece(offset + 1)
            if not self._desk.wants(job):
                return
        await self._finish(job, span, piece, Reached(span.end, span.end), unbilled=len(past))

    async def _finish(self, job: Job, span: Span, piece: Piece, reached: Reached, unbilled: int = 0) -> None:
        """Write a piece: its rows and what is to be applied, and only then that it is done."""
        name = f"{span.part}/{piece.first}"
        if piece.rows:
            rows = SessionsRated(**about(job), part=span.part, first=piece.first, rows=tuple(piece.rows))
            await self._say(job, RATED, rows, f"rows {name}")
        await asyncio.gather(*(self._say(job, REVIEWS, each, f"review {each.session}") for each in piece.reviews))
        progressed = ReRatingProgressed(
            **about(job),
            part=span.part,
            first=piece.first,
            after=reached.after,
            resume=reached.resume,
            sums=sums(piece.rows),
            skipped=piece.skipped,
            applied=len(piece.reviews),
            unbilled=unbilled,
        )
        await self._say(job, RATINGS, progressed, f"progress {name}")

    async def _say(self, job: Job, topic: Topic[Any], event: Event, what: str) -> None:
        """Return once Kafka has an event, whose id is the same for every repetition. Raises `KafkaError`."""
        id = derived_id(f"{job.asked.tenant}/{job.asked.job}", "rerating", what)
        await (await self._writing.send(topic, event, id=id, source=SOURCE))


def _rate(job: Job, billed: Billed, prices: Prices, piece: Piece) -> None:
    """Add a session to a piece, and what billing is to do about it."""
    found = rated(billed, prices)
    piece.add(found)
    if isinstance(found, Rated) and found.state == "applied":
        piece.reviews.append(review(job.asked, billed, prices))


def about(job: Job) -> dict[str, Any]:
    """Return what every event of a job says; its time is that of the wish, so that a repetition is the same."""
    return {"at": job.asked.at, "tenant": job.asked.tenant, "job": job.asked.job}
