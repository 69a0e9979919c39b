"""What billing hears, with what is known beside it."""

from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from contracts.bills import Display
from contracts.event import AccountId, Event, Instant
from contracts.reference import TariffVersion

E = TypeVar("E", bound=Event)


class Assigned(NamedTuple):
    """What charging costs where a session began: by which scope, and which version; None costs nothing."""

    scope: str
    version: TariffVersion | None


class Heard(Struct, Generic[E], frozen=True):
    """An event; when what it ends is billed; and for a start, the tariff that is assigned, and whose account pays."""

    event: E
    due: Instant
    assigned: Assigned | None = None
    account: AccountId | None = None
    currency: str = ""
    """Of the site where a session began."""
    meter_key: str | None = None
    """The public key of the meter that signed."""
    display: Display | None = None
    """Of a station that shows what a session costs that begins there."""
    heard_at: Instant | None = None
    """When, by our clock."""
    shown_every: timedelta = timedelta(minutes=1)
    """So long a display need not be told of the running cost again, if no price changes."""
