"""What becomes of a thing in the directory: its versions, and what came of the newest requests.

A site may be deleted while stations refer to it: they keep its id, and new sessions there have no site.
"""

from msgspec import Struct
from msgspec.structs import replace

from contracts.event import Message
from contracts.reference import (
    AccessKey,
    AccessKeyForgotten,
    CustomerAccount,
    CustomerAccountForgotten,
    Site,
    SiteForgotten,
    Station,
    StationForgotten,
    TariffAssignment,
    TariffAssignmentForgotten,
    TariffVersion,
    Token,
    TokenForgotten,
)
from contracts.requests import (
    ChangeAccepted,
    ChangeRefused,
    ChangeRequested,
    Delete,
    DirectoryEvent,
    PutAccessKey,
    PutAccount,
    PutSite,
    PutStation,
    PutTariff,
    PutTariffAssignment,
    PutToken,
    Refusal,
    SetPassword,
)

REMEMBERED = 64
"""The newest so many requests to a thing are recognised when they are heard again."""

Record = Site | Station | Token | AccessKey | TariffVersion | TariffAssignment | CustomerAccount
Deletable = Site | Station | Token | AccessKey | TariffAssignment | CustomerAccount
Gone = (
    SiteForgotten
    | StationForgotten
    | TokenForgotten
    | AccessKeyForgotten
    | TariffAssignmentForgotten
    | CustomerAccountForgotten
)
Output = Record | Gone | DirectoryEvent


class Absent(Struct, frozen=True, tag=True, omit_defaults=True):
    """There is no such thing: not yet, or not any more."""

    version: int = 0
    """The last it had. Its deletion counted, and a return does not begin again."""
    outcomes: tuple[DirectoryEvent, ...] = ()


class Present(Struct, frozen=True, tag=True, omit_defaults=True):
    """The thing as it is."""

    thing: Record
    outcomes: tuple[DirectoryEvent, ...] = ()

    @property
    def version(self) -> int:
        return self.thing.version


State = Absent | Present

initial: State = Absent()


class Asked(Struct, frozen=True):
    """A request, and whether its tenant has the site, the tariff or the account it names (true where it names none)."""

    message: Message[ChangeRequested]
    site_known: bool = True
    tariff_known: bool = True
    account_known: bool = True


def decide(state: State, asked: Asked) -> list[Output]:
    """Return what comes of a request: what came of it before, if it is heard again, and nothing else."""
    request = asked.message.event
    match earlier(state, request):
        case None:
            return decide_anew(state, asked)
        case outcome if outcome.fingerprint == request.fingerprint:
            return [outcome]
        case _:
            return [refused(request, "idempotency_key_reused", "another request has been made under this key")]


def decide_anew(state: State, asked: Asked) -> list[Output]:
    """Return what comes of a request that has not been heard before. To a tenant, what another has is not there."""
    request = asked.message.event
    taken = isinstance(state, Present) and state.thing.tenant != request.tenant
    thing = state.thing if isinstance(state, Present) and not taken else None
    match wished(thing, request, state.version + 1):
        case None:
            return [refused(request, "not_found", f"there is no {request.kind} {request.id}")]
        case _ if taken:
            return [refused(request, "identity_taken", f"another tenant has a {request.kind} {request.id}")]
        case _ if request.expected_version not in {None, thing.version if thing else 0}:
            return [mismatched(request, thing)]
        case Station(site=site) if not (asked.site_known or (isinstance(thing, Station) and thing.site == site)):
            return [refused(request, "unknown_site", f"there is no site {site}")]
        case TariffAssignment(tariff=tariff) if not asked.tariff_known:
            return [refused(request, "unknown_tariff", f"there is no tariff {tariff}")]
        case Token(account=account) if not (
            asked.account_known or (isinstance(thing, Token) and thing.account == account)
        ):
            return [refused(request, "unknown_account", f"there is no account {account}")]
        case wish if same(wish, thing):
            return [accepted(request, state.version)]
        case wish:
            return [wish, accepted(request, state.version + 1)]


def wished(thing: Record | None, request: ChangeRequested, version: int) -> Record | Gone | None:
    """Return what the request makes of the thing; None if there would have to be one."""
    match request.change, thing:
        case PutSite(site=site), _:
            return stamped(site, request, version)
        case PutStation(station=station), Station():
            return stamped(replace(station, password_hash=thing.password_hash), request, version)
        case PutStation(station=station), _:
            return stamped(station, request, version)
        case SetPassword(password_hash=password_hash), Station():
            return stamped(replace(thing, password_hash=password_hash), request, version)
        case PutToken(token=token), Token() if token.uid is None:
            masked = token.masked_uid or thing.masked_uid
            return stamped(replace(token, uid=thing.uid, masked_uid=masked), request, version)
        case PutToken(token=token), _:
            return stamped(token, request, version)
        case PutAccessKey(key=key), _:
            return stamped(key, request, version)
        case PutTariff(tariff=tariff), _:
            return stamped(tariff, request, version)
        case PutTariffAssignment(assignment=assignment), _:
            return stamped(assignment, request, version)
        case PutAccount(account=account), _:
            return stamped(account, request, version)
        case Delete(), Site() | Station() | Token() | AccessKey() | TariffAssignment() | CustomerAccount():
            return gone(thing)(at=request.at, tenant=request.tenant, id=request.id)
        case _:
            return None


def stamped(record: Record, request: ChangeRequested, version: int) -> Record:
    return replace(record, at=request.at, tenant=request.tenant, id=request.id, version=version)


def gone(thing: Deletable) -> type[Gone]:
    match thing:
        case Site():
            return SiteForgotten
        case Station():
            return StationForgotten
        case Token():
            return TokenForgotten
        case AccessKey():
            return AccessKeyForgotten
        case TariffAssignment():
            return TariffAssignmentForgotten
        case CustomerAccount():  # pragma: no branch
            return CustomerAccountForgotten


def same(wish: Record | Gone, thing: Record | None) -> bool:
    """Return whether the thing is already as wished."""
    if thing is None or isinstance(wish, Gone):
        return False
    return replace(wish, at=thing.at, version=thing.version) == thing


def accepted(request: ChangeRequested, version: int) -> ChangeAccepted:
    return ChangeAccepted(
        at=request.at,
        tenant=request.tenant,
        request=request.request,
        kind=request.kind,
        id=request.id,
        fingerprint=request.fingerprint,
        version=version,
    )


def refused(request: ChangeRequested, reason: Refusal, detail: str, version: int | None = None) -> ChangeRefused:
    return ChangeRefused(
        at=request.at,
        tenant=request.tenant,
        request=request.request,
        kind=request.kind,
        id=request.id,
        fingerprint=request.fingerprint,
        reason=reason,
        detail=detail,
        version=version,
    )


def mismatched(request: ChangeRequested, thing: Record | None) -> ChangeRefused:
    if thing is None:
        return refused(request, "version_mismatch", f"there is no {request.kind} {request.id}")
    if request.expected_version == 0:
        detail = f"{request.kind} {request.id} exists already"
    else:
        detail = f"{request.kind} {request.id} has version {thing.version}, not {request.expected_version}"
    return refused(request, "version_mismatch", detail, thing.version)


def earlier(state: State, request: ChangeRequested | DirectoryEvent) -> DirectoryEvent | None:
    """Return what came of this request, if it is one of those remembered."""
    asked = (request.tenant, request.request)
    return next((outcome for outcome in state.outcomes if (outcome.tenant, outcome.request) == asked), None)


def evolve(state: State, event: Output) -> State:
    """Return the thing as `event` left it. An acceptance of a newer version than the thing's means that it is gone:
    so its state can be folded anew from the log, in which deletions are nulls.
    """
    match event:
        case Site() | Station() | Token() | AccessKey() | TariffVersion() | TariffAssignment() | CustomerAccount():
            return Present(event, state.outcomes)
        case (
            SiteForgotten()
            | StationForgotten()
            | TokenForgotten()
            | AccessKeyForgotten()
            | TariffAssignmentForgotten()
            | CustomerAccountForgotten()
        ):
            return Absent(state.version + 1, state.outcomes)
        case ChangeAccepted() | ChangeRefused() if earlier(state, event) is not None:
            return state
        case ChangeAccepted(version=version) if version > state.version:
            return Absent(version, remembered(state, event))
        case ChangeAccepted() | ChangeRefused():  # pragma: no branch
            return replace(state, outcomes=remembered(state, event))


def remembered(state: State, outcome: DirectoryEvent) -> tuple[DirectoryEvent, ...]:
    return (*state.outcomes, outcome)[-REMEMBERED:]
