"""Commands: what somebody asks of a station, and what becomes of it."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from contracts import tables
from contracts.commands import CommandIssued
from contracts.event import CommandId, StationId, TenantId, derived_id
from contracts.operations import Task
from contracts.topics import COMMANDS
from services.api.access import Reader
from services.api.backends import Backends, Behind
from services.api.changes import Act, of_request, rounds
from services.api.changes import shown as until_shown
from services.api.identities import existing
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers, not_found
from services.api.queries import Asked

router = APIRouter(prefix="/v1/commands", tags=["commands"], responses=answers(400, 401, 403, 422, 503))

AT_REST = ("rejected", "failed", "expired", "fulfilled")
"""States after which nothing more is expected; an answer that comes late can still replace one."""

State = Literal["requested", "queued", "sent", "accepted", "rejected", "failed", "expired", "fulfilled"]
Wait = Annotated[
    float, Query(ge=0, le=25, allow_inf_nan=False, description="seconds to wait for the command to come to rest")
]


class StartCharge(BaseModel):
    """Begin to charge with this token."""

    type: Literal["StartCharge"]
    token: str
    evse: int | None = None
    connector: int | None = None


class StopCharge(BaseModel):
    """End this session's transaction."""

    type: Literal["StopCharge"]
    session: str
    transaction: str


class TransferData(BaseModel):
    """Say this, in words of the vendor's."""

    type: Literal["TransferData"]
    vendor: str
    message: str | None = None
    data: str | None = None


class ShowPrice(BaseModel):
    """Show what charging costs to whoever has presented this token."""

    type: Literal["ShowPrice"]
    token: str
    text: str


class ShowRunningCost(BaseModel):
    """Show what a session comes to so far."""

    type: Literal["ShowRunningCost"]
    session: str
    transaction: str
    cost: str = Field(description="with taxes")
    as_of: datetime


class ShowFinalCost(BaseModel):
    """Show what a session came to."""

    type: Literal["ShowFinalCost"]
    session: str
    transaction: str
    cost: str = Field(description="with taxes")
    text: str


AnyTask = StartCharge | StopCharge | TransferData | ShowPrice | ShowRunningCost | ShowFinalCost


class Step(BaseModel):
    """A step in a command's life."""

    at: datetime
    state: State
    reason: str | None = None
    detail: str | None = None
    late: bool = False


class Command(BaseModel):
    """What is asked of a station. It rests when it is rejected, failed, expired or fulfilled."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "0b0e5c0e-52a8-5f43-9d3c-0d6a4b9b3f10",
                    "station": "RDAM 123",
                    "task": {"type": "StartCharge", "token": "9f86d081884c7d659a2feaa0c55ad015", "evse": 1},
                    "state": "fulfilled",
                    "reason": None,
                    "detail": None,
                    "late": False,
                    "session": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
                    "transaction": "17",
                    "requested_by": "4be19f0a62c7",
                    "created_at": "2026-03-01T08:00:00Z",
                    "expires_at": "2026-03-01T08:01:00Z",
                    "updated_at": "2026-03-01T08:00:07Z",
                    "history": [
                        {"at": "2026-03-01T08:00:00Z", "state": "requested"},
                        {"at": "2026-03-01T08:00:07Z", "state": "fulfilled"},
                    ],
                }
            ]
        }
    )

    id: str
    station: str
    task: Annotated[AnyTask, Field(discriminator="type")] | None
    state: State
    reason: str | None = Field(description="why it was rejected or failed")
    detail: str | None = Field(description="what to do about it, for people")
    late: bool = Field(description="the state is an answer that came after its time")
    session: str | None = Field(description="that it is about, or that came of it")
    transaction: str | None
    requested_by: str | None = Field(description="the id of the API key, or the service that asked by itself")
    created_at: datetime | None
    expires_at: datetime | None
    updated_at: datetime
    history: list[Step]


def shown(row: Row[Any]) -> Command:
    return Command(
        id=row.id,
        station=row.station,
        task=row.task,
        state=row.state,
        reason=row.reason,
        detail=row.detail,
        late=row.late,
        session=row.session,
        transaction=row.transaction_id,
        requested_by=row.requested_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        updated_at=row.updated_at,
        history=row.history,
    )


async def rested(behind: Backends, row: Row[Any], wait_s: float) -> Row[Any]:
    """Return the command when it has come to rest, or as it is after `wait_s` seconds."""
    async for _ in rounds(behind, wait_s):
        if row.state in AT_REST:
            break
        row = await behind.queries.thing(tables.commands, row.tenant, row.id) or row
    return row


async def earlier(behind: Backends, act: Act) -> Row[Any] | None:
    """Return the command that this request gave before, if it is a repetition."""
    return None if act.key is None else await of_request(behind, act, tables.commands, act.id("command"))


async def issued(behind: Backends, act: Act, station: str, task: Task, *, expires_in_s: int) -> Row[Any]:
    """Ask something of a station, and return the command once the view shows it."""
    id, tenant, now = CommandId(act.id("command")), act.caller.tenant, clock.now()
    command = CommandIssued(
        at=now,
        tenant=TenantId(tenant),
        station=StationId(station),
        command=id,
        task=task,
        requested_by=act.caller.key,
        expires_at=now + timedelta(seconds=expires_in_s),
        fingerprint=act.fingerprint,
    )
    await behind.journal.append(COMMANDS, command, derived_id(f"{tenant}/{id}", "api", act.fingerprint), act.trace)
    row: Row[Any] = await until_shown(behind, lambda: of_request(behind, act, tables.commands, id))
    return row


async def answered(behind: Backends, response: Response, row: Row[Any], wait_s: float) -> Command:
    """Return the command as a request that gave it is answered."""
    response.headers["Location"] = f"/v1/commands/{quote(row.id)}"
    return shown(await rested(behind, row, wait_s))


@router.get("", operation_id="list_commands", responses=answers(404))
async def list_commands(
    station: Annotated[str, Query(description="whose")],
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Command]:
    """List a station's commands, the newest first."""
    whose = existing("station", station)
    rows = await behind.queries.commands(caller.tenant, whose, decode(cursor, Asked), limit + 1)
    page, then = cut(rows, limit, lambda row: Asked(row.created_at, row.id))
    return Page(items=[shown(row) for row in page], next_cursor=linked(request, response, then))


@router.get("/{id}", operation_id="get_command", responses=answers(404))
async def get_command(id: str, caller: Reader, behind: Behind, wait: Wait = 0) -> Command:
    """Return one command; with `wait`, once it rests."""
    row = await behind.queries.thing(tables.commands, caller.tenant, existing("command", id))
    if row is None:
        raise not_found(f"command {id}")
    return shown(await rested(behind, row, wait))
