"""Reports that name a token, and what is known of it, for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from contracts.authorizations import TokenDecided, TokenInfo, UnknownTokenSeen
from contracts.event import AccountId, GatewayId, Message, SessionId, StationId, TenantId, TokenId, TransactionId
from contracts.gateways import AuthorizeAnswered
from contracts.ledger import Standing
from contracts.reference import CustomerAccount, Token
from contracts.sessions import ChargingBegan
from contracts.stations import Frame, TokenPresented, TransactionEnded, TransactionStarted
from services.authorization.verdict import Asked, WithToken

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ACME, OTHER = TenantId("acme"), TenantId("other")
HERE, THERE = StationId("CP-1"), StationId("CP-2")
CARD, FOB = TokenId("6f1b"), TokenId("77aa")
GATEWAY = GatewayId("g1")
FLEET = AccountId("fleet")


def token(**fields: Any) -> Token:
    return replace(Token(at=NOON - DAY, tenant=ACME, version=3, id=CARD), **fields)


def presented(**fields: Any) -> TokenPresented:
    made = TokenPresented(
        at=NOON,
        tenant=ACME,
        station=HERE,
        gateway=GATEWAY,
        reply_to=2,
        epoch=7,
        frame=Frame(),
        message_id='"19"',
        token=CARD,
        masked_uid="04…A2",
    )
    return replace(made, **fields)


def started(**fields: Any) -> TransactionStarted:
    made = TransactionStarted(
        at=NOON,
        tenant=ACME,
        station=HERE,
        gateway=GATEWAY,
        reply_to=2,
        epoch=7,
        frame=Frame(),
        message_id='"20"',
        evse=1,
        connector=1,
        token=CARD,
        masked_uid="04…A2",
        meter_wh=500,
    )
    return replace(made, **fields)


def ended(**fields: Any) -> TransactionEnded:
    made = TransactionEnded(
        at=NOON,
        tenant=ACME,
        station=HERE,
        gateway=GATEWAY,
        reply_to=2,
        epoch=7,
        frame=Frame(),
        message_id='"21"',
        transaction=TransactionId("1"),
        token=CARD,
        masked_uid="04…A2",
    )
    return replace(made, **fields)


def charging(**fields: Any) -> ChargingBegan:
    made = ChargingBegan(
        at=NOON - HOUR,
        tenant=ACME,
        station=THERE,
        session=SessionId("s1"),
        token=CARD,
        evse=1,
        connector=1,
        started_at=NOON - HOUR,
    )
    return replace(made, **fields)


def account(**fields: Any) -> CustomerAccount:
    made = CustomerAccount(at=NOON - DAY, tenant=ACME, version=1, id=FLEET, kind="postpaid", currency="EUR")
    return replace(made, **fields)


def standing(*, may_charge: bool, **fields: Any) -> Standing:
    return replace(Standing(at=NOON - HOUR, tenant=ACME, account=FLEET, may_charge=may_charge), **fields)


def asked(
    report: WithToken,
    known: Token | None = None,
    *elsewhere: ChargingBegan,
    recorded_at: datetime | None = None,
    id: str = "r1",
    customer: CustomerAccount | None = None,
    standing: Standing | None = None,
) -> Asked:
    """Return a report that we learn of at once, unless `recorded_at` says otherwise."""
    name = report.token
    assert name is not None
    return Asked(Message(report, id, recorded_at or report.at), name, known, elsewhere, customer, standing)


def decided(report: WithToken, info: TokenInfo, reason: str, version: int | None = 3, id: str = "r1") -> TokenDecided:
    """Return the decision on `report`."""
    assert report.token is not None
    made = TokenDecided(
        at=report.at,
        tenant=report.tenant,
        station=report.station,
        report=id,
        purpose="authorize",
        token=report.token,
        info=info,
        reason=reason,
        token_version=version,
    )
    match report:
        case TokenPresented():
            return made
        case TransactionEnded():
            return replace(made, purpose="stop")
        case TransactionStarted(evse=evse, connector=connector, meter_wh=meter_wh):
            return replace(made, purpose="start", evse=evse, connector=connector, meter_wh=meter_wh)


def answered(report: TokenPresented, info: TokenInfo, id: str = "r1") -> AuthorizeAnswered:
    return AuthorizeAnswered(
        at=report.at,
        tenant=report.tenant,
        station=report.station,
        gateway=report.gateway,
        reply_to=report.reply_to,
        epoch=report.epoch,
        message_id=report.message_id,
        report=id,
        info=info,
    )


def seen(report: WithToken, purpose: str = "authorize", at: datetime | None = None) -> UnknownTokenSeen:
    """Return that the token of `report` has been collected, at its own time unless `at` says otherwise."""
    assert report.token is not None
    made = UnknownTokenSeen(
        at=at or report.at,
        tenant=report.tenant,
        station=report.station,
        token=report.token,
        masked_uid=report.masked_uid,
        purpose="authorize",
    )
    return replace(made, purpose=purpose)
