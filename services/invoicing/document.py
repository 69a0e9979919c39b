"""From a draft and its sessions to a document: who, what, how much, and why there is no VAT where there is none. Pure.

Amounts are the draft's and the sessions' own: nothing is computed anew, and what does not add up is no document. A line has one rate of
VAT, so a session with two has two lines. A credit note takes back: all that is negative in its draft is positive in it (CDR-21).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from contracts.bills import TaxShare
from contracts.currencies import decimals
from contracts.invoices import InvoiceIssued
from contracts.ledger import InvoiceDrafted
from services.invoicing.parties import Buyer, Category, Seller
from services.invoicing.vat import Decision, decide

Kind = Literal["invoice", "credit_note"]
What = Literal["session", "subscription", "allowance"]
"""Of what a line is: a session charged or credited; the fee of a month; what its allowance gave back of a session, or took again."""
ORDER: dict[What, int] = {"subscription": 0, "session": 1, "allowance": 2}


class DoesNotAddUp(Exception):
    """The sessions are not those of the draft, or not all of them. The message says what is amiss."""


class Charged(Struct, frozen=True, kw_only=True):
    """A session that was charged or credited, or what else is a line, as the ledger and the directory know it."""

    what: What = "session"
    cdr: str
    """Of a subscription: which entry it is."""
    net: Decimal
    gross: Decimal
    taxes: tuple[TaxShare, ...]
    energy_wh: int
    started_at: datetime
    station: str
    place: str = ""
    """The site's name; of a subscription, its own."""
    country: str = ""
    time_zone: str = "UTC"


class Line(Struct, frozen=True, kw_only=True):
    """What a session comes to under one rate."""

    number: int
    what: What = "session"
    cdr: str
    day: date
    """By the clock of the place; of a subscription, on which its month begins by the account's."""
    place: str
    energy_wh: int
    net: Decimal
    rate: Decimal | None
    decision: Decision


class Vat(Struct, frozen=True, kw_only=True):
    """What all lines of a category and a rate come to."""

    category: Category
    rate: Decimal
    basis: Decimal
    tax: Decimal
    text: str
    code: str


class Original(Struct, frozen=True):
    """What a credit note corrects."""

    name: str
    issued_at: datetime


class Document(Struct, frozen=True, kw_only=True):
    """An invoice or a credit note, ready to be written in whatever form."""

    kind: Kind
    name: str
    issued_at: datetime
    issued_on: date
    due_on: date
    period_start: date
    period_end: date
    """The last day in it. Both as the account's months begin."""
    currency: str
    decimals: int
    seller: Seller
    buyer: Buyer
    lines: tuple[Line, ...]
    vat: tuple[Vat, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    original: Original | None = None
    original_on: date | None = None


def compose(
    issued: InvoiceIssued, seller: Seller, buyer: Buyer, sessions: Sequence[Charged], original: Original | None = None
) -> Document:
    """Return the document that a draft with a number is. Raises `DoesNotAddUp`."""
    draft, sign = issued.draft, -1 if issued.draft.kind == "credit_note" else 1
    today = _day(draft.at, seller.time_zone)
    _check(draft, sessions)
    lines = tuple(_lines(sessions, sign, seller, buyer, today))
    taxes = {share.rate: sign * (share.gross - share.net) for share in draft.taxes}
    return Document(
        kind=draft.kind,
        name=issued.name,
        issued_at=draft.at,
        issued_on=today,
        due_on=today + timedelta(days=seller.due_days),
        period_start=_day(draft.period_start, buyer.time_zone),
        period_end=_day(max(draft.period_start, draft.period_end - timedelta(microseconds=1)), buyer.time_zone),
        currency=draft.currency,
        decimals=decimals(draft.currency),
        seller=seller,
        buyer=buyer,
        lines=lines,
        vat=tuple(_vat(lines, taxes)),
        net=sign * draft.net,
        tax=sign * (draft.gross - draft.net),
        gross=sign * draft.gross,
        original=original,
        original_on=_day(original.issued_at, seller.time_zone) if original else None,
    )


def _day(moment: datetime, time_zone: str) -> date:
    return moment.astimezone(ZoneInfo(time_zone)).date()


def shares_of(taxes: tuple[TaxShare, ...], net: Decimal, gross: Decimal) -> tuple[TaxShare, ...]:
    """Return the parts of an amount by rate; where nothing is said of rates, it is one part."""
    return taxes or (TaxShare(None, net, gross),)


def _lines(sessions: Sequence[Charged], sign: int, seller: Seller, buyer: Buyer, today: date) -> Iterator[Line]:
    parts = [
        (session, share, first == 0)
        for session in sorted(sessions, key=lambda session: (session.started_at, session.cdr, ORDER[session.what]))
        for first, share in enumerate(shares_of(session.taxes, session.net, session.gross))
    ]
    called = [
        decide(seller, buyer, session.country or seller.country, today, share.rate) for session, share, _ in parts
    ]
    for number, ((session, share, first), decision) in enumerate(zip(parts, untangled(called), strict=True), start=1):
        yield Line(
            number=number,
            what=session.what,
            cdr=session.cdr,
            day=_day(session.started_at, buyer.time_zone if session.what == "subscription" else session.time_zone),
            place=session.place or session.station,
            energy_wh=session.energy_wh if first else 0,
            net=sign * share.net,
            rate=share.rate,
            decision=decision,
        )


def untangled(called: Sequence[Decision]) -> list[Decision]:
    """Return the decisions so that they can be in one document: not subject to VAT is nothing but that alone (BR-O-11), else exempt."""
    mixed = len({decision.category for decision in called}) > 1
    return [replace(each, category="E", code="") if mixed and each.category == "O" else each for each in called]


def _vat(lines: Sequence[Line], taxes: Mapping[Decimal | None, Decimal]) -> Iterator[Vat]:
    """Yield what the lines of each category and rate come to. What bears no rate has a rate of 0."""
    groups: dict[tuple[Category, Decimal], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.decision.category, line.rate or Decimal(0)), []).append(line)
    for (category, rate), group in sorted(groups.items(), key=lambda item: (-item[0][1], item[0][0])):
        basis = sum((line.net for line in group), Decimal(0))
        yield Vat(
            category=category,
            rate=rate,
            basis=basis,
            tax=taxes.get(rate, Decimal(0)) if rate else Decimal(0),
            text=group[0].decision.text,
            code=group[0].decision.code,
        )


def _check(draft: InvoiceDrafted, sessions: Sequence[Charged]) -> None:
    """Raise `DoesNotAddUp` unless these sessions are what the draft says."""
    if len(sessions) != draft.lines:
        raise DoesNotAddUp(f"{len(sessions)} sessions of {draft.lines}")
    said = _by_rate(shares_of(draft.taxes, draft.net, draft.gross))
    found = _by_rate(share for each in sessions for share in shares_of(each.taxes, each.net, each.gross))
    for rate in said.keys() | found.keys():
        if said.get(rate, Decimal(0)) != found.get(rate, Decimal(0)):
            raise DoesNotAddUp(
                f"at {rate} % the sessions come to {found.get(rate, 0)} and the draft to {said.get(rate, 0)}"
            )
    shares = shares_of(draft.taxes, draft.net, draft.gross)
    if (sum(s.net for s in shares), sum(s.gross for s in shares)) != (draft.net, draft.gross):
        raise DoesNotAddUp("the draft's rates do not come to its totals")
    if any(share.gross != share.net for share in shares if not share.rate):
        raise DoesNotAddUp("there is VAT without a rate")


def _by_rate(shares: Iterable[TaxShare]) -> dict[Decimal | None, Decimal]:
    sums: dict[Decimal | None, Decimal] = {}
    for share in shares:
        sums[share.rate] = sums.get(share.rate, Decimal(0)) + share.net
    return sums
