"""Stations: what the directory says of them, and what they do and say."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import Row

from chassis import clock
from contracts import reference
from contracts.authorizations import TokenStatus
from contracts.event import SiteId, StationId
from contracts.reference import QUIRKS, VALUED, is_quirk
from contracts.requests import Delete, PutStation
from contracts.stations import Protocol
from services.api import examples
from services.api.access import Admin, Reader
from services.api.backends import Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Identity, Text, existing, time_zones
from services.api.pages import After, Limit, Page, after_id, cut, linked
from services.api.problems import answers, not_found
from services.api.queries import Equipped
from services.api.versions import UNCHANGED, Conditioned, stamp, tag, unchanged

router = APIRouter(prefix="/v1/stations", tags=["stations"], responses=answers(400, 401, 403, 422, 503))

EMI3 = r"^[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?[Ee][A-Za-z0-9][A-Za-z0-9*]{0,30}$"
"""An evse's id (eMI3 ID structure, part 2)."""

Tag = Annotated[Text, Field(min_length=1, max_length=64)]


def _habit(value: str) -> str:
    if not is_quirk(value):
        raise ValueError(f"no such quirk: there are {', '.join(QUIRKS)}, and with a value {', '.join(VALUED)}")
    name, _, zone = value.partition("=")
    if name in {"zone", "local_as_z"} and zone not in time_zones():
        raise ValueError("there is no such time zone: IANA's names are like Europe/Oslo")
    return value


Habit = Annotated[Text, AfterValidator(_habit), Field(min_length=1, max_length=80)]


def _distinct(things: list[Any], name: str) -> None:
    seen = [getattr(thing, name) for thing in things if getattr(thing, name) is not None]
    if len(seen) != len(set(seen)):
        raise ValueError(f"two have the same {name}")


class ConnectorWish(BaseModel):
    """A plug or socket."""

    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=1, le=999)
    type: str = Field(
        default="",
        max_length=40,
        pattern="^[A-Z0-9_]*$",
        description="OCPI 2.2.1's ConnectorType",
        examples=["IEC_62196_T2"],
    )
    max_w: int | None = Field(default=None, ge=1, le=100_000_000, description="W", examples=[22_000])


class EvseWish(BaseModel):
    """What charges one car at a time."""

    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=1, le=999)
    code: str | None = Field(default=None, pattern=EMI3, description="its eMI3 id", examples=["NO*VST*E0001*1"])
    meter_public_key: str | None = Field(
        default=None,
        max_length=1000,
        pattern="^[0-9A-Za-z+/= ]+$",
        description="of the meter that signs what it shows: hex or base64, DER or a point of its curve",
    )
    connectors: list[ConnectorWish] = Field(default=[ConnectorWish(id=1)], min_length=1, max_length=20)

    @field_validator("connectors")
    @classmethod
    def _distinct_connectors(cls, connectors: list[ConnectorWish]) -> list[ConnectorWish]:
        _distinct(connectors, "id")
        return connectors


class Habits(BaseModel):
    """How a station wants to be treated that does not do as OCPP expects."""

    model_config = ConfigDict(extra="forbid")

    ping_s: int | None = Field(
        default=None, ge=0, le=3600, description="seconds between pings; 0: none, null: what the deployment says"
    )
    answers_pings: bool = Field(
        default=True, description="false: no missing pong ends a connection, as long as the station says something"
    )
    drain: Literal["close", "abort"] = Field(
        default="close", description="abort: its connections end without a close frame, after which it never returned"
    )
    quiet_s: int = Field(
        default=0,
        ge=0,
        le=600,
        description="so many seconds after a connection or a boot nothing is asked of the station",
    )
    patience_s: int | None = Field(
        default=None, ge=5, le=300, description="seconds that a call to the station may wait for its answer; null: 30"
    )
    before_boot: Literal["heard", "refused"] = Field(
        default="heard", description="refused: what it says before an accepted boot is answered SecurityError"
    )
    any_user: bool = Field(default=False, description="its password counts, whatever user name comes with it")
    shows_costs: bool = Field(
        default=False,
        description="drivers see prices and costs on its display: it takes in the messages of the OCA's California Pricing note",
    )
    quirks: list[Habit] = Field(
        default=[],
        max_length=100,
        description=f"what it is known to do against the rules: {', '.join(QUIRKS)}, "
        f"or with a value behind an equals sign {', '.join(VALUED)}",
    )


class StationWish(BaseModel):
    """What the directory should say of a station. Its password is set apart from that."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "site": "harbour",
                    "name": "Row A, by the crane",
                    "tags": ["ac", "public"],
                    "evses": [{"id": 1, "connectors": [{"id": 1, "type": "IEC_62196_T2", "max_w": 22000}]}],
                }
            ]
        },
    )

    site: Identity | None = None
    name: Text = Field(default="", max_length=200)
    tags: list[Tag] = Field(default=[], max_length=50)
    evses: list[EvseWish] = Field(
        default=[], max_length=100, description="none: one evse for each connector that the station names"
    )
    security_profile: int = Field(
        default=1, ge=0, le=3, description="0 none, 1 password, 2 password over TLS, 3 client certificate"
    )
    protocol: Protocol | None = Field(
        default=None, description="pinned: taken for a station that names none; null: what it offers"
    )
    boot_answer: Literal["Accepted", "Pending", "Rejected"] = Field(
        default="Accepted", description="what its next boot is answered"
    )
    heartbeat_s: int = Field(default=300, ge=1, le=86_400, description="what a boot is told, in seconds")
    when_undecided: TokenStatus = Field(
        default="Accepted", description="what a token is answered when nobody decided in time"
    )
    habits: Habits = Habits()

    @model_validator(mode="after")
    def _distinct_things(self) -> Self:
        _distinct(self.evses, "id")
        _distinct(self.evses, "code")
        if len(set(self.tags)) != len(self.tags):
            raise ValueError("a tag is there twice")
        return self


class Status(BaseModel):
    """What a station said of itself, or of a connector (OCPP 1.6 §6.47)."""

    status: str = Field(examples=["Available"])
    error_code: str | None = Field(examples=["NoError"])
    info: str | None
    vendor_error_code: str | None
    since: datetime | None


class Connector(BaseModel):
    """A plug or socket."""

    id: int
    type: str | None
    max_w: int | None
    declared: bool = Field(description="the directory knows it; otherwise only the station spoke of it")
    status: Status | None


class Evse(BaseModel):
    """What charges one car at a time."""

    id: int
    code: str | None
    meter_public_key: str | None = Field(description="by which its signed meter values are verified")
    declared: bool
    connectors: list[Connector]


class Closure(BaseModel):
    """How the last connection ended."""

    code: int | None = Field(description="the WebSocket's close code")
    reason: str | None
    inferred: bool = Field(description="nobody saw it: its gateway fell silent")


class Connection(BaseModel):
    """The newest connection."""

    online: bool
    since: datetime | None = Field(description="online, or offline, since")
    protocol: str | None
    security_profile: int | None
    remote_address: str | None
    gateway: str | None
    closed: Closure | None


class Inventory(BaseModel):
    """What a station said it is, at its last boot."""

    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    iccid: str | None
    imsi: str | None
    meter_type: str | None
    meter_serial_number: str | None
    boot_status: str | None = Field(description="what that boot was answered")
    last_boot_at: datetime | None


class Station(BaseModel):
    """A station: what the directory says of it, and what it does and says."""

    model_config = like(examples.STATION)

    id: str
    site: str | None
    name: str
    tags: list[str]
    security_profile: int
    protocol: str | None
    has_password: bool
    boot_answer: str
    heartbeat_s: int
    when_undecided: str
    habits: Habits
    version: int = Field(description="counts the directory's changes; what `If-Match` compares")
    changed_at: datetime
    online: bool
    connection: Connection | None = Field(description="null: it has never connected")
    inventory: Inventory | None = Field(description="null: it has never booted")
    status: Status | None = Field(description="of the station as a whole")
    evses: list[Evse]


def shown(found: Equipped) -> Station:
    row = found.station
    return Station(
        id=row.id,
        site=row.site,
        name=row.name,
        tags=row.tags,
        security_profile=row.security_profile,
        protocol=row.pinned_protocol,
        has_password=row.has_password,
        boot_answer=row.boot_answer,
        heartbeat_s=row.heartbeat_s,
        when_undecided=row.when_undecided,
        habits=_habits(row.habits or {}),
        version=row.version,
        changed_at=row.changed_at,
        online=row.online,
        connection=_connection(row),
        inventory=Inventory.model_validate(row, from_attributes=True) if row.last_boot_at is not None else None,
        status=_status(row, row.status_since),
        evses=[_evse(evse, found) for evse in found.evses],
    )


def _habits(known: dict[str, Any]) -> Habits:
    """Return a station's habits; a quirk that there is no more is none."""
    return Habits.model_validate(known | {"quirks": [quirk for quirk in known.get("quirks", []) if is_quirk(quirk)]})


def _connection(row: Row[Any]) -> Connection | None:
    if row.epoch is None:
        return None
    closed = Closure(code=row.close_code, reason=row.close_reason, inferred=bool(row.close_inferred))
    return Connection(
        online=row.online,
        since=row.since,
        protocol=row.protocol,
        security_profile=row.connection_security_profile,
        remote_address=row.remote_address,
        gateway=row.gateway,
        closed=None if row.online else closed,
    )


def _status(row: Row[Any], since: datetime | None) -> Status | None:
    if row.status is None:
        return None
    return Status(
        status=row.status,
        error_code=row.error_code,
        info=row.info,
        vendor_error_code=row.vendor_error_code,
        since=since,
    )


def _evse(evse: Row[Any], found: Equipped) -> Evse:
    connectors = [_connector(row) for row in found.connectors if row.evse == evse.id]
    return Evse(
        id=evse.id,
        code=evse.code,
        meter_public_key=evse.meter_public_key,
        declared=evse.declared,
        connectors=connectors,
    )


def _connector(row: Row[Any]) -> Connector:
    return Connector(id=row.id, type=row.type, max_w=row.max_w, declared=row.declared, status=_status(row, row.since))


@router.get("", operation_id="list_stations")
async def list_stations(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    site: Text | None = None,
    tag: Annotated[Text | None, Query(description="only stations with this tag")] = None,
    online: bool | None = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Station]:
    """List stations in the order of their ids."""
    found = await behind.queries.stations(caller.tenant, after_id(cursor), limit + 1, site=site, tag=tag, online=online)
    page, after = cut(found, limit, lambda one: one.station.id)
    return Page(items=[shown(one) for one in page], next_cursor=linked(request, response, after))


@router.get("/{id}", operation_id="get_station", response_model=Station, responses=answers(404) | UNCHANGED)
async def get_station(
    id: str, caller: Reader, behind: Behind, request: Request, response: Response
) -> Station | Response:
    """Return one station."""
    found = await behind.queries.station(caller.tenant, existing("station", id))
    if found is None:
        raise not_found(f"station {id}")
    station = shown(found)
    return unchanged(request, response, tag(station.version, station)) or station


@router.put(
    "/{id}",
    operation_id="put_station",
    dependencies=JSON_ONLY,
    responses=answers(409, 412, 413, 415) | {201: {"model": Station, "description": "It is new"}},
)
async def put_station(
    id: Identity,
    wish: StationWish,
    caller: Admin,
    act: Acting,
    behind: Behind,
    expects: Conditioned,
    response: Response,
) -> Station:
    """Make a station so, whether it is there or not. What is left out gets its default; its password stays."""
    asked = Wish(caller.tenant, "station", id, PutStation(_record(id, wish, caller)), expects)
    made = await put(behind, act, asked)
    found = await row_of(behind, asked, made.version, lambda: behind.queries.station(caller.tenant, id))
    station = shown(found)
    stamp(response, tag(station.version, station), created=made.created)
    return station


def _record(id: str, wish: StationWish, caller: Admin) -> reference.Station:
    return reference.Station(
        at=clock.now(),
        tenant=caller.tenant,
        version=0,
        id=StationId(id),
        site=SiteId(wish.site) if wish.site is not None else None,
        name=wish.name,
        tags=tuple(wish.tags),
        evses=tuple(_declared(evse) for evse in wish.evses),
        security_profile=wish.security_profile,
        protocol=wish.protocol,
        boot_status=wish.boot_answer,
        heartbeat_s=wish.heartbeat_s,
        when_undecided=wish.when_undecided,
        habits=msgspec.convert(wish.habits.model_dump(), reference.Habits),
    )


def _declared(evse: EvseWish) -> reference.Evse:
    connectors = tuple(reference.Connector(each.id, each.type, each.max_w) for each in evse.connectors)
    return reference.Evse(evse.id, evse.code, connectors, evse.meter_public_key)


@router.delete("/{id}", operation_id="delete_station", status_code=204, responses=answers(404, 412))
async def delete_station(id: str, caller: Admin, act: Acting, behind: Behind, expects: Conditioned) -> None:
    """Forget a station: it may not connect any more. Its sessions stay."""
    await delete(behind, act, Wish(caller.tenant, "station", existing("station", id), Delete(), expects))
