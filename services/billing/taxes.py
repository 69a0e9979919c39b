"""What part of a bill bears which rate of VAT: shares that add up to its totals, whatever a limit made of them (D-1, D-2)."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from contracts.bills import TaxShare
from contracts.tariffs import Tariff
from services.billing.tariff import Bill, Line, shared

Rate = Decimal | None


def shares(bill: Bill, tariff: Tariff) -> tuple[TaxShare, ...]:
    """Return one share per rate, the untaxed first; none where the tariff does not say the taxes.

    Nets and taxes are each apportioned by largest remainder, so that what bears no tax has none after rounding either.
    """
    if bill.net is None or bill.gross is None or bill.total_excl is None or bill.total_incl is None:
        return ()
    by_rate = _by_rate(bill) or {only_rate(tariff): (Fraction(0), Fraction(0))}
    weights = list(by_rate.values())
    nets = _apportioned(bill.net, [net for net, _ in weights], bill.total_excl, bill.decimals)
    taxes = _apportioned(
        bill.gross - bill.net, [tax for _, tax in weights], bill.total_incl - bill.total_excl, bill.decimals
    )
    return tuple(TaxShare(rate, net, net + tax) for rate, net, tax in zip(by_rate, nets, taxes, strict=True))


def taken_back(taxes: Sequence[TaxShare]) -> tuple[TaxShare, ...]:
    """Return the exact negatives of shares."""
    return tuple(TaxShare(each.rate, -each.net, -each.gross) for each in taxes)


def _by_rate(bill: Bill) -> dict[Rate, tuple[Fraction, Fraction]]:
    """Return net and tax of what was used, by rate."""
    found: dict[Rate, tuple[Fraction, Fraction]] = {}
    for line in sorted(bill.lines, key=lambda line: _rate(line) or Decimal(-1)):
        net, tax = found.get(_rate(line), (Fraction(0), Fraction(0)))
        found[_rate(line)] = (net + line.net, tax + line.gross - line.net)
    return found


def only_rate(tariff: Tariff) -> Rate:
    """Return the rate that all of a tariff bears, if there is one: that of a bill of nothing (TAR-31)."""
    rates = {component.vat for element in tariff.elements for component in element.price_components}
    return rates.pop() if len(rates) == 1 and tariff.tax_included != "N/A" else None


def _rate(line: Line) -> Rate:
    return None if line.component.tax == "N/A" else line.component.vat


def _apportioned(exact: Fraction, weights: list[Fraction], total: Decimal, decimals: int) -> list[Decimal]:
    """Return what was rounded to `total`, divided as the weights are."""
    whole = sum(weights, Fraction(0))
    parts = [exact * each / whole for each in weights] if whole else [exact, *[Fraction(0)] * (len(weights) - 1)]
    return shared(parts, decimals, total)
