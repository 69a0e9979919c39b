"""What a gateway must send, to one partition per gateway; and a gateway's signs of life.

Never written in a transaction, and never part of a state: what was lost is derived again when the station repeats itself.
"""

from typing import Literal

from msgspec import Struct

from contracts.authorizations import TokenInfo
from contracts.event import CommandId, Event, GatewayId, Instant, OfStation, Sealed, TransactionId
from contracts.operations import ShowFinalCost, ShowRunningCost


class ToGateway(OfStation, frozen=True, kw_only=True):
    """Something for one connection of one gateway. Where that has gone, it is dropped and counted."""

    gateway: GatewayId
    reply_to: int
    epoch: int


class Answer(ToGateway, frozen=True, kw_only=True):
    """What a call of the station's is answered."""

    message_id: str
    report: str = ""
    """The `ce_id` of the call: a station may use a message id again for another call (T-42)."""


class AuthorizeAnswered(Answer, frozen=True, kw_only=True):
    """The answer to `TokenPresented`."""

    info: TokenInfo


class StartAnswered(Answer, frozen=True, kw_only=True):
    """The answer to `TransactionStarted`: always with a transaction id, whatever the status."""

    transaction: TransactionId
    info: TokenInfo


class StopAnswered(Answer, frozen=True, kw_only=True):
    """The answer to `TransactionEnded`; `info` only where the stop named a token."""

    info: TokenInfo | None = None


class StartCharging(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """RemoteStartTransaction (OCPP 1.6 §6.33). `uid` is opened by the gateway alone."""

    uid: Sealed
    evse: int | None = None
    connector: int | None = None


class StopCharging(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """RemoteStopTransaction (OCPP 1.6 §6.35)."""

    transaction: TransactionId


class TransferringData(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """DataTransfer (OCPP 1.6 §6.15), in words that we do not know."""

    vendor: str
    message: str | None = None
    data: str | None = None


class ShowingPrice(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """SetUserPrice (OCA, OCPP & California Pricing Requirements). `uid` is opened by the gateway alone."""

    uid: Sealed
    text: str


class Trigger(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """TriggerMessage (OCPP 1.6 §6.51): say this now."""

    message: Literal["BootNotification"] = "BootNotification"


Asked = StartCharging | StopCharging | Trigger | TransferringData | ShowingPrice | ShowRunningCost | ShowFinalCost
"""What is to be shown of a cost is asked in the words of its task: nothing in it is secret."""


class CallAsked(ToGateway, frozen=True, kw_only=True):
    """A call to make, in the words of no OCPP version. Past `expires_at` it is not sent any more."""

    command: CommandId
    call: Asked
    expires_at: Instant


class CloseAsked(ToGateway, frozen=True, kw_only=True):
    """The connection of this epoch has been superseded: close it."""

    reason: str


GatewayEvent = AuthorizeAnswered | StartAnswered | StopAnswered | CallAsked | CloseAsked


class GatewayAlive(Event, frozen=True, kw_only=True):
    """A gateway's sign of life, every 5 s."""

    gateway: GatewayId
    reply_to: int
    started_at: Instant
    connections: int = 0


class GatewayGone(Event, frozen=True, kw_only=True):
    """A gateway has stopped in order, all its connections closed: forget it."""

    gateway: GatewayId
