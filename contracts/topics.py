"""Every topic there is: its name, its key, the events it carries, and how long they are kept."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, get_args

import msgspec

from contracts.alerts import AlertEvent
from contracts.authorizations import AuthorizationEvent
from contracts.bills import BillEvent
from contracts.cloudevents import Unreadable
from contracts.commands import CommandEvent
from contracts.event import Event, OfStation
from contracts.followed import Followed
from contracts.gateways import GatewayAlive, GatewayEvent, GatewayGone, ToGateway
from contracts.invoices import InvoiceIssued, InvoiceRendered, NumberAsked, OfSeries
from contracts.ledger import LedgerEvent, Standing
from contracts.operations import OperationsEvent
from contracts.postings import OfAccount, PostingEvent
from contracts.ratings import OfRating, RatingEvent, SessionsRated
from contracts.reference import (
    AccessKeyForgotten,
    AccessRecord,
    CustomerAccountForgotten,
    CustomerRecord,
    Forgotten,
    SiteForgotten,
    SiteRecord,
    StationForgotten,
    StationRecord,
    TariffAssignment,
    TariffAssignmentForgotten,
    TariffRecord,
    TariffVersion,
    Thing,
    TokenForgotten,
    TokenRecord,
)
from contracts.requests import Changed, ChangeRequested, DirectoryEvent, RequestEvent
from contracts.reviews import ReviewEvent
from contracts.sessions import ChargingBegan, ChargingEvent, ChargingOver, ReadingEvent, SessionEvent
from contracts.stations import StationEvent

E = TypeVar("E", bound=Event)

NULLS = (
    ChargingOver,
    AccessKeyForgotten,
    CustomerAccountForgotten,
    SiteForgotten,
    StationForgotten,
    TokenForgotten,
    TariffAssignmentForgotten,
    GatewayGone,
)
"""Events that say a key is no more: a null on the wire."""


class Topic(Generic[E]):
    """A log of events, in order for each key."""

    def __init__(
        self,
        name: str,
        events: Any,
        *,
        key: Callable[[Any], str],
        kept_days: int | None = None,
        compacted: bool = False,
        partition: Callable[[E], int] | None = None,
    ) -> None:
        self.name = name
        """Without the deployment's prefix."""
        self.events = events
        """The union of what it carries."""
        self.classes: tuple[type[Event], ...] = get_args(events) or (events,)
        self.kept_days = kept_days
        """None: for ever, or as long as a compacted key lives."""
        self.compacted = compacted
        self.partition = partition
        """Where an event goes, for topics that are not partitioned by key."""
        self.types = frozenset(f"voltstream.{cls.__name__}" for cls in self.classes)
        """What its records' headers may say that they are."""
        self._key = key
        self._decoder: msgspec.json.Decoder[E] = msgspec.json.Decoder(events)

    def __repr__(self) -> str:
        return f"<topic {self.name}>"

    def key_of(self, event: E) -> bytes:
        """Return the record key of `event`."""
        return self._key(event).encode()

    def encode(self, event: E) -> bytes | None:
        """Return the record value of `event`; None for a deletion."""
        return None if isinstance(event, NULLS) else msgspec.json.encode(event)

    def decode(self, value: bytes) -> E:
        """Return the event that `value` holds, or raise `Unreadable`."""
        try:
            return self._decoder.decode(value)
        except (ValueError, RecursionError) as error:  # msgspec's errors, bad UTF-8, and what is nested too deep
            raise Unreadable(f"{self.name}: {error}") from error

    def under(self, key: bytes, value: bytes) -> E:
        """Return the event that `value` holds, or raise `Unreadable`: also where `key` is not its key."""
        event = self.decode(value)
        if self.key_of(event) != key:
            raise Unreadable(f"{self.name}: the key {key[:200]!r} is not its event's")
        return event


def of_station(event: OfStation) -> str:
    return f"{event.tenant}/{event.station}"


def of_thing(thing: Thing | Forgotten) -> str:
    return f"{thing.tenant}/{thing.id}"  # type: ignore[union-attr]  # every thing has an id


def of_tariff(record: TariffVersion | TariffAssignment | TariffAssignmentForgotten) -> str:
    """Every version of a tariff is a key of its own, so that compaction keeps them all."""
    if isinstance(record, TariffVersion):
        return tariff_key(record.tenant, record.id, record.version)
    return f"{record.tenant}/assignment/{record.id}"


def tariff_key(tenant: str, id: str, version: int) -> str:
    return f"{tenant}/tariff/{version}/{id}"


def of_change(change: ChangeRequested | Changed) -> str:
    """Identities of stations are unique in the deployment, so all tenants' claims to one meet in one partition."""
    return f"station/{change.id}" if change.kind == "station" else f"{change.tenant}/{change.kind}/{change.id}"


def of_session(event: ChargingBegan | ChargingOver) -> str:
    return f"{event.tenant}/{event.session}"


def of_account(event: OfAccount | Standing) -> str:
    return f"{event.tenant}/{event.account}"


def of_series(event: OfSeries) -> str:
    return f"{event.tenant}/{event.series}"


def of_paper(event: InvoiceRendered) -> str:
    return f"{event.tenant}/{event.invoice}"


def of_follower(event: Followed) -> str:
    return follower_key(event.follower, event.topic, event.partition)


def follower_key(follower: str, topic: str, partition: int) -> str:
    return f"{follower}/{topic}/{partition}"


def of_rating(event: OfRating) -> str:
    return f"{event.tenant}/{event.job}"


def of_gateway(sign: GatewayAlive | GatewayGone) -> str:
    return sign.gateway


def reply_partition(event: ToGateway) -> int:
    return event.reply_to


STATIONS: Topic[StationEvent] = Topic("stations", StationEvent, key=of_station, kept_days=7)
AUTHORIZATIONS: Topic[AuthorizationEvent] = Topic("authorizations", AuthorizationEvent, key=of_station)
SESSIONS: Topic[SessionEvent] = Topic("sessions", SessionEvent, key=of_station)
READINGS: Topic[ReadingEvent] = Topic("readings", ReadingEvent, key=of_station, kept_days=7)
CHARGING: Topic[ChargingEvent] = Topic("charging", ChargingEvent, key=of_session, compacted=True)
BILLS: Topic[BillEvent] = Topic("bills", BillEvent, key=of_station)
REVIEWS: Topic[ReviewEvent] = Topic("reviews", ReviewEvent, key=of_station)
RATINGS: Topic[RatingEvent] = Topic("ratings", RatingEvent, key=of_rating)
RATED: Topic[SessionsRated] = Topic("rated", SessionsRated, key=of_rating, kept_days=7)
POSTINGS: Topic[PostingEvent] = Topic("postings", PostingEvent, key=of_account)
LEDGER: Topic[LedgerEvent] = Topic("ledger", LedgerEvent, key=of_account)
STANDINGS: Topic[Standing] = Topic("standings", Standing, key=of_account, compacted=True)
DRAFTS: Topic[NumberAsked] = Topic("drafts", NumberAsked, key=of_series)
INVOICES: Topic[InvoiceIssued] = Topic("invoices", InvoiceIssued, key=of_series)
PAPERS: Topic[InvoiceRendered] = Topic("papers", InvoiceRendered, key=of_paper)
OPERATIONS: Topic[OperationsEvent] = Topic("operations", OperationsEvent, key=of_station)
COMMANDS: Topic[CommandEvent] = Topic("commands", CommandEvent, key=of_station)
REQUESTS: Topic[RequestEvent] = Topic("requests", RequestEvent, key=of_change)
DIRECTORY: Topic[DirectoryEvent] = Topic("directory", DirectoryEvent, key=of_change)
SITES: Topic[SiteRecord] = Topic("sites", SiteRecord, key=of_thing, compacted=True)
REGISTRY: Topic[StationRecord] = Topic("registry", StationRecord, key=of_thing, compacted=True)
TOKENS: Topic[TokenRecord] = Topic("tokens", TokenRecord, key=of_thing, compacted=True)
ACCESS: Topic[AccessRecord] = Topic("access", AccessRecord, key=of_thing, compacted=True)
ACCOUNTS: Topic[CustomerRecord] = Topic("accounts", CustomerRecord, key=of_thing, compacted=True)
TARIFFS: Topic[TariffRecord] = Topic("tariffs", TariffRecord, key=of_tariff, compacted=True)
ALERTS: Topic[AlertEvent] = Topic("alerts", AlertEvent, key=of_station)
GATEWAYS: Topic[GatewayEvent] = Topic("gateways", GatewayEvent, key=of_station, kept_days=1, partition=reply_partition)
FOLLOWED: Topic[Followed] = Topic("followed", Followed, key=of_follower, compacted=True)
ALIVE: Topic[GatewayAlive | GatewayGone] = Topic(
    "gateways.alive", GatewayAlive | GatewayGone, key=of_gateway, compacted=True
)

CATALOGUE: tuple[Topic[Any], ...] = (
    REQUESTS,
    DIRECTORY,
    SITES,
    REGISTRY,
    TOKENS,
    ACCESS,
    ACCOUNTS,
    TARIFFS,
    STATIONS,
    COMMANDS,
    AUTHORIZATIONS,
    SESSIONS,
    READINGS,
    CHARGING,
    OPERATIONS,
    REVIEWS,
    BILLS,
    RATINGS,
    RATED,
    POSTINGS,
    STANDINGS,
    LEDGER,
    DRAFTS,
    INVOICES,
    PAPERS,
    ALERTS,
    FOLLOWED,
    GATEWAYS,
    ALIVE,
)
"""In the order in which a service that reads several of them hears a batch."""

DECIDERS = (
    "directory",
    "authorization",
    "sessions",
    "operations",
    "billing",
    "payments",
    "accounts",
    "drafting",
    "invoicing",
)
"""The services that keep a `<service>.state` topic and park records in `<service>.parked`."""
