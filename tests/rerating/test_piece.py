"""What a piece of a job adds up to, and where it ends."""

from decimal import Decimal

from msgspec.structs import replace

from contracts.ratings import ByTariff, Rated, Sum
from services.rerating import piece as pieces
from services.rerating.piece import Piece, sums
from services.rerating.prices import Prices, rated
from tests.rerating.given import bills, found, session, tariff


def a_row() -> Rated:
    [billed] = found(bills(*session()))
    row = rated(billed, Prices(ByTariff(tariff("0.50"))))
    assert isinstance(row, Rated)
    return row


def test_rows_add_up_by_currency_tariff_and_site() -> None:
    row = a_row()
    same = replace(row, state="same", net_after=row.net_before, gross_after=row.gross_before)
    elsewhere = replace(row, site=None, net_before=None, net_after=None)
    amounts = (Decimal("8.00"), Decimal("9.00"), Decimal("10.00"), Decimal("11.25"))
    assert sums([row, elsewhere, same]) == (
        Sum("EUR", "AC", None, 1, 1, Decimal(0), Decimal(0), Decimal("5.00"), Decimal("6.25")),
        Sum("EUR", "AC", row.site, 2, 1, *amounts),
    )


def test_a_piece_knows_why_sessions_are_not_in_it() -> None:
    piece = Piece(7)
    for each in ("free", a_row(), "free", "no_tariff"):
        piece.add(each)
    assert (len(piece.rows), piece.skipped) == (1, {"free": 2, "no_tariff": 1})


def test_a_piece_ends_when_it_has_rows_or_has_read_enough() -> None:
    piece = Piece(7)
    assert not piece.is_full(6 + pieces.RECORDS)
    assert piece.is_full(7 + pieces.RECORDS)
    piece.rows = [a_row()] * pieces.ROWS
    assert piece.is_full(8)
