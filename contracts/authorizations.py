"""What has been decided about id tokens. Written by authorization only."""

from typing import ClassVar, Literal

from msgspec import Struct

from contracts.event import Instant, OfStation, TokenId

TokenStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
"""OCPP 1.6 §7.2."""

Purpose = Literal["authorize", "start", "stop"]


class TokenInfo(Struct, frozen=True, omit_defaults=True):
    """What a station is told about a token (OCPP 1.6 §7.27). `group` is the parent id tag."""

    status: TokenStatus
    expires_at: Instant | None = None
    group: str | None = None


class TokenDecided(OfStation, frozen=True, kw_only=True):
    """Whether a token may charge here and now, and what the decision used."""

    awaited: ClassVar[bool] = True

    report: str
    """The `ce_id` of the call that asked."""
    purpose: Purpose
    token: TokenId
    info: TokenInfo
    reason: str = ""
    """Why, in words."""
    token_version: int | None = None
    """The version of the token that was looked at; None: it is not in the directory."""
    evse: int | None = None
    """Of a start: where. With `at`, `connector` and `meter_wh` it tells a repetition from another start."""
    connector: int | None = None
    meter_wh: int | None = None
    price_text: str = ""
    """What charging costs whoever has this token here, in words: where the token is accepted and the station shows it."""


class UnknownTokenSeen(OfStation, frozen=True, kw_only=True):
    """A token that nobody has registered was presented: somebody may want to."""

    token: TokenId
    masked_uid: str
    purpose: Purpose


AuthorizationEvent = TokenDecided | UnknownTokenSeen
