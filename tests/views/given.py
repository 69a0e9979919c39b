"""Records as they lie in Kafka, without Kafka."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from chassis.kafka import Chunk, Record
from contracts.alerts import AlertCleared, AlertRaised
from contracts.authorizations import TokenInfo, UnknownTokenSeen
from contracts.bills import (
    CdrCredited,
    CdrHeld,
    CdrIssued,
    CdrWaived,
    CostUpdated,
    Priced,
    Review,
    SessionMeasured,
    TariffBound,
    Usage,
)
from contracts.cloudevents import Attributes, to_headers
from contracts.event import (
    AlertId,
    CommandId,
    Event,
    GatewayId,
    InvoiceId,
    JobId,
    RequestId,
    Sealed,
    SessionId,
    SiteId,
    StationId,
    TenantId,
    TokenId,
    TransactionId,
)
from contracts.operations import (
    CommandAccepted,
    CommandFulfilled,
    CommandQueued,
    CommandRequested,
    ConnectorStatusChanged,
    InventoryReported,
    StartCharge,
    StationConnected,
    StationDisconnected,
)
from contracts.ratings import (
    ByItsOwn,
    Choice,
    ReRatingAsked,
    ReRatingBegun,
    ReRatingFinished,
    ReRatingProgressed,
    Span,
    Sum,
)
from contracts.reference import AccessKey, Connector, Evse, Site, Station, TariffAssignment, TariffVersion, Token
from contracts.requests import ChangeAccepted, ChangeRefused
from contracts.sessions import EnergyDelivered, SessionAuthorized, SessionEnded, SessionStarted
from contracts.tariffs import PriceComponent, Tariff, TariffElement
from contracts.topics import (
    ACCESS,
    ALERTS,
    AUTHORIZATIONS,
    BILLS,
    DIRECTORY,
    INVOICES,
    OPERATIONS,
    PAPERS,
    RATINGS,
    REGISTRY,
    SESSIONS,
    SITES,
    TARIFFS,
    TOKENS,
    Topic,
)
from tests.invoicing.given import drafted, issued, written

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
NORTH = TenantId("north")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def record(
    topic: Topic[Any], event: Event, *, partition: int = 0, offset: int = 0, recorded: datetime | None = None
) -> Record:
    when = recorded or at(offset)
    kind = f"voltstream.{type(event).__name__}"
    headers = to_headers(Attributes(f"id-{offset}", kind, "/voltstream/x", "subject", event.at, when))
    stamp = int(when.timestamp() * 1000)
    return Record(topic, partition, offset, topic.key_of(event), topic.encode(event), headers, stamp)


def chunk(topic: Topic[Any], events: Iterable[Event], *, partition: int = 0, first: int = 0) -> Chunk:
    """Return `events` as one batch of a partition, one second after the other."""
    records = [record(topic, event, partition=partition, offset=first + n) for n, event in enumerate(events)]
    return Chunk(topic, partition, records, first + len(records))


def of(station: str = "st-1", tenant: str = "north") -> dict[str, Any]:
    return {"tenant": TenantId(tenant), "station": StationId(station)}


def started(session: str = "s-1", seconds: float = 0, **more: Any) -> SessionStarted:
    values: dict[str, Any] = {"evse": 1, "connector": 1, "meter_wh": 500, "masked_uid": "04…8F"} | of() | more
    return SessionStarted(
        at=at(seconds),
        session=SessionId(session),
        report="r",
        transaction=TransactionId(values.pop("transaction", "7")),
        token=TokenId("tok-1"),
        site=SiteId("harbour"),
        time_zone="Europe/Oslo",
        **values,
    )


def authorized(session: str = "s-1", **more: Any) -> SessionAuthorized:
    values = {"info": TokenInfo("Accepted")} | of() | more
    return SessionAuthorized(at=at(1), session=SessionId(session), **values)


def delivered(energy_wh: int, session: str = "s-1", **more: Any) -> EnergyDelivered:
    values = of() | more
    return EnergyDelivered(
        at=at(60), session=SessionId(session), energy_wh=energy_wh, meter_wh=500 + energy_wh, **values
    )


def ended(session: str = "s-1", energy_wh: int | None = 7500, **more: Any) -> SessionEnded:
    values: dict[str, Any] = {"meter_wh": 8000} | of() | more
    return SessionEnded(
        at=at(3600), session=SessionId(session), report="e", reason="Local", energy_wh=energy_wh, **values
    )


def site(version: int = 1, **more: Any) -> Site:
    values: dict[str, Any] = {"tenant": NORTH, "id": SiteId("harbour"), "name": "Harbour"} | more
    return Site(at=at(version), version=version, time_zone="Europe/Oslo", **values)


def station(version: int = 1, *evses: Evse, **more: Any) -> Station:
    values: dict[str, Any] = {"tenant": NORTH, "id": StationId("st-1"), "site": SiteId("harbour")} | more
    return Station(at=at(version), version=version, evses=evses, tags=("fast",), password_hash="argon2", **values)


def evse(id: int, *connectors: int) -> Evse:
    return Evse(id=id, code=f"NO*VOL*E{id}", connectors=tuple(Connector(id=n, type="IEC_62196_T2") for n in connectors))


def token(version: int = 1, **more: Any) -> Token:
    values: dict[str, Any] = {"tenant": NORTH, "id": TokenId("tok-1"), "uid": Sealed("sealed")} | more
    return Token(at=at(version), version=version, masked_uid="04…8F", **values)


def access_key(version: int = 1, **more: Any) -> AccessKey:
    values: dict[str, Any] = {"tenant": NORTH, "id": "key-1", "digest": "d" * 64} | more
    return AccessKey(at=at(version), version=version, scopes=("read", "operate"), label="shop", **values)


def connected(epoch: int = 1, seconds: float = 0, **more: Any) -> StationConnected:
    values = of() | more
    return StationConnected(
        at=at(seconds),
        epoch=epoch,
        gateway=GatewayId("g"),
        reply_to=0,
        protocol="ocpp1.6",
        security_profile=1,
        remote_address="192.0.2.7",
        **values,
    )


def disconnected(epoch: int = 1, seconds: float = 5, **more: Any) -> StationDisconnected:
    values: dict[str, Any] = {"inferred": True} | of() | more
    return StationDisconnected(at=at(seconds), epoch=epoch, **values)


def booted(**more: Any) -> InventoryReported:
    values: dict[str, Any] = {"vendor": "ACME", "model": "One", "firmware_version": "1.0"} | of() | more
    return InventoryReported(at=at(2), **values)


def status(evse: int, status: str = "Available", *, connector: int = 1, **more: Any) -> ConnectorStatusChanged:
    values = of() | more
    return ConnectorStatusChanged(at=at(3), evse=evse, connector=connector, status=status, **values)


def unknown(token: str, seconds: float = 0, **more: Any) -> UnknownTokenSeen:
    values: dict[str, Any] = {"masked_uid": "…"} | of() | more
    return UnknownTokenSeen(at=at(seconds), token=TokenId(token), purpose="authorize", **values)


def accepted_change(request: str = "q-1", **more: Any) -> ChangeAccepted:
    values: dict[str, Any] = {"fingerprint": "f", "version": 1} | more
    return ChangeAccepted(at=at(0), tenant=NORTH, request=RequestId(request), kind="site", id="harbour", **values)


def refused_change(request: str = "q-1", **more: Any) -> ChangeRefused:
    values: dict[str, Any] = {"fingerprint": "f", "reason": "version_mismatch", "detail": "it has version 3"} | more
    return ChangeRefused(at=at(0), tenant=NORTH, request=RequestId(request), kind="site", id="harbour", **values)


def command(id: str = "c-1") -> list[CommandRequested | CommandQueued | CommandAccepted | CommandFulfilled]:
    """The life of a command that starts a session."""
    whose: dict[str, Any] = {"command": CommandId(id)} | of()
    task = StartCharge(token=TokenId("tok-1"), evse=1)
    return [
        CommandRequested(at=at(0), task=task, requested_by="key-1", expires_at=at(120), fingerprint="f", **whose),
        CommandQueued(at=at(1), epoch=1, **whose),
        CommandAccepted(at=at(2), **whose),
        CommandFulfilled(at=at(3), session=SessionId("s-1"), transaction=TransactionId("7"), **whose),
    ]


AC = Tariff("AC", "NOK", (TariffElement((PriceComponent("ENERGY", Decimal("4.50"), vat=Decimal(25)),)),))


def tariff(version: int = 1, **more: Any) -> TariffVersion:
    values: dict[str, Any] = {"tenant": NORTH, "id": "AC", "tariff": AC, "valid_from": T0} | more
    return TariffVersion(at=at(version), version=version, **values)


def assignment(scope: str = "tenant", **more: Any) -> TariffAssignment:
    values: dict[str, Any] = {"tenant": NORTH, "id": scope, "tariff": "AC", "version": 1} | more
    return TariffAssignment(at=at(1), **values)


def priced(total: str = "39.60") -> Priced:
    return Priced(currency="NOK", total_excl=Decimal(total), total_incl=Decimal(total), energy_wh=11_000, seconds=3600)


def bound(session: str = "s-1", **more: Any) -> TariffBound:
    values: dict[str, Any] = whose_session(session) | more
    return TariffBound(
        at=at(1), tariff=AC, tariff_version=2, assignment="tenant", time_zone="UTC", token=TokenId("tok-1"), **values
    )


def costing(total: str, session: str = "s-1", **more: Any) -> CostUpdated:
    values: dict[str, Any] = whose_session(session) | more
    amount = Decimal(total)
    usage = (Usage(at(2), 1000),)
    return CostUpdated(
        at=at(2), usage=usage, currency="NOK", total_excl=amount, total_incl=amount, energy_wh=1000, **values
    )


def over(session: str = "s-1", **more: Any) -> SessionMeasured:
    values: dict[str, Any] = whose_session(session) | more
    return SessionMeasured(at=at(3), usage=(Usage(at(3), 11_000, "END"),), due=at(303), **values)


def held(session: str = "s-1", **more: Any) -> CdrHeld:
    values: dict[str, Any] = whose_session(session) | more
    return CdrHeld(at=at(303), why=("refused",), priced=priced(), **values)


def waived(session: str = "s-1", review: str = "r-1", **more: Any) -> CdrWaived:
    values: dict[str, Any] = whose_session(session) | more
    decided = Review(RequestId(review), "waive", "nobody charged there", "key-1")
    return CdrWaived(at=at(400), review=decided, currency="NOK", **values)


def cdr(id: str = "cdr-1", session: str = "s-1", **more: Any) -> CdrIssued:
    values: dict[str, Any] = whose_session(session) | {"number": 1, "priced": priced()} | more
    return CdrIssued(
        at=at(303),
        cdr=id,
        tariff="AC",
        tariff_version=2,
        token=TokenId("tok-1"),
        site=SiteId("harbour"),
        started_at=at(1),
        ended_at=at(3),
        **values,
    )


def credit(credits: str = "cdr-1", session: str = "s-1", **more: Any) -> CdrCredited:
    values: dict[str, Any] = whose_session(session) | more
    amount = Decimal("-39.60")
    return CdrCredited(
        at=at(400), cdr=f"{credits}-c", credits=credits, currency="NOK", total_excl=amount, total_incl=amount, **values
    )


def whose_session(session: str) -> dict[str, Any]:
    return {"tenant": NORTH, "station": StationId("st-1"), "session": SessionId(session)}


def raised(alert: str = "a-1", seconds: float = 60, **more: Any) -> AlertRaised:
    values: dict[str, Any] = {"rule": "repeated_faults", "evse": 1, "connector": 2} | of() | more
    return AlertRaised(
        at=at(seconds),
        alert=AlertId(alert),
        place=7,
        since=at(seconds - 50),
        count=3,
        within_s=900,
        detail="GroundFailure",
        **values,
    )


def cleared(alert: str = "a-1", seconds: float = 960, **more: Any) -> AlertCleared:
    values: dict[str, Any] = {"rule": "repeated_faults", "evse": 1, "connector": 2, "reason": "quiet"} | of() | more
    return AlertCleared(at=at(seconds), alert=AlertId(alert), place=8, **values)


def re_rating(job: str, part: int = 0) -> list[Event]:
    """Return a job from its wish to its end."""
    about: dict[str, Any] = {"at": at(0), "tenant": NORTH, "job": JobId(job)}
    amounts = (Decimal("8.00"), Decimal("9.00"), Decimal("10.00"), Decimal("11.25"))
    sums = (Sum("NOK", "AC", SiteId("harbour"), 2, 1, *amounts),)
    return [
        ReRatingAsked(**about, choice=Choice(), by=ByItsOwn(), reason="why not", requested_by="key-1"),
        ReRatingBegun(**about, spans=(Span(part, 0, 9),)),
        ReRatingProgressed(**about, part=part, first=0, after=5, resume=3, sums=sums, skipped={"free": 1}),
        ReRatingProgressed(**about, part=part, first=5, after=9, resume=9, sums=sums, skipped={"free": 2}, unbilled=1),
        ReRatingFinished(**about),
    ]


def of_documents(partition: int) -> list[Chunk]:
    """An invoice and its paper."""
    draft = drafted([], invoice=InvoiceId(f"i-{partition}"))
    topics: tuple[tuple[Topic[Any], Event], ...] = (
        (INVOICES, issued(draft, partition + 1)),
        (PAPERS, written(draft)),
    )
    return [chunk(topic, [event], partition=partition) for topic, event in topics]


def everything(partition: int = 0) -> list[Chunk]:
    """A batch of each topic, about things of that partition."""
    name = f"st-{partition}"
    whose, id = of(name), {"id": StationId(name)}
    return [
        chunk(DIRECTORY, [accepted_change(f"q-{partition}"), refused_change(f"p-{partition}")], partition=partition),
        chunk(
            SITES,
            [site(1, id=SiteId(f"site-{partition}")), site(2, id=SiteId(f"site-{partition}"))],
            partition=partition,
        ),
        chunk(
            REGISTRY, [station(1, evse(1, 1, 2), evse(2, 1), **id), station(2, evse(1, 1), **id)], partition=partition
        ),
        chunk(TOKENS, [token(1, id=TokenId(f"tok-{partition}"))], partition=partition),
        chunk(ACCESS, [access_key(1, id=f"key-{partition}")], partition=partition),
        chunk(
            TARIFFS,
            [tariff(1, id=f"t-{partition}"), tariff(2, id=f"t-{partition}"), assignment(f"site/site-{partition}")],
            partition=partition,
        ),
        chunk(RATINGS, re_rating(f"job-{partition}", partition), partition=partition),
        chunk(AUTHORIZATIONS, [unknown(f"tok-{partition}-{n}", n, **whose) for n in range(5)], partition=partition),
        chunk(
            SESSIONS,
            [
                event
                for number in range(4)
                for session in [f"s-{partition}-{number}"]
                for event in (
                    started(session, **whose),
                    authorized(session, **whose),
                    delivered(100, session, **whose),
                    ended(session, **whose),
                )
            ],
            partition=partition,
        ),
        chunk(
            OPERATIONS,
            [
                connected(**whose),
                booted(**whose),
                status(0, **whose),
                status(1, "Charging", **whose),
                status(3, **whose),
                disconnected(**whose),
                *command(f"c-{partition}"),
            ],
            partition=partition,
        ),
        *of_documents(partition),
        chunk(
            BILLS,
            [
                bound(f"s-{partition}-0", **whose),
                costing("4.50", f"s-{partition}-0", **whose),
                over(f"s-{partition}-0", **whose),
                cdr(f"d-{partition}", f"s-{partition}-0", **whose),
                credit(f"d-{partition}", f"s-{partition}-0", **whose),
                cdr(f"e-{partition}", f"s-{partition}-0", number=2, corrects=f"d-{partition}", **whose),
                bound(f"s-{partition}-1", **whose),
                held(f"s-{partition}-1", **whose),
                waived(f"s-{partition}-1", f"r-{partition}", **whose),
            ],
            partition=partition,
        ),
        chunk(
            ALERTS,
            [
                raised(f"a-{partition}", **whose),
                cleared(f"a-{partition}", **whose),
                raised(f"b-{partition}", 2000, **whose),
            ],
            partition=partition,
        ),
    ]
