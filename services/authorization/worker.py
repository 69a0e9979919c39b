"""What authorization reads and writes."""

from typing import NamedTuple, cast

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message, TokenId
from contracts.ledger import Standing
from contracts.reference import Connector, CustomerAccount, Evse, Site, Station, Token
from contracts.sessions import ChargingBegan, ChargingEvent
from contracts.stations import StationEvent, TokenPresented, TransactionEnded, TransactionStarted
from contracts.topics import (
    ACCOUNTS,
    AUTHORIZATIONS,
    CHARGING,
    GATEWAYS,
    REGISTRY,
    SITES,
    STANDINGS,
    STATIONS,
    TARIFFS,
    TOKENS,
)
from services.authorization import domain
from services.authorization.verdict import Asked, WithToken, moment
from services.billing.scopes import fitting
from services.billing.shown import text_of


class Place(NamedTuple):
    """Where somebody wants to charge."""

    station: str
    evse: int
    connector: int
    site: str | None


def regard(message: Message[StationEvent], copies: Copies) -> Asked | Message[StationEvent]:
    """Return a report that names a token with what is known of that token, and any other as it came."""
    match message.event:
        case TokenPresented(token=name) | TransactionStarted(token=name) | TransactionEnded(token=str() as name):
            tenant = message.event.tenant
            token = directory_of(copies, f"{tenant}/{name}")
            return Asked(
                cast("Message[WithToken]", message),
                TokenId(name),
                token,
                charging(copies, f"{tenant}/{name}"),
                *payer(
                    copies, f"{tenant}/{token.account}" if token is not None and token.account is not None else None
                ),
                unpriced=is_unpriced(cast("Message[WithToken]", message), token, copies),
                price_text=price_text(cast("Message[WithToken]", message), token, copies),
            )
        case _:
            return message


def directory_of(copies: Copies, key: str) -> Token | None:
    found = copies.of(TOKENS).get(key)
    return found if isinstance(found, Token) else None


def payer(copies: Copies, key: str | None) -> tuple[CustomerAccount | None, Standing | None]:
    """Return the account that pays, and whether it may charge."""
    if key is None:
        return None, None
    account = copies.of(ACCOUNTS).get(key)
    return account if isinstance(account, CustomerAccount) else None, copies.of(STANDINGS).get(key)


def is_unpriced(message: Message[WithToken], token: Token | None, copies: Copies) -> bool:
    """Tell whether a start is at a site that refuses what no tariff fits, and none does (TAR-14)."""
    start = message.event
    if not isinstance(start, TransactionStarted) or token is None:
        return False
    station = copies.of(REGISTRY).get(f"{start.tenant}/{start.station}")
    site = copies.of(SITES).get(f"{start.tenant}/{station.site}") if isinstance(station, Station) else None
    if not isinstance(site, Site) or site.without_tariff == "charge":
        return False
    place = Place(start.station, start.evse, start.connector, site.id)
    return fitting(place, start.tenant, token.group, moment(message), copies.of(TARIFFS)) is None


def price_text(message: Message[WithToken], token: Token | None, copies: Copies) -> str:
    """Return what charging costs whoever has this token, for a station that shows it (TAR-40)."""
    event = message.event
    station = copies.of(REGISTRY).get(f"{event.tenant}/{event.station}")
    if isinstance(event, TransactionEnded) or not isinstance(station, Station) or not station.habits.shows_costs:
        return ""
    group = None if token is None else token.group
    assigned = fitting(place_of(event, station), event.tenant, group, moment(message), copies.of(TARIFFS))
    if assigned is None:
        return ""
    return "free" if assigned.version is None else text_of(assigned.version.tariff)


def place_of(event: TokenPresented | TransactionStarted, station: Station) -> Place:
    """Return where somebody wants to charge. Who only presents a token does so anywhere, but where there is only one place."""
    if isinstance(event, TransactionStarted):
        return Place(event.station, event.evse, event.connector, station.site)
    match station.evses:
        case (Evse(id=evse, connectors=(Connector(id=connector),)),):
            return Place(event.station, evse, connector, station.site)
        case _:
            return Place(event.station, 0, 0, station.site)


def charging(copies: Copies, key: str) -> tuple[ChargingBegan, ...]:
    return tuple(event for event in copies.of(CHARGING).by(key) if isinstance(event, ChargingBegan))


def by_token(event: ChargingEvent) -> str | None:
    return f"{event.tenant}/{event.token}" if isinstance(event, ChargingBegan) else None


def build(_: Settings) -> Stream:
    return Stream(
        name="authorization",
        rules=domain,
        state=domain.State,
        inputs=(STATIONS,),
        outputs=(AUTHORIZATIONS,),
        answers=(GATEWAYS,),
        copies=(
            Whole(TOKENS),
            Whole(CHARGING, index=by_token),
            Whole(ACCOUNTS),
            Whole(STANDINGS),
            Whole(REGISTRY),
            Whole(SITES),
            Whole(TARIFFS),
        ),
        regard=regard,
        hears=(TokenPresented, TransactionStarted, TransactionEnded),
    )
