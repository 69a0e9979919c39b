"""What authorization reads and writes."""

from typing import cast

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message, TokenId
from contracts.reference import Token
from contracts.sessions import ChargingBegan, ChargingEvent
from contracts.stations import StationEvent, TokenPresented, TransactionEnded, TransactionStarted
from contracts.topics import AUTHORIZATIONS, CHARGING, GATEWAYS, STATIONS, TOKENS
from services.authorization import domain
from services.authorization.verdict import Asked, WithToken


def regard(message: Message[StationEvent], copies: Copies) -> Asked | Message[StationEvent]:
    """Return a report that names a token with what is known of that token, and any other as it came."""
    match message.event:
        case TokenPresented(token=name) | TransactionStarted(token=name) | TransactionEnded(token=str() as name):
            return Asked(
                cast("Message[WithToken]", message),
                TokenId(name),
                directory_of(copies, f"{message.event.tenant}/{name}"),
                charging(copies, f"{message.event.tenant}/{name}"),
            )
        case _:
            return message


def directory_of(copies: Copies, key: str) -> Token | None:
    found = copies.of(TOKENS).get(key)
    return found if isinstance(found, Token) else None


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
        copies=(Whole(TOKENS), Whole(CHARGING, index=by_token)),
        regard=regard,
        hears=(TokenPresented, TransactionStarted, TransactionEnded),
    )
