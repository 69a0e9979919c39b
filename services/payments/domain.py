"""What a bill means to the account that pays for it. It decides nothing and remembers nothing: accounts do.

A total that is None is unknown, since the tariff does not say the taxes; the known one counts for both then.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeVar

from msgspec import Struct

from contracts.bills import (
    BillDiscarded,
    BillLine,
    CdrCredited,
    CdrIssued,
    CdrWaived,
    ChargedFree,
    CostUpdated,
    Priced,
    TariffBound,
    TariffMissing,
    TaxShare,
)
from contracts.event import AccountId, Message
from contracts.postings import AD_HOC, CdrPosted, CostPosted, CreditPosted, NothingDue, OfBill, Source
from contracts.sessions import OfSession

NO_CURRENCY = "XXX"
"""ISO 4217's code for it: what is free costs nothing in any currency."""
EXACT = Decimal("0.000001")
"""To so many decimals a CDR's lines say what they come to before it is rounded."""

Posted = TypeVar("Posted", bound=OfBill)


class Nothing(Struct, frozen=True, tag=True):
    """There is nothing to remember."""


class Heard(Struct, frozen=True):
    """A bill, and the partition it was read from."""

    message: Message[Any]
    part: int


State = Nothing
initial: State = Nothing()


def decide(_: State, heard: Heard) -> Sequence[OfBill]:
    """Return what is posted to the account of a bill, if it has one."""
    match heard.message.event:
        case TariffBound(account=str(account), job=None) as bound if account.startswith(AD_HOC):
            return [of(CostPosted, heard, account, bound.tariff.currency, amount=Decimal(0))]
        case CostUpdated(account=str(account)) as cost:
            return cost_posted(heard, account, cost)
        case CdrIssued(account=str(account)) as cdr:
            return cdr_posted(heard, account, cdr)
        case CdrCredited(account=str(account)) as credit:
            return credit_posted(heard, account, credit)
        case (
            ChargedFree(account=str(account))
            | TariffMissing(account=str(account))
            | BillDiscarded(account=str(account))
        ):
            return [of(NothingDue, heard, account, NO_CURRENCY)]
        case CdrWaived(account=str(account), cdr=None) as waived:
            return [of(NothingDue, heard, account, waived.currency)]
        case _:
            return []


def cost_posted(heard: Heard, account: str, cost: CostUpdated) -> Sequence[CostPosted]:
    known = amounts(cost.total_excl, cost.total_incl)
    return [] if known is None else [of(CostPosted, heard, account, cost.currency, amount=known[1])]


def cdr_posted(heard: Heard, account: str, cdr: CdrIssued) -> Sequence[CdrPosted]:
    known = amounts(cdr.priced.total_excl, cdr.priced.total_incl)
    if known is None:
        return []
    return [
        of(
            CdrPosted,
            heard,
            account,
            cdr.priced.currency,
            cdr=cdr.cdr,
            net=known[0],
            gross=known[1],
            taxes=cdr.taxes,
            energy_wh=cdr.priced.energy_wh,
            started_at=cdr.started_at,
            ended_at=cdr.ended_at,
            site=cdr.site,
            corrects=cdr.corrects,
            energy=energy_of(cdr.priced, cdr.taxes or (TaxShare(None, *known),)),
        )
    ]


def energy_of(priced: Priced, taxes: Sequence[TaxShare]) -> tuple[TaxShare, ...]:
    """Return what of a CDR's amounts its energy is, by rate: the exact price of that, or less where a limit made the whole cheaper."""
    rates = {each.rate for each in taxes}
    found = []
    for share in taxes:
        lines = [each for each in priced.lines if (each.vat if each.vat in rates else None) == share.rate]
        energy = [each for each in lines if each.dimension == "ENERGY"]
        if energy:
            net = _limited(priced, _net(priced, energy), _net(priced, lines), share.net)
            gross = _limited(priced, _gross(priced, energy), _gross(priced, lines), share.gross)
            found.append(TaxShare(share.rate, net, gross))
    return tuple(found)


def _net(priced: Priced, lines: Sequence[BillLine]) -> Decimal:
    return _sum(each.gross_exact if priced.total_excl is None else each.net_exact for each in lines)


def _gross(priced: Priced, lines: Sequence[BillLine]) -> Decimal:
    return _sum(each.net_exact if priced.total_incl is None else each.gross_exact for each in lines)


def _sum(amounts: Iterable[str]) -> Decimal:
    return sum(map(Decimal, amounts), Decimal(0))


def _limited(priced: Priced, part: Decimal, whole: Decimal, billed: Decimal) -> Decimal:
    if priced.limit != "max_price" or whole <= billed:
        return part
    return (part * billed / whole).quantize(EXACT, ROUND_HALF_UP)


def credit_posted(heard: Heard, account: str, credit: CdrCredited) -> Sequence[CreditPosted]:
    known = amounts(credit.total_excl, credit.total_incl)
    if known is None:
        return []
    return [
        of(
            CreditPosted,
            heard,
            account,
            credit.currency,
            cdr=credit.cdr,
            credits=credit.credits,
            net=known[0],
            gross=known[1],
            taxes=credit.taxes,
            started_at=credit.started_at,
        )
    ]


def amounts(excl: Decimal | None, incl: Decimal | None) -> tuple[Decimal, Decimal] | None:
    """Return net and gross; None if nobody knows either."""
    net = excl if excl is not None else incl
    gross = incl if incl is not None else excl
    return None if net is None or gross is None else (net, gross)


def of(kind: type[Posted], heard: Heard, account: str, currency: str, **more: Any) -> Posted:
    """Return what is posted because of a bill."""
    bill: OfSession = heard.message.event
    return kind(
        at=bill.at,
        tenant=bill.tenant,
        account=AccountId(account),
        source=Source(heard.part, heard.message.offset),
        session=bill.session,
        station=bill.station,
        currency=currency,
        **more,
    )


def evolve(state: State, _: OfBill) -> State:
    return state
