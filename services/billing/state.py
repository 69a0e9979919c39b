"""What billing remembers of a station: its sessions that go on, and the latest of those that are over."""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from itertools import chain

from msgspec import Struct

from contracts.bills import Display, SignedValue, TaxShare, Usage
from contracts.event import AccountId, Instant, RequestId, SessionId, SiteId, StationId, TenantId, TokenId
from contracts.operations import Prices
from contracts.tariffs import Policy, Tariff

OPEN = 32
CLOSED = 24
"""Sessions that are billed and may yet be corrected without being recalled, …"""
CLOSED_BYTES = 48 * 1024
"""… as long as they take no more than this; the newest may."""
UNBILLED = 24
"""Sessions that wait for their CDR: of more than that the oldest is billed at once."""
HELD = 24
PAST = 2048
"""What counts no more, of which a digest is kept."""
DECIDED = 32
DIGEST = 8


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
    account: AccountId | None = None
    """Who pays, as it was when the session began (CDR-02)."""
    site: SiteId | None = None
    evse: int
    connector: int
    started_at: Instant
    usage: tuple[Usage, ...] = ()
    signed: tuple[SignedValue, ...] = ()
    """What its meter signed: at the begin, and last at the end."""
    display: Display | None = None


class LastShown(Struct, frozen=True, omit_defaults=True):
    """When a display was told of the cost last, and what counted then."""

    at: Instant
    prices: Prices
    idle: bool = False


class Running(Bound, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It goes on."""

    last_shown: LastShown | None = None
    cost_at: Instant | None = None
    """Until when its cost was said last."""


class Over(Bound, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """It is over. `due`: when its CDR is; None once it has been issued, or is held."""

    due: Instant | None = None
    heard_until: Instant | None = None
    """When that was due which was heard of it last: what was due before is older, and counts no more."""
    energy_known: bool = True
    flags: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Why somebody should look first."""
    waived: bool = False
    """What was heard after the CDR that counts is not billed."""
    number: int = 0
    """How many CDRs it has had."""
    cdr: str | None = None
    """The one that counts, what it came to, and from which input."""
    input_hash: str = ""
    currency: str = ""
    total_excl: Decimal | None = None
    total_incl: Decimal | None = None
    taxes: tuple[TaxShare, ...] = ()

    @property
    def is_free(self) -> bool:
        """Tell whether it costs nothing, and that is meant: no version of any tariff prices it."""
        return self.tariff_version == 0

    @property
    def is_held(self) -> bool:
        """Tell whether somebody should look first. What is over, not due and has no CDR was held by a release before this one."""
        return bool(self.held) or (self.due is None and self.cdr is None)

    @property
    def is_billed(self) -> bool:
        """Tell whether its CDR says all that is known."""
        return self.due is None and not self.is_held and not self.waived


Session = Running | Over


class Decided(Struct, frozen=True, omit_defaults=True):
    """A review that was decided, or refused."""

    review: RequestId
    fingerprint: str
    session: SessionId


class Station(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The sessions of a station, the oldest first."""

    running: tuple[Running, ...] = ()
    over: tuple[Over, ...] = ()
    past: bytes = b""
    """Digests of what counts no more: CDRs that were credited, and sessions for which nothing is ever due."""
    decided: tuple[Decided, ...] = ()
    forgotten: int = 0
    """How many sessions were billed and are not remembered any more."""

    def session(self, id: SessionId) -> Session | None:
        every: Iterator[Session] = chain(self.running, reversed(self.over))
        return next((each for each in every if each.id == id), None)

    def review(self, id: RequestId) -> Decided | None:
        return next((each for each in self.decided if each.review == id), None)

    def is_past(self, id: str) -> bool:
        """Tell whether a CDR or a session counts no more."""
        digest = digest_of(id)
        return any(self.past[at : at + DIGEST] == digest for at in range(0, len(self.past), DIGEST))

    def at(self, evse: int, connector: int) -> Running | None:
        """Return who charges there."""
        return next((each for each in self.running if (each.evse, each.connector) == (evse, connector)), None)


def digest_of(id: str) -> bytes:
    return blake2b(id.encode(), digest_size=DIGEST).digest()


State = Station
