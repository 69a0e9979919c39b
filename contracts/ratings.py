"""What past sessions come to by another tariff: jobs, how far they are, and what they found. Keyed by tenant and job.

A job reads what `bills` held when it began, one partition number after the other, and overwrites nothing. `ratings` says how far
each is and `rated` what was found, row by row; together they are the job's whole state, so whoever goes on with it after a crash
finds and writes the same again.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from contracts.event import Event, Instant, JobId, SessionId, SiteId, StationId, TenantId, TokenId
from contracts.tariffs import Policy, Tariff

Mode = Literal["dry_run", "apply"]
"""dry_run: says what the difference would be. apply: also asks billing to correct what differs."""


class ByTariff(Struct, frozen=True, tag="tariff", tag_field="by", omit_defaults=True):
    """This tariff. `version` 0: it was written in the request, and is nobody's version."""

    tariff: Tariff
    policy: Policy = Policy()
    version: int = 0


class ByAssignments(Struct, frozen=True, tag="assigned", tag_field="by", omit_defaults=True):
    """What is assigned, as the job begins, to where and for whom each session was."""


class ByItsOwn(Struct, frozen=True, tag="own", tag_field="by", omit_defaults=True):
    """The tariff that each session has: finds what today's pricing would price otherwise (CDR-04). It should find nothing."""


By = ByTariff | ByAssignments | ByItsOwn


class Choice(Struct, frozen=True, omit_defaults=True):
    """Which sessions: those that began in a span and, where it is named, have this tariff, station or site."""

    first: Instant | None = None
    until: Instant | None = None
    """No more in it."""
    tariff: str | None = None
    station: StationId | None = None
    site: SiteId | None = None


class OfRating(Event, frozen=True, kw_only=True):
    """An event about one job; its key is `tenant/job`."""

    tenant: TenantId
    job: JobId


class ReRatingAsked(OfRating, frozen=True, kw_only=True):
    """Somebody wants to know what sessions come to by another tariff. Written by the api."""

    choice: Choice
    by: By
    mode: Mode = "dry_run"
    raises: bool = False
    """Whether a bill that was sent may become higher: consumer law often forbids it (CDR-03). Otherwise such a one stays."""
    reason: str
    """Why, in words for whoever audits it."""
    requested_by: str
    """The id of the API key."""
    fingerprint: str = ""


class Pinned(Struct, frozen=True, omit_defaults=True):
    """What is assigned in a scope. Without a tariff: charging costs nothing there."""

    scope: str
    tariff: Tariff | None = None
    policy: Policy = Policy()
    version: int = 0


class AssignmentsPinned(OfRating, frozen=True, kw_only=True):
    """What is assigned as a job begins, in pieces: `number` counts them from 0. `groups`: of the tokens that are in any."""

    number: int
    assigned: tuple[Pinned, ...] = ()
    groups: dict[TokenId, str] = field(default_factory=dict)


class Span(Struct, frozen=True):
    """The part of a partition that a job reads: from one offset up to another."""

    part: int
    first: int
    end: int


class ReRatingBegun(OfRating, frozen=True, kw_only=True):
    """A job has begun: it reads this of `bills`, and what is written there later is not its business."""

    spans: tuple[Span, ...]


class Sum(Struct, frozen=True, omit_defaults=True):
    """What sessions of one currency, tariff (as it was) and site came to, and come to. A total that no tariff says is left out."""

    currency: str
    tariff: str
    site: SiteId | None
    sessions: int
    differing: int
    net_before: Decimal
    net_after: Decimal
    gross_before: Decimal
    gross_after: Decimal


class ReRatingProgressed(OfRating, frozen=True, kw_only=True):
    """All from `first` up to `after` has been heard, and is in `rated`. The sums are of this piece alone.

    Whoever goes on reads from `resume` on, to know what is open at `after`.
    """

    part: int
    first: int
    after: int
    resume: int
    sums: tuple[Sum, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    """How many billed sessions of the choice could not be rated, and why."""
    applied: int = 0
    unbilled: int = 0
    """With the last piece of a partition: sessions of the choice on which no last word was found. They go on, or are held."""


class ReRatingFinished(OfRating, frozen=True, kw_only=True):
    """All has been heard."""


class ReRatingCancelled(OfRating, frozen=True, kw_only=True):
    """Somebody wants no more of it. What was applied stays. Written by the api."""

    requested_by: str


class ReRatingFailed(OfRating, frozen=True, kw_only=True):
    """It cannot be done. `reason` is for programs, `detail` for people."""

    reason: Literal["log_expired", "unpriceable"]
    detail: str


Fate = Literal["same", "differs", "applied", "kept"]


class Rated(Struct, frozen=True, omit_defaults=True):
    """A session: what it was billed, and what it comes to. A total that is None is unknown."""

    session: SessionId
    station: StationId
    site: SiteId | None
    started_at: Instant
    ended_at: Instant
    energy_wh: int
    cdr: str
    tariff: str
    tariff_version: int
    new_tariff: str
    new_version: int
    currency: str
    net_before: Decimal | None
    net_after: Decimal | None
    gross_before: Decimal | None
    gross_after: Decimal | None
    state: Fate
    """kept: it would become higher, and may not."""


class SessionsRated(OfRating, frozen=True, kw_only=True):
    """A piece of what was found: the rows of `ReRatingProgressed` with the same part and `first`, in the order of the log."""

    part: int
    first: int
    rows: tuple[Rated, ...]


RatingEvent = (
    ReRatingAsked
    | AssignmentsPinned
    | ReRatingBegun
    | ReRatingProgressed
    | ReRatingFinished
    | ReRatingCancelled
    | ReRatingFailed
)
