"""What billing remembers of a station: its sessions that go on, and the latest of those that are over."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain

from msgspec import Struct

from contracts.bills import Usage
from contracts.event import Instant, SessionId, SiteId, StationId, TenantId, TokenId
from contracts.tariffs import Policy, Tariff

OPEN = 32
CLOSED = 24
"""Sessions that are over and may yet be corrected."""


class Bound(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session with a price."""

    tenant: TenantId
    station: StationId
    id: SessionId
    tariff: Tariff
    policy: Policy = Policy()
    tariff_version: int
    time_zone: str
    token: TokenId
    site: SiteId | None = None
    evse: int
    connector: int
    started_at: Instant
    usage: tuple[Usage, ...] = ()


class Running(Bound, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It goes on."""


class Over(Bound, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It is over. `due`: when its CDR is; None once it has been issued, or is held."""

    due: Instant | None = None
    energy_known: bool = True
    flags: tuple[str, ...] = ()
    number: int = 0
    """How many CDRs it has had."""
    cdr: str | None = None
    """The one that counts, what it came to, and from which input."""
    currency: str = ""
    total_excl: Decimal | None = None
    total_incl: Decimal | None = None


Session = Running | Over


class Station(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The sessions of a station, the oldest first."""

    running: tuple[Running, ...] = ()
    over: tuple[Over, ...] = ()

    def session(self, id: SessionId) -> Session | None:
        every: Iterator[Session] = chain(self.running, reversed(self.over))
        return next((each for each in every if each.id == id), None)

    def at(self, evse: int, connector: int) -> Running | None:
        """Return who charges there."""
        return next((each for each in self.running if (each.evse, each.connector) == (evse, connector)), None)


State = Station
