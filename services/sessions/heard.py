"""What the rules hear: a message, and what the directory knows of its station."""

from datetime import timedelta
from typing import Generic, TypeVar

from msgspec import Struct

from contracts.event import Instant, SiteId
from contracts.stations import Call
from services.sessions.state import LONGEST_MESSAGE_ID

E_co = TypeVar("E_co", covariant=True)


class Heard(Struct, Generic[E_co], frozen=True):
    """A message; the site and its zone as they are when it is heard, to be frozen in a session that begins with it."""

    event: E_co
    id: str
    """The `ce_id` of its record."""
    offline: bool = False
    """It was recorded more than 120 s after it happened (X-40)."""
    site: SiteId | None = None
    time_zone: str = "UTC"
    heard_at: Instant | None = None
    """When its record was written."""
    said_at: Instant | None = None
    """When it happened by the station's clock, where that cannot be right and `event.at` has been corrected."""
    behind: timedelta = timedelta(0)
    """By how much `event.at` has been corrected for a clock that is behind."""
    max_w: int | None = None
    """What the connector can deliver that it is about."""
    connectors: int = 0
    """How many the station has; 0: the directory does not say."""


def can_wait(call: Call) -> bool:
    """Return whether a call can be answered later: an id of unusual length is not worth remembering."""
    return len(call.message_id) <= LONGEST_MESSAGE_ID
