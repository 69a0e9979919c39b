"""Sessions: what was charged and is charging, how to hear of every change, and how to start and stop a charge."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from sqlalchemy import Row

from contracts import tables
from contracts.event import SessionId, TokenId, TransactionId
from contracts.operations import StartCharge, StopCharge
from services.api import commands, examples
from services.api.access import Operator, Reader
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting
from services.api.commands import Command, Wait
from services.api.direct import Direct
from services.api.examples import like
from services.api.identities import Identity, Text, existing
from services.api.pages import After, Limit, decode, encode, linked
from services.api.problems import Problem, answers, invalid, not_found
from services.api.queries import Change, Sought
from services.api.repairs import Repair
from services.api.repairs import shown as repair
from services.api.versions import UNCHANGED, tag, unchanged

router = APIRouter(
    prefix="/v1/sessions", tags=["sessions"], responses=answers(400, 401, 403, 422, 503), route_class=Direct
)

State = Literal["pending", "charging", "ended", "presumed_ended", "quarantined", "attached", "discarded"]
"""A stop in quarantine that was found to be another session's end is attached; what counts for nothing is discarded."""


class Session(BaseModel):
    """A charging session: exactly one per transaction, however often, late or out of order it was reported."""

    model_config = like(examples.SESSION)

    id: str
    station: str
    evse: int | None
    connector: int | None
    site: str | None = Field(description="at its start")
    time_zone: str | None = Field(description="the site's at its start, IANA")
    transaction: str | None = Field(description="what the station was told to call it")
    token_id: str | None
    masked_uid: str | None
    stop_token_id: str | None
    stop_masked_uid: str | None
    authorization_status: str | None = Field(description="what was decided of the token (OCPP 1.6 §7.2)")
    reservation: int | None
    state: State
    started_at: datetime | None
    ended_at: datetime | None
    meter_start_wh: int | None
    meter_stop_wh: int | None
    energy_wh: int | None = Field(description="so far, or in the end; null: nobody knows, which is not 0")
    energy_source: str | None = Field(
        description="what the energy was taken from: register, samples, relative (samples that count from its start), "
        "intervals, or a person"
    )
    attached_to: str | None = Field(description="the session that this stop was the end of, as somebody has found")
    reason: str | None = Field(description="of its end, or of its quarantine")
    flags: list[str] = Field(description="what a person or a bill must know of it")
    final: bool = Field(description="ended by the station's own stop, and the energy is known")
    revision: int = Field(description="grows with every change")
    updated_at: datetime = Field(description="when we learnt of the last change")


class WholeSession(Session):
    """A charging session, and what was put right in it by hand."""

    model_config = like(examples.WHOLE_SESSION)

    repairs: list[Repair] = Field(description="done or refused, in the order in which they were decided")


class Changes(BaseModel):
    """Sessions in the order of their changes."""

    items: list[Session]
    next_cursor: str = Field(description="always there: what changes later, or shows later, comes after it")


class EvseAddress(BaseModel):
    """An evse, or one of its connectors. As text: `STATION/EVSE` or `STATION/EVSE/CONNECTOR`."""

    model_config = ConfigDict(extra="forbid")

    station: Identity
    evse: int | None = Field(default=None, ge=1, le=999, description="none: the station chooses")
    connector: int | None = Field(default=None, ge=1, le=999)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        station, *numbers = value.split("/")
        if not 1 <= len(numbers) <= 2 or not all(_is_number(number) for number in numbers):
            raise ValueError("should be STATION/EVSE or STATION/EVSE/CONNECTOR, with numbers after the station")
        return {"station": station} | dict(zip(("evse", "connector"), map(int, numbers), strict=False))

    @model_validator(mode="after")
    def _whole(self) -> "EvseAddress":
        if self.connector is not None and self.evse is None:
            raise ValueError("a connector is one of an evse: name that too")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        as_object = handler.resolve_ref_schema(handler(schema))
        text = {"type": "string", "pattern": "^[^/]{1,48}(/[1-9][0-9]{0,2}){1,2}$", "examples": ["RDAM 123/1"]}
        return {"title": "EvseAddress", "anyOf": [text, as_object]}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


class StartWish(BaseModel):
    """Where to charge, and with which token."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"evse": "RDAM 123/1", "token_id": "9f86d081884c7d659a2feaa0c55ad015"}]},
    )

    evse: EvseAddress
    token_id: str = Field(pattern="^[0-9a-f]{32}$")
    expires_in_s: int = Field(default=60, ge=5, le=3600, description="how long it may take until the station answers")


def said(response: Response, text: str) -> Response:
    """Return an answer of JSON, with the headers that have been set."""
    return Response(text, headers=dict(response.headers), media_type="application/json")


async def known(behind: Backends, tenant: str, id: str) -> Row[Any]:
    """Return the session's row, or raise that there is none."""
    row: Row[Any] | None = await behind.queries.thing(tables.sessions, tenant, existing("session", id))
    if row is None:
        raise not_found(f"session {id}")
    return row


@router.get("", operation_id="list_sessions", response_model=Changes)
async def list_sessions(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    updated_after: Annotated[
        AwareDatetime | None,
        Query(description="with what changed then or later; a cursor knows better, and goes first"),
    ] = None,
    state: Annotated[list[State] | None, Query(description="one of these")] = None,
    site: Text | None = None,
    station: Text | None = None,
    token: Annotated[Text | None, Query(description="the id of the token that started it")] = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Response:
    """List sessions in the order of their changes.

    Every page, also an empty one, names a next: keep asking for that, and no change is ever missed, however late it shows. A
    session that changes again comes again. With a filter you hear of a session while it matches.
    """
    sought = Sought(tuple(dict.fromkeys(state or ())), site, station, token)
    after = decode(cursor, Change) or Change(updated_after, {})
    items, then = await behind.queries.changed_sessions(caller.tenant, sought, after, limit)
    linked(request, response, next_cursor := encode(then))
    return said(response, f'{{"items":[{",".join(items)}],"next_cursor":"{next_cursor}"}}')


@router.get("/{id}", operation_id="get_session", response_model=WholeSession, responses=answers(404) | UNCHANGED)
async def get_session(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Response:
    """Return one session, with what was put right in it."""
    found = await behind.queries.session(caller.tenant, existing("session", id))
    if found is None:
        raise not_found(f"session {id}")
    repairs = ",".join([repair(each).model_dump_json() for each in found.repairs])
    whole = f'{found.text.removesuffix("}")},"repairs":[{repairs}]}}'
    return unchanged(request, response, tag(found.revision, whole.encode())) or said(response, whole)


@router.post("", operation_id="start_charge", status_code=202, dependencies=JSON_ONLY, responses=answers(413, 415))
async def start_charge(
    wish: StartWish, caller: Operator, act: Acting, behind: Behind, response: Response, wait: Wait = 0
) -> Command:
    """Ask a station to start a charge. The command says what became of it; its `session` is the one that came of it."""
    row = await commands.earlier(behind, act)
    if row is None:
        await _check(behind, caller.tenant, wish)
        task = StartCharge(TokenId(wish.token_id), wish.evse.evse, wish.evse.connector)
        row = await commands.issued(behind, act, wish.evse.station, task, expires_in_s=wish.expires_in_s)
    return await commands.answered(behind, response, row, wait)


async def _check(behind: Backends, tenant: str, wish: StartWish) -> None:
    if await behind.queries.station(tenant, wish.evse.station) is None:
        raise invalid("#/evse", f"there is no station {wish.evse.station}")
    token = await behind.queries.thing(tables.tokens, tenant, wish.token_id)
    if token is None:
        raise invalid("#/token_id", "there is no such token: register it first")
    if token.uid is None:
        raise invalid("#/token_id", "only the token's id is known: register it with its uid first")


@router.delete("/{id}/charging", operation_id="stop_charge", status_code=202, responses=answers(404, 409))
async def stop_charge(
    id: str, caller: Operator, act: Acting, behind: Behind, response: Response, wait: Wait = 0
) -> Command:
    """Ask the station to stop the charge of a session. The session ends when the station says so."""
    row = await commands.earlier(behind, act)
    if row is None:
        session = await known(behind, caller.tenant, id)
        if session.state not in {"pending", "charging"} or session.transaction_id is None:
            raise Problem("not_charging", f"the session is {session.state.replace('_', ' ')}")
        task = StopCharge(SessionId(id), TransactionId(session.transaction_id))
        row = await commands.issued(behind, act, session.station, task, expires_in_s=60)
    return await commands.answered(behind, response, row, wait)
