"""What the log says of jobs: which are to be done, and from where each goes on."""

from datetime import timedelta
from typing import Any

from contracts.event import JobId, TokenId
from contracts.ratings import (
    AssignmentsPinned,
    Pinned,
    RatingEvent,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    Span,
)
from services.rerating.jobs import Job, Jobs, Reached
from tests.billing.says import ACME, NOON
from tests.rerating.given import JOB, asked

ABOUT: dict[str, Any] = {"at": NOON, "tenant": ACME, "job": JOB}
BEGUN = ReRatingBegun(**ABOUT, spans=(Span(0, 5, 100), Span(1, 0, 0)))


def progressed(first: int, after: int, resume: int = 0, part: int = 0) -> ReRatingProgressed:
    return ReRatingProgressed(**ABOUT, part=part, first=first, after=after, resume=resume)


def after(*events: RatingEvent) -> Job:
    jobs = Jobs()
    for event in (asked(), *events):
        jobs.hear(event)
    [job] = jobs
    return job


def test_a_job_has_left_what_it_has_not_heard() -> None:
    assert list(after().left()) == []
    assert not after().has_begun
    assert list(after(BEGUN).left()) == [Span(0, 5, 100)]
    assert after(BEGUN).at(Span(0, 5, 100)) == Reached(5, 5)
    assert after(BEGUN, progressed(5, 50, 20)).at(Span(0, 5, 100)) == Reached(50, 20)
    assert list(after(BEGUN, progressed(5, 50), progressed(50, 100)).left()) == []


def test_what_is_said_twice_counts_once() -> None:
    job = after(BEGUN, progressed(5, 50, 20), progressed(5, 60, 30), progressed(5, 50, 20), progressed(0, 9, part=7))
    assert job.reached == {0: Reached(50, 20)}
    assert after(BEGUN, ReRatingBegun(**ABOUT, spans=())).spans == BEGUN.spans
    assert after(asked()) == after()


def test_what_is_pinned_before_the_beginning_counts_and_nothing_later() -> None:
    first = AssignmentsPinned(**ABOUT, number=0, assigned=(Pinned("tenant"),))
    groups = AssignmentsPinned(**ABOUT, number=1, groups={TokenId("card"): "FLEET"})
    late = AssignmentsPinned(**ABOUT, number=0, assigned=(Pinned("site/oslo"),))
    prices = after(late, first, groups, BEGUN, late).prices()
    assert (dict(prices.assigned), dict(prices.groups)) == ({"tenant": Pinned("tenant")}, {"card": "FLEET"})


def test_a_job_that_is_over_is_no_job() -> None:
    for end in (
        ReRatingFinished(**ABOUT),
        ReRatingCancelled(**ABOUT, requested_by="key-1"),
        ReRatingFailed(**ABOUT, reason="log_expired", detail="gone"),
    ):
        jobs = Jobs()
        for event in (asked(), BEGUN, end, progressed(5, 9)):
            jobs.hear(event)
        assert list(jobs) == []
        assert jobs.get((ACME, JOB)) is None


def test_who_has_waited_longest_comes_first() -> None:
    jobs = Jobs()
    for job, minutes in (("b", 2), ("a", 3), ("c", 1)):
        jobs.hear(asked(job=JobId(job), at=NOON + timedelta(minutes=minutes)))
    assert [job.name[1] for job in jobs] == ["c", "b", "a"]


def test_of_two_that_were_asked_for_at_one_moment_the_name_decides() -> None:
    jobs = Jobs()
    for job in ("b", "a"):
        jobs.hear(asked(job=JobId(job)))
    assert [job.name[1] for job in jobs] == ["a", "b"]
    assert jobs.get((ACME, JobId("a"))) is next(iter(jobs))


def test_each_partition_goes_on_from_its_own_end() -> None:
    spans = Span(0, 5, 100), Span(1, 7, 50)
    job = after(ReRatingBegun(**ABOUT, spans=spans), progressed(7, 20, 8, part=1))
    assert [job.at(span) for span in spans] == [Reached(5, 5), Reached(20, 8)]
