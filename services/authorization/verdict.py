"""Whether an id token may charge: the table, and what it looks at."""

from datetime import datetime, timedelta

from msgspec import Struct

from contracts.authorizations import TokenInfo, TokenStatus
from contracts.cloudevents import timestamp
from contracts.event import Message, TokenId
from contracts.ledger import Standing
from contracts.postings import AD_HOC
from contracts.reference import CustomerAccount, Token
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
    customer: CustomerAccount | None = None
    """The account that pays, as it is in the directory of the station's tenant."""
    standing: Standing | None = None
    """What was said last of whether that account may charge."""
    unpriced: bool = False
    """Whether this is a start that no tariff fits, at a site that refuses those."""
    price_text: str = ""
    """What charging costs here, in words, where the station shows it and somebody wants to begin."""


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
    if (why := no_credit(asked, token)) is not None:
        return refusal(token, "Blocked", f"no_credit: {why}")
    if asked.unpriced:
        return refusal(
            token, "Blocked", "no_tariff: nobody has said what charging costs here, and the site refuses then"
        )
    match elsewhere(asked, when):
        case ChargingBegan(station=station, evse=evse) if not token.concurrent:
            return refusal(token, "ConcurrentTx", f"it is charging at station {station}, evse {evse}")
        case ChargingBegan():
            return acceptance(token, "it is active, and may charge at several places at once")
        case None:  # pragma: no branch
            return acceptance(token, "it is active")


def no_credit(asked: Asked, token: Token) -> str | None:
    """Return why nobody would pay for a start; None if somebody does, or nobody keeps an account of it.

    What may charge only while there is money needs that said; who pays by the month charges unless the contrary is said.
    No stop is refused for money.
    """
    if token.account is None or isinstance(asked.message.event, TransactionEnded):
        return None
    match asked.standing, asked.customer:
        case Standing(may_charge=False, why=why), _:
            return f"account {token.account}: {why}"
        case _, CustomerAccount(closed=True):
            return f"account {token.account}: closed"
        case None, None if token.account.startswith(AD_HOC):
            return f"account {token.account}: no_hold"
        case _, None if not token.account.startswith(AD_HOC):
            return f"there is no account {token.account}"
        case None, CustomerAccount(kind="prepaid"):
            return f"account {token.account}: no_money"
        case _:
            return None


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
