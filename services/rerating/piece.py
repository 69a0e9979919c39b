"""A piece of a job: rows, and what they add up to."""

from decimal import Decimal

from msgspec.structs import replace

from contracts.ratings import Rated, Sum
from contracts.reviews import SessionReRated

ROWS = 1000
"""A piece is written when it has so many rows,"""
RECORDS = 200_000
"""or when so much has been read for it."""
NOTHING = Decimal(0)


class Piece:
    """What was found from an offset on. Where it ends depends on nothing but the log, so a repetition ends there too."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows: list[Rated] = []
        self.reviews: list[SessionReRated] = []
        """What billing is to correct."""
        self.skipped: dict[str, int] = {}

    def add(self, found: Rated | str) -> None:
        """Take in a row, or why there is none."""
        if isinstance(found, str):
            self.skipped[found] = self.skipped.get(found, 0) + 1
        else:
            self.rows.append(found)

    def is_full(self, after: int) -> bool:
        return len(self.rows) >= ROWS or after - self.first >= RECORDS


def sums(rows: list[Rated]) -> tuple[Sum, ...]:
    """Return what rows add up to, by currency, tariff and site."""
    found: dict[tuple[str, str, str], Sum] = {}
    for row in rows:
        key = (row.currency, row.tariff, row.site or "")
        found[key] = _more(found.get(key) or Sum(*key[:2], row.site, 0, 0, NOTHING, NOTHING, NOTHING, NOTHING), row)
    return tuple(found[key] for key in sorted(found))


def _more(sum: Sum, row: Rated) -> Sum:
    return replace(
        sum,
        sessions=sum.sessions + 1,
        differing=sum.differing + (row.state != "same"),
        net_before=sum.net_before + (row.net_before or NOTHING),
        net_after=sum.net_after + (row.net_after or NOTHING),
        gross_before=sum.gross_before + (row.gross_before or NOTHING),
        gross_after=sum.gross_after + (row.gross_after or NOTHING),
    )
