"""Whether an id token may charge: the table, and what it looks at."""

from datetime import datetime, timedelta

from msgspec import Struct

from contracts.authorizations import TokenInfo, TokenStatus
from contracts.cloudevents import timestamp
from contracts.event import Message, TokenId
from contracts.reference import Token
from contracts.sessions import ChargingBegan
from contracts.stations import TokenPresented, TransactionEnded, TransactionStarted

OFFLINE_AFTER = timedelta(seconds=120)
"""A start that we hear of later than this was kept by a station without a connection."""
AHEAD_AT_MOST = timedelta(hours=24)
FIRST_SANE_YEAR = 2015
"""A station whose clock shows an earlier year, or more than a day ahead of ours, does not know the time."""

WithToken = TokenPresented | TransactionStarted | TransactionEnded


class Asked(Struct, frozen=True):
    """A report that names a token, and what is known of that token."""

    message: Message[WithToken]
    name: TokenId
    token: Token | None = None
    """As it is in the directory of the station's tenant."""
    charging: tuple[ChargingBegan, ...] = ()
    """Where in that tenant it is charging now."""


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What a station is told about a token, and why."""

    info: TokenInfo
    reason: str
    token_version: int | None = None


def judge(asked: Asked) -> Verdict:
    """Return whether the token may charge, at the time of the report (OCPP 1.6 §7.2)."""
    token, when = asked.token, moment(asked.message)
    match token:
        case None:
            return Verdict(TokenInfo("Invalid"), "nobody has registered it")
        case Token(status="blocked"):
            return refusal(token, "Blocked", "it is blocked")
        case Token(valid_from=datetime() as begin) if when < begin:
            return refusal(token, "Invalid", f"it is valid from {timestamp(begin)} only")
        case Token(valid_until=datetime() as end) if end <= when:
            return refusal(token, "Expired", f"it was valid until {timestamp(end)}")
    match elsewhere(asked, when):
        case ChargingBegan(station=station, evse=evse) if not token.concurrent:
            return refusal(token, "ConcurrentTx", f"it is charging at station {station}, evse {evse}")
        case ChargingBegan():
            return acceptance(token, "it is active, and may charge at several places at once")
        case None:  # pragma: no branch
            return acceptance(token, "it is active")


def moment(message: Message[WithToken]) -> datetime:
    """Return when it happened: by the station's clock, or by ours if that makes no sense."""
    at, ours = message.event.at, message.recorded_at
    return ours if at.year < FIRST_SANE_YEAR or at > ours + AHEAD_AT_MOST else at


def elsewhere(asked: Asked, when: datetime) -> ChargingBegan | None:
    """Return where else the token of a start is charging. Nothing else is asked about that (OCPP 1.6 §7.2).

    Its own evse does not count, so a start that is said again is never its own rival. Of a start that was kept
    offline only those sessions are rivals that had begun by then.
    """
    start = asked.message.event
    if not isinstance(start, TransactionStarted):
        return None
    offline = asked.message.recorded_at - when > OFFLINE_AFTER
    here = (start.station, start.evse)
    rivals = (rival for rival in asked.charging if (rival.station, rival.evse) != here)
    return next((rival for rival in rivals if not offline or rival.started_at <= when), None)


def refusal(token: Token, status: TokenStatus, reason: str) -> Verdict:
    return Verdict(TokenInfo(status), reason, token.version)


def acceptance(token: Token, reason: str) -> Verdict:
    """Return that it may charge, until when if that is limited (a station may keep this in its cache), and its group."""
    return Verdict(TokenInfo("Accepted", token.valid_until, token.group), reason, token.version)
