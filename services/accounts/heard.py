"""What accounts hears, with what is known beside it."""

from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from contracts.event import Event
from contracts.reference import CustomerAccount

E = TypeVar("E", bound=Event)


class Heard(Struct, Generic[E], frozen=True):
    """An event, and the account as the directory says; None: it knows none of that name."""

    event: E
    customer: CustomerAccount | None = None
    recorded_at: datetime | None = None
    """When the log took it in: what a station's clock says has no part in that. None: at its own time, as deadlines are."""
