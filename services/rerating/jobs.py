"""What the topic `ratings` says of jobs: which are to be done, and how far each is."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from contracts.event import JobId, TenantId
from contracts.ratings import (
    AssignmentsPinned,
    Pinned,
    RatingEvent,
    ReRatingAsked,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    Span,
)
from services.rerating.prices import Prices

Name = tuple[TenantId, JobId]


class Reached(Struct, frozen=True):
    """How far a partition is: what comes next, and where to read from to know what is open there."""

    after: int
    resume: int


class Job(Struct, frozen=True):
    """A job that is not over. Without spans it has not begun."""

    asked: ReRatingAsked
    pins: dict[int, AssignmentsPinned] = {}
    spans: tuple[Span, ...] = ()
    has_begun: bool = False
    reached: dict[int, Reached] = {}

    @property
    def name(self) -> Name:
        return self.asked.tenant, self.asked.job

    def prices(self) -> Prices:
        """Return what it rates by."""
        assigned: dict[str, Pinned] = {one.scope: one for pin in self.pins.values() for one in pin.assigned}
        groups = {token: group for pin in self.pins.values() for token, group in pin.groups.items()}
        return Prices(self.asked.by, self.asked.mode, self.asked.raises, assigned, groups)

    def at(self, span: Span) -> Reached:
        return self.reached.get(span.part, Reached(span.first, span.first))

    def left(self) -> Iterator[Span]:
        """Yield the spans that have not been heard to their end."""
        return (span for span in self.spans if self.at(span).after < span.end)


class Jobs:
    """All jobs that are not over, the longest asked for first."""

    def __init__(self) -> None:
        self._jobs: dict[Name, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(sorted(self._jobs.values(), key=lambda job: (job.asked.at, job.name)))

    def get(self, name: Name) -> Job | None:
        """Return a job that is not over."""
        return self._jobs.get(name)

    def hear(self, event: RatingEvent) -> None:
        """Take in what has been written. What is said of a job that is over, or said again, changes nothing."""
        name = (event.tenant, event.job)
        if isinstance(event, ReRatingAsked):
            self._jobs.setdefault(name, Job(event))
        elif (job := self._jobs.get(name)) is not None:
            self._follow(job, event)

    def _follow(self, job: Job, event: RatingEvent) -> None:
        match event:
            case ReRatingFinished() | ReRatingCancelled() | ReRatingFailed():
                del self._jobs[job.name]
            case _:
                self._jobs[job.name] = followed(job, event)


def followed(job: Job, event: RatingEvent) -> Job:
    """Return the job after something was said of it that does not end it."""
    match event:
        case AssignmentsPinned(number=number) if not job.has_begun:
            return replace(job, pins=job.pins | {number: event})
        case ReRatingBegun(spans=spans) if not job.has_begun:
            return replace(job, spans=spans, has_begun=True)
        case ReRatingProgressed(part=part) if is_next(job, event):
            return replace(job, reached=job.reached | {part: Reached(event.after, event.resume)})
        case _:
            return job


def is_next(job: Job, event: ReRatingProgressed) -> bool:
    """Tell whether a piece goes on where the last one ended; another is a repetition."""
    span = next((span for span in job.spans if span.part == event.part), None)
    return span is not None and job.at(span).after == event.first
