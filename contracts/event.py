"""What every event has in common."""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Generic, NewType, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

TenantId = NewType("TenantId", str)
"""A network among those that share a deployment. Never contains a slash."""
SiteId = NewType("SiteId", str)
StationId = NewType("StationId", str)
"""The identity a station connects with, unique in the deployment (OCPP 1.6-J §3.1.1)."""
GatewayId = NewType("GatewayId", str)
"""One run of one gateway process."""
TokenId = NewType("TokenId", str)
"""HMAC of the tenant's key and the folded uid: names an id token without saying it."""
TransactionId = NewType("TransactionId", str)
"""What a station calls a transaction: text, so that OCPP 2.x fits."""
SessionId = NewType("SessionId", str)
CommandId = NewType("CommandId", str)
RepairId = NewType("RepairId", str)
RequestId = NewType("RequestId", str)
AccountId = NewType("AccountId", str)
"""Of a driver's or a company's money."""
PaymentId = NewType("PaymentId", str)
InvoiceId = NewType("InvoiceId", str)
JobId = NewType("JobId", str)
AlertId = NewType("AlertId", str)
"""Derived from the rule, what it is about, and the start of the window."""
Sealed = NewType("Sealed", str)
"""A secret that only a holder of the deployment's secret can open."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment, never without its time zone."""


class Event(Struct, frozen=True, kw_only=True, tag=True, tag_field="type", omit_defaults=True):
    """A fact. It is named in the past tense and never changes once written."""

    awaited: ClassVar[bool] = False
    """Whether somebody waits for what follows from it, so that it must not linger in a batch."""

    at: Instant
    """When it happened, by the clock of whoever saw it happen."""


class OfStation(Event, frozen=True, kw_only=True):
    """An event about one station; its key is `tenant/station`."""

    tenant: TenantId
    station: StationId


E_co = TypeVar("E_co", covariant=True)


class Message(Struct, Generic[E_co], frozen=True):
    """An event as a service hears it: what it says, and what the log knows of it."""

    event: E_co
    id: str
    """The `ce_id` of its record: the cause of all that follows from it."""
    recorded_at: datetime
    """When we learnt of it (`ce_recordedtime`); `event.at` is when it happened."""
    offset: int = 0
    """Its place in its partition; of a `ConnectionOpened`, the connection's epoch."""
    key: str = ""
    """Of a `Ticked`: the key of the state whose deadline has passed."""


class Ticked(Event, frozen=True, kw_only=True):
    """A deadline that a state named has passed. `at` is that deadline, not the moment of noticing."""


NAMESPACE = UUID("5d2c6a1e-8a0f-5b0e-9c36-6f1b0f3c7a11")
_named = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)


_VARIANT = {digit: f"{8 + int(digit, 16) % 4:x}" for digit in "0123456789abcdef"}


def derived_id(cause: str, service: str, number: int | str) -> str:
    """Return the id of the `number`-th thing that `service` derives from `cause`: the same for every repetition."""
    digest = _named.copy()
    digest.update(f"{cause}/{service}/{number}".encode())
    text = digest.hexdigest()  # a UUID of version 5 (RFC 9562 §5.5), a sixth as dear as the standard library's
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def minted_ids(cause: str) -> Iterator[str]:
    """Yield the ids of what is new in the world, one after the other, for a `cause` that nobody else mints from.

    UUIDs (RFC 9562, version 8) of a digest of the cause and a count, which costs a tenth of a digest for each.
    """
    digest = hashlib.blake2b(cause.encode(), digest_size=10).hexdigest()
    start = f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-{8 + int(digest[15], 16) % 4:x}{digest[16:19]}-"
    return (f"{start}{number:012x}" for number in itertools.count(1))
