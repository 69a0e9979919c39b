"""What directory reads and writes."""

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message
from contracts.postings import AD_HOC
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
from contracts.requests import ChangeAccepted, ChangeRefused, ChangeRequested, PutStation, PutTariffAssignment, PutToken
from contracts.topics import (
    ACCESS,
    ACCOUNTS,
    DIRECTORY,
    REGISTRY,
    REQUESTS,
    SITES,
    TARIFFS,
    TOKENS,
    of_change,
    tariff_key,
)
from services.directory import domain
from services.directory.domain import Asked


def regard(message: Message[ChangeRequested], copies: Copies) -> Asked:
    """Return the request, and whether its tenant has what it names: a station's site, a tariff that is assigned, who pays."""
    match message.event.change:
        case PutStation(station=station) if station.site is not None:
            return Asked(message, copies.of(SITES).get(f"{message.event.tenant}/{station.site}") is not None)
        case PutTariffAssignment(assignment=assignment) if assignment.tariff is not None:
            key = tariff_key(message.event.tenant, assignment.tariff, 1)
            return Asked(message, tariff_known=copies.of(TARIFFS).get(key) is not None)
        case PutToken(token=token) if token.account is not None:
            there = copies.of(ACCOUNTS).get(f"{message.event.tenant}/{token.account}") is not None
            return Asked(message, account_known=there or token.account.startswith(AD_HOC))
        case _:
            return Asked(message)


def build(_: Settings) -> Stream:
    return Stream(
        name="directory",
        rules=domain,
        state=domain.State,
        inputs=(REQUESTS,),
        outputs=(DIRECTORY, SITES, REGISTRY, TOKENS, ACCESS, TARIFFS, ACCOUNTS),
        copies=(Whole(SITES), Whole(TARIFFS), Whole(ACCOUNTS)),
        regard=regard,
        key_of_state=key_of_state,
    )


def key_of_state(event: domain.Output) -> str:
    """Return the key of the requests to the thing that `event` is about (`of_change`)."""
    match event:
        case Site() | SiteForgotten():
            return f"{event.tenant}/site/{event.id}"
        case Station() | StationForgotten():
            return f"station/{event.id}"
        case Token() | TokenForgotten():
            return f"{event.tenant}/token/{event.id}"
        case AccessKey() | AccessKeyForgotten():
            return f"{event.tenant}/access/{event.id}"
        case TariffVersion():
            return f"{event.tenant}/tariff/{event.id}"
        case TariffAssignment() | TariffAssignmentForgotten():
            return f"{event.tenant}/tariff_assignment/{event.id}"
        case CustomerAccount() | CustomerAccountForgotten():
            return f"{event.tenant}/account/{event.id}"
        case ChangeAccepted() | ChangeRefused():
            return of_change(event)
