"""Re-ratings as rows: a piece counts once, and nothing is heard of a job after its end."""

from datetime import timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

from contracts.event import JobId
from contracts.ratings import (
    AssignmentsPinned,
    RatingEvent,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingProgressed,
    Span,
    Sum,
)
from services.views.rating_rows import Row, added, re_rating
from tests.views.given import NORTH, at
from tests.views.given import re_rating as job

EVENTS: list[Any] = job("job-1")
ASKED, BEGUN, FIRST, SECOND, FINISHED = EVENTS
ABOUT: dict[str, Any] = {"at": at(0), "tenant": NORTH, "job": JobId("job-1")}


def after(*events: RatingEvent) -> Row:
    row: Row | None = None
    row = reduce(lambda row, event: re_rating(row, event, at(1)), events, row)
    assert row is not None
    return row


def test_a_job_adds_up_piece_by_piece() -> None:
    row = after(*EVENTS)
    assert (row["state"], row["parts"], row["skipped"], row["unbilled"]) == (
        "finished",
        {"0": [0, 9, 9]},
        {"free": 3},
        1,
    )
    [total] = row["sums"]
    assert (total["sessions"], total["differing"], total["gross_before"]) == (4, 2, "20.00")


def test_what_is_said_again_counts_once() -> None:
    row = after(
        ASKED, ASKED, BEGUN, ReRatingBegun(**ABOUT, spans=(Span(0, 5, 6),)), FIRST, FIRST, SECOND, FIRST, SECOND
    )
    assert row == after(ASKED, BEGUN, FIRST, SECOND)
    assert after(ASKED, AssignmentsPinned(**ABOUT, number=0)) == after(ASKED)
    stranger = ReRatingProgressed(**ABOUT, part=7, first=0, after=5, resume=3)
    assert after(ASKED, BEGUN, stranger) == after(ASKED, BEGUN)


def test_an_end_is_an_end() -> None:
    cancelled = ReRatingCancelled(**ABOUT, requested_by="key-1")
    assert after(ASKED, BEGUN, FIRST, cancelled, SECOND, FINISHED)["state"] == "cancelled"
    failed = after(ASKED, ReRatingFailed(**ABOUT, reason="log_expired", detail="gone"), FINISHED)
    assert (failed["state"], failed["failed_because"], failed["detail"]) == ("failed", "log_expired", "gone")


def test_a_job_that_nobody_asked_for_has_a_row_without_a_wish() -> None:
    assert (after(BEGUN)["state"], after(BEGUN)["choice"]) == ("asked", None)


def test_when_it_was_learnt_is_kept() -> None:
    assert re_rating(after(ASKED), BEGUN, at(1) + timedelta(hours=1))["updated_at"] == at(3601)


def test_sums_are_of_one_currency_tariff_and_site() -> None:
    amounts = (Decimal(1), Decimal(2), Decimal(3), Decimal(4))
    found = added([], (Sum("NOK", "B", None, 1, 0, *amounts), Sum("EUR", "B", None, 1, 0, *amounts)))
    again = added(found, (Sum("NOK", "B", None, 1, 0, *amounts),))
    assert [(each["currency"], each["sessions"], each["net_after"]) for each in again] == [
        ("EUR", 1, "2"),
        ("NOK", 2, "4"),
    ]
