"""Which number a document gets: of each series the next, from 1 and without a gap (CDR-20).

A draft that comes twice gets no second number. It is known by where it lies in `ledger`, from which drafts come in order, however
often; and among the last thousand of its series also by its id, should the ledger ever say it again elsewhere.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from contracts.event import InvoiceId, Message
from contracts.invoices import InvoiceIssued, NumberAsked

DIGEST = 16
BLOCK = 128 * DIGEST
KEPT = 1024 * DIGEST


class Series(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A series of numbers."""

    last: int = 0
    """The newest number."""
    heard: dict[int, int] = {}
    """By partition of `ledger`, the newest offset of which a draft has its number."""
    lately: bytes = b""
    """Digests of the ids of the last drafts, at least 1,024 of them if there were so many."""


State = Series
initial: State = Series()


def decide(state: State, message: Message[Any]) -> Sequence[InvoiceIssued]:
    """Return the number that a draft gets, unless it has one."""
    match message.event:
        case NumberAsked() as asked if not _known(state, asked):
            number = state.last + 1
            return [
                InvoiceIssued(
                    at=asked.draft.at,
                    tenant=asked.tenant,
                    series=asked.series,
                    number=number,
                    name=f"{asked.series}-{number:06}",
                    draft=asked.draft,
                    source=asked.source,
                )
            ]
        case _:
            return []


def evolve(state: State, event: InvoiceIssued) -> State:
    """Return the series after a number was given."""
    return replace(
        state,
        last=event.number,
        heard={**state.heard, event.source.part: event.source.offset},
        lately=_shortened(state.lately) + _digest(event.draft.invoice),
    )


def blocks(lately: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the digests in blocks, of which only the last changes until the oldest are forgotten."""
    return ((str(n), lately[start : start + BLOCK]) for n, start in enumerate(range(0, len(lately), BLOCK)))


def _known(state: State, asked: NumberAsked) -> bool:
    if asked.source.offset <= state.heard.get(asked.source.part, -1):
        return True
    return _digest(asked.draft.invoice) in state.lately


def _shortened(lately: bytes) -> bytes:
    """Forget the older half, once there are twice as many as are kept."""
    return lately[-KEPT:] if len(lately) >= 2 * KEPT else lately


def _digest(invoice: InvoiceId) -> bytes:
    return blake2b(invoice.encode(), digest_size=DIGEST).digest()
