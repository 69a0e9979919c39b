"""Re-ratings as rows. Pure: no database, no clock.

What is said again of a job, or after its end, changes nothing: a piece counts only where the one before it ended.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from contracts import tables
from contracts.ratings import (
    AssignmentsPinned,
    RatingEvent,
    ReRatingAsked,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    Sum,
)

Row = dict[str, Any]

AMOUNTS = ("net_before", "net_after", "gross_before", "gross_after")
BLANK: Row = {column.name: None for column in tables.re_ratings.columns} | {
    "state": "asked",
    "parts": {},
    "sums": [],
    "skipped": {},
    "applied": 0,
    "unbilled": 0,
}
GOING_ON = ("asked", "running")


def re_rating(row: Row | None, event: RatingEvent, at: datetime) -> Row:
    """Return the row of a job after an event that we learnt of at some time: all of its columns."""
    now: Row = {"updated_at": at}
    if row is not None:
        return row | now | (_news(row, event) if row["state"] in GOING_ON else {})
    return BLANK | now | {"tenant": event.tenant, "id": event.job} | _wish(event)


def _wish(event: RatingEvent) -> Row:
    """Return what was asked for; nothing of what is no wish, which nobody writes first."""
    if not isinstance(event, ReRatingAsked):
        return {}
    return {
        "asked_at": event.at,
        "choice": msgspec.to_builtins(event.choice),
        "by": msgspec.to_builtins(event.by),
        "mode": event.mode,
        "raises": event.raises,
        "reason": event.reason,
        "requested_by": event.requested_by,
        "fingerprint": event.fingerprint,
    }


def _news(row: Row, event: RatingEvent) -> Row:
    match event:
        case ReRatingBegun(spans=spans) if row["state"] == "asked":
            parts = {str(span.part): [span.first, span.first, span.end] for span in spans}
            return {"state": "running", "parts": parts}
        case ReRatingProgressed() if row["parts"].get(str(event.part), [None, None])[1] == event.first:
            return _further(row, event)
        case ReRatingFinished():
            return {"state": "finished"}
        case ReRatingCancelled():
            return {"state": "cancelled"}
        case ReRatingFailed(reason=reason, detail=detail):
            return {"state": "failed", "failed_because": reason, "detail": detail}
        case ReRatingAsked() | AssignmentsPinned() | ReRatingBegun() | ReRatingProgressed():  # pragma: no branch
            return {}


def _further(row: Row, event: ReRatingProgressed) -> Row:
    first, _, end = row["parts"][str(event.part)]
    skipped = {why: row["skipped"].get(why, 0) + event.skipped.get(why, 0) for why in row["skipped"] | event.skipped}
    return {
        "parts": row["parts"] | {str(event.part): [first, event.after, end]},
        "sums": added(row["sums"], event.sums),
        "skipped": skipped,
        "applied": row["applied"] + event.applied,
        "unbilled": row["unbilled"] + event.unbilled,
    }


def added(sums: list[Row], more: tuple[Sum, ...]) -> list[Row]:
    """Return sums with more added to them, by currency, tariff and site."""
    found = {_group(each): each for each in sums}
    for one in map(msgspec.to_builtins, more):
        before = found.get(_group(one))
        found[_group(one)] = one if before is None else _added(before, one)
    return [found[group] for group in sorted(found)]


def _group(sum: Row) -> tuple[str, str, str]:
    return sum["currency"], sum["tariff"], sum["site"] or ""


def _added(one: Row, other: Row) -> Row:
    amounts = {name: f"{Decimal(one[name]) + Decimal(other[name]):f}" for name in AMOUNTS}
    return one | amounts | {name: one[name] + other[name] for name in ("sessions", "differing")}
