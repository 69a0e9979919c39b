"""What sessions reads, by which rules, and what it writes."""

from datetime import timedelta
from typing import Any

from chassis.copies import Copies, Whole
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.authorizations import TokenDecided
from contracts.event import Message, OfStation, SiteId
from contracts.reference import Site, Station
from contracts.stations import AnsweredUndecided, MetersRead, TransactionEnded, TransactionStarted
from contracts.topics import AUTHORIZATIONS, CHARGING, GATEWAYS, READINGS, REGISTRY, SESSIONS, SITES, STATIONS
from services.sessions import domain, past, state
from services.sessions.heard import Heard

LATE = timedelta(seconds=120)
"""What is recorded later than this after it happened was kept while the station was offline (X-40)."""


def build(_: Settings) -> Stream:
    """Return the decider of sessions, not yet started."""
    return Stream(
        name="sessions",
        rules=domain,
        state=state.State,
        inputs=(STATIONS, AUTHORIZATIONS),
        outputs=(SESSIONS, READINGS, CHARGING),
        answers=(GATEWAYS,),
        copies=(Whole(REGISTRY), Whole(SITES)),
        regard=regard,
        apart={"closed": state.blocks, "reports": None, "past": past.blocks},
        hears=(TransactionStarted, MetersRead, TransactionEnded, AnsweredUndecided, TokenDecided),
    )


def regard(message: Message[Any], copies: Copies) -> Heard[Any]:
    """Put its site beside a start, to be frozen in the session."""
    event = message.event
    if not isinstance(event, TransactionStarted):
        return Heard(event, message.id)
    offline = message.recorded_at - event.at > LATE
    site = _site(event, copies)
    if site is None:
        return Heard(event, message.id, offline)
    return Heard(event, message.id, offline, site, _zone(event, site, copies))


def _site(event: OfStation, copies: Copies) -> SiteId | None:
    match copies.of(REGISTRY).get(f"{event.tenant}/{event.station}"):
        case Station(site=site):
            return site
        case _:
            return None


def _zone(event: OfStation, site: SiteId, copies: Copies) -> str:
    match copies.of(SITES).get(f"{event.tenant}/{site}"):
        case Site(time_zone=zone):
            return zone
        case _:
            return "UTC"
