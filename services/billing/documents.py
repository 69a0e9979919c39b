"""The documents of a session: a CDR, and what corrects it. A CDR is never edited (CDR-03)."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from services.billing.tariff import Bill


class Document(Struct, frozen=True):
    """A CDR, or the credit of one: `credits` names it, and the amounts are its exact negatives."""

    id: str
    total_excl: Decimal | None
    total_incl: Decimal | None
    credits: str | None = None


def corrected(bills: Iterable[Bill]) -> Iterator[Document]:
    """Yield a CDR for the first bill of a session, and a credit and a new CDR for each that comes to something else (C01, C04)."""
    number, valid = 0, None
    for bill in bills:
        if valid is not None and (valid.total_excl, valid.total_incl) == (bill.total_excl, bill.total_incl):
            continue
        if valid is not None:
            yield Document(f"{valid.id}-C", negative(valid.total_excl), negative(valid.total_incl), valid.id)
        number += 1
        valid = Document(f"CDR-{number}", bill.total_excl, bill.total_incl)
        yield valid


def negative(amount: Decimal | None) -> Decimal | None:
    """Return what takes an amount back; what is unknown stays so."""
    return None if amount is None else -amount
