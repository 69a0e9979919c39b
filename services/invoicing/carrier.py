"""Carries drafts from `ledger`, where they lie by account, to `drafts`, where they lie by series: each once, and in order.

In order, as a series knows by the newest offset of a partition what it has heard.
"""

from collections.abc import Sequence

from msgspec import Struct

from contracts.invoices import NumberAsked
from contracts.ledger import InvoiceDrafted
from contracts.postings import Source


class Nothing(Struct, frozen=True, tag=True):
    """What is kept of an account here."""


class Lying(Struct, frozen=True):
    """A draft, and where it lies."""

    draft: InvoiceDrafted
    source: Source


State = Nothing
initial: State = Nothing()


def decide(_: State, lying: Lying) -> Sequence[NumberAsked]:
    """Return that the draft wants a number."""
    draft = lying.draft
    return [
        NumberAsked(at=draft.at, tenant=draft.tenant, series=draft.series, source=lying.source, draft=draft),
    ]


def evolve(state: State, _: NumberAsked) -> State:
    return state
