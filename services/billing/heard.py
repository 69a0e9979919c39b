"""What billing hears, with what is known beside it."""

from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from contracts.event import Event, Instant
from contracts.reference import TariffVersion

E = TypeVar("E", bound=Event)


class Assigned(NamedTuple):
    """What charging costs where a session began: by which scope, and which version; None costs nothing."""

    scope: str
    version: TariffVersion | None


class Heard(Struct, Generic[E], frozen=True):
    """An event; when what it ends is billed; and for a start, the tariff that is assigned."""

    event: E
    due: Instant
    assigned: Assigned | None = None
