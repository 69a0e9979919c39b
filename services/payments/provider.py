"""What we ask of a payment provider, in our own words (PAY-07). Each provider is an adapter of this."""

from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from contracts.ledger import ProviderAsked
from contracts.postings import Outcome


class Answer(Struct, frozen=True):
    """What came of an operation."""

    outcome: Outcome
    amount: Decimal | None = None
    """What is held in all, was taken, or was given back."""
    reference: str = ""
    """The provider's own id of the payment."""
    url: str = ""
    """Where the payer does what is required."""
    reason: str = ""


class Provider(Protocol):
    """Holds money, takes it and gives it back. Nothing is raised: that nobody answers is an answer too, `unreachable`.

    The same operation asked twice is done once, as long as the provider remembers its id; whoever asks later fetches first.
    """

    async def authorise(self, asked: ProviderAsked) -> Answer:
        """Hold the amount: of the mandate, or on a page of the provider's that the payer goes to."""

    async def increase(self, asked: ProviderAsked) -> Answer:
        """Hold more: the amount is what is to be held in all."""

    async def charge(self, asked: ProviderAsked) -> Answer:
        """Take the amount at once: of the mandate, or on a page of the provider's that the payer goes to."""

    async def capture(self, asked: ProviderAsked) -> Answer:
        """Take up to what is held, once, and free the rest."""

    async def release(self, asked: ProviderAsked) -> Answer:
        """Free what is held, and let nobody hold or pay any more."""

    async def refund(self, asked: ProviderAsked) -> Answer:
        """Give back what was taken, or a part of it."""

    async def fetch(self, asked: ProviderAsked) -> Answer | None:
        """Return what has come of an operation that may have been asked before; None if nothing has."""
