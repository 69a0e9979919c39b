"""What directory reads and writes."""

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Message
from contracts.reference import (
    AccessKey,
    AccessKeyForgotten,
    Site,
    SiteForgotten,
    Station,
    StationForgotten,
    Token,
    TokenForgotten,
)
from contracts.requests import ChangeAccepted, ChangeRefused, ChangeRequested, PutStation
from contracts.topics import ACCESS, DIRECTORY, REGISTRY, REQUESTS, SITES, TOKENS, of_change
from services.directory import domain
from services.directory.domain import Asked


def regard(message: Message[ChangeRequested], copies: Copies) -> Asked:
    """Return the request, and whether its tenant has the site that a station is put on."""
    match message.event.change:
        case PutStation(station=station) if station.site is not None:
            return Asked(message, copies.of(SITES).get(f"{message.event.tenant}/{station.site}") is not None)
        case _:
            return Asked(message)


def build(_: Settings) -> Stream:
    return Stream(
        name="directory",
        rules=domain,
        state=domain.State,
        inputs=(REQUESTS,),
        outputs=(DIRECTORY, SITES, REGISTRY, TOKENS, ACCESS),
        copies=(Whole(SITES),),
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
        case ChangeAccepted() | ChangeRefused():
            return of_change(event)
