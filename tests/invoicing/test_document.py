"""From a draft and its sessions to a document."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as each
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.ledger import InvoiceDrafted
from services.invoicing.document import Charged, Document, DoesNotAddUp, Original, compose
from tests.invoicing.given import BUYER, NOVEMBER, SELLER, charged, drafted, issued, share


def document(*sessions: Charged, kind: Any = "invoice", **draft: Any) -> Document:
    return compose(issued(drafted(sessions, kind, **draft)), SELLER, BUYER, sessions)


def test_its_amounts_are_the_drafts_and_its_days_the_sellers() -> None:
    made = document(charged(1, share("10.00")), charged(2, share("2.50")))
    assert (made.net, made.tax, made.gross) == (Decimal("12.50"), Decimal("2.38"), Decimal("14.88"))
    assert (made.issued_on, made.due_on) == (date(2026, 12, 1), date(2026, 12, 15))
    assert (made.period_start, made.period_end) == (date(2026, 11, 1), date(2026, 11, 30))


def test_a_session_with_two_rates_has_two_lines_and_its_energy_once() -> None:
    made = document(charged(1, share("10.00"), share("2.00", "7")))
    assert [(line.number, line.net, line.rate, line.energy_wh) for line in made.lines] == [
        (1, Decimal("10.00"), Decimal(19), 12_346),
        (2, Decimal("2.00"), Decimal(7), 0),
    ]
    assert [(vat.rate, vat.basis, vat.tax) for vat in made.vat] == [
        (Decimal(19), Decimal("10.00"), Decimal("1.90")),
        (Decimal(7), Decimal("2.00"), Decimal("0.14")),
    ]


def test_lines_are_in_the_order_of_time_by_the_clock_of_the_place() -> None:
    late = charged(23, share("1.00"), time_zone="Europe/Oslo")
    made = document(late, charged(2, share("2.00"), place=""))
    assert [(line.cdr, line.place, line.day) for line in made.lines] == [
        ("cdr-0002", "CP-1", date(2026, 11, 1)),
        ("cdr-0023", "Hafen", date(2026, 11, 2)),
    ]


def test_lines_of_one_moment_are_in_the_order_of_their_cdrs() -> None:
    made = document(*(charged(n, share("1.00"), started_at=NOVEMBER) for n in (3, 1, 2)))
    assert [line.cdr for line in made.lines] == ["cdr-0001", "cdr-0002", "cdr-0003"]


def test_a_credit_note_takes_back_positive_amounts_and_names_what_it_corrects() -> None:
    session = charged(1, share("-10.00"))
    original = Original("2026-INV-000001", NOVEMBER)
    made = compose(issued(drafted([session], "credit_note")), SELLER, BUYER, [session], original)
    assert (made.net, made.tax, made.gross) == (Decimal("10.00"), Decimal("1.90"), Decimal("11.90"))
    assert [line.net for line in made.lines] == [Decimal("10.00")]
    assert made.original == original


def test_what_bears_no_vat_is_called_as_the_seller_says() -> None:
    made = document(charged(1, share("10.00", None)))
    assert [(vat.category, vat.rate, vat.text) for vat in made.vat] == [("O", Decimal(0), "Not subject to VAT")]


def test_not_subject_to_vat_is_alone_in_a_document_and_exempt_beside_others() -> None:
    made = document(charged(1, share("10.00", None)), charged(2, share("1.00")))
    assert [(vat.category, vat.basis, vat.text, vat.code) for vat in made.vat] == [
        ("S", Decimal("1.00"), "", ""),
        ("E", Decimal("10.00"), "Not subject to VAT", ""),
    ]


def test_an_amount_of_which_nobody_says_a_rate_is_one_part() -> None:
    session = charged(1, net=Decimal("3.00"), gross=Decimal("3.00"))
    draft = replace(drafted([session]), net=Decimal("3.00"), gross=Decimal("3.00"))
    made = compose(issued(draft), SELLER, BUYER, [session])
    assert [(line.net, line.decision.category) for line in made.lines] == [(Decimal("3.00"), "O")]


def test_what_cancels_out_comes_to_nothing() -> None:
    made = document(charged(1, share("10.00")), charged(2, share("-10.00")))
    assert [(vat.basis, vat.tax) for vat in made.vat] == [(Decimal("0.00"), Decimal("0.00"))]


GOOD = drafted([charged(1, share("10.00"))])
WRONG: list[tuple[str, InvoiceDrafted]] = [
    ("1 sessions of 2", replace(GOOD, lines=2)),
    ("at 19 % the sessions", replace(GOOD, taxes=(share("9.00"),), net=Decimal("9.00"), gross=Decimal("10.71"))),
    ("at 7 % the sessions", replace(GOOD, taxes=(*GOOD.taxes, share("1.00", "7")))),
    ("do not come to its totals", replace(GOOD, gross=Decimal("11.91"))),
]


@pytest.mark.parametrize(("why", "draft"), WRONG)
def test_what_does_not_add_up_is_no_document(why: str, draft: InvoiceDrafted) -> None:
    with pytest.raises(DoesNotAddUp, match=why):
        compose(issued(draft), SELLER, BUYER, [charged(1, share("10.00"))])


def test_a_session_with_a_rate_that_the_draft_does_not_have_is_no_line_of_it() -> None:
    with pytest.raises(DoesNotAddUp, match="at 7 % the sessions"):
        compose(issued(GOOD), SELLER, BUYER, [charged(1, share("10.00"), share("1.00", "7"))])


def test_vat_has_a_rate() -> None:
    taxes = (TaxShare(None, Decimal("10.00"), Decimal("11.00")),)
    session = charged(1, *taxes)
    draft = replace(drafted([session]), taxes=taxes, gross=Decimal("11.00"))
    with pytest.raises(DoesNotAddUp, match="without a rate"):
        compose(issued(draft), SELLER, BUYER, [session])


cents = st.integers(-100_000, 100_000).map(lambda n: f"{n / 100:.2f}")
parts = st.lists(
    st.tuples(cents, st.sampled_from(["19", "7", "0", None])), min_size=1, max_size=3, unique_by=lambda p: p[1]
)


@each(st.lists(parts, min_size=1, max_size=8))
def test_lines_and_rates_always_come_to_the_total(sessions: list[list[tuple[str, str | None]]]) -> None:
    made = document(*(charged(n, *(share(net, rate) for net, rate in taxes)) for n, taxes in enumerate(sessions)))
    assert sum(line.net for line in made.lines) == made.net == sum(vat.basis for vat in made.vat)
    assert sum(vat.tax for vat in made.vat) == made.tax == made.gross - made.net
