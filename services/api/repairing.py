"""Putting a session right by hand: asked of the rules of sessions, and kept with who asked, when and why."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from contracts import commands as asked
from contracts import tables
from contracts.commands import SessionRepairRequested
from contracts.event import RepairId, SessionId, StationId, derived_id
from contracts.topics import COMMANDS
from services.api.access import Operator
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, Wait, of_request, reused, seen
from services.api.identities import Text
from services.api.problems import Problem, answers, invalid
from services.api.repairs import Repair, shown
from services.api.sessions import known

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], responses=answers(400, 401, 403, 404, 422, 503))

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
"""How far a person's clock may be ahead of ours."""
LARGEST_WH = 10**12


def _moment(value: datetime) -> datetime:
    if not EARLIEST <= value <= clock.now() + AHEAD:
        raise ValueError("should not lie in the future, nor before 2000")
    return value.astimezone(UTC)


Reason = Annotated[Text, Field(min_length=1, max_length=500, description="why, for whoever audits it")]


class Attach(BaseModel):
    """A stop in quarantine is the end of session `to`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "attach",
                    "to": "7d444840-9dc0-51d1-b245-5ffdce74fad2",
                    "reason": "the station named transaction 0 after its reset",
                }
            ]
        },
    )

    action: Literal["attach"]
    to: Text = Field(min_length=1, max_length=64, description="the id of the session that it ended")
    reason: Reason


class End(BaseModel):
    """The session ended at this moment, with this register; without one its last sample counts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "end",
                    "ended_at": "2026-03-01T09:12:00Z",
                    "meter_wh": 8000,
                    "reason": "read from the display; the station was replaced",
                }
            ]
        },
    )

    action: Literal["end"]
    ended_at: Annotated[AwareDatetime, AfterValidator(_moment)]
    meter_wh: int | None = Field(default=None, ge=0, le=LARGEST_WH, strict=True)
    reason: Reason


class Discard(BaseModel):
    """The session, or the stop in quarantine, counts for nothing: its energy is nobody's."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "discard", "reason": "a test by the installer"}]}
    )

    action: Literal["discard"]
    reason: Reason


RepairWish = Annotated[Attach | End | Discard, Body(discriminator="action")]


def _do(wish: Attach | End | Discard) -> asked.Repair:
    match wish:
        case Attach():
            return asked.Attach(SessionId(wish.to))
        case End():
            return asked.End(wish.ended_at, wish.meter_wh)
        case Discard():
            return asked.Discard()


@router.post(
    "/{id}/repair",
    operation_id="repair_session",
    dependencies=JSON_ONLY,
    responses=answers(409, 413, 415) | {202: {"model": Repair, "description": "Nobody has decided it yet"}},
)
async def repair_session(
    id: str,
    wish: RepairWish,
    caller: Operator,
    act: Acting,
    behind: Behind,
    response: Response,
    wait: Wait = 10,
) -> Repair:
    """Put a session right by hand. It is decided by the rules of sessions, and kept for ever with who asked, when and why.

    The answer says what came of it, or 202 if nothing has within `wait` seconds. A refusal by the rules is a problem.
    """
    repair = RepairId(act.id("repair"))
    response.headers["Location"] = f"/v1/repairs/{quote(repair)}"
    row = await _outcome(behind, act, repair) if act.key is not None else None
    if row is None:
        session = await known(behind, caller.tenant, id)
        await _ask(behind, act, repair, session, wish)
        row = await seen(behind, wait, lambda: _outcome(behind, act, repair))
        if row is None:
            response.status_code = 202
            return _requested(repair, session, wish, caller.key)
    if not row.done:
        raise _refusal(row)
    return shown(row)


async def _ask(behind: Backends, act: Act, repair: RepairId, session: Row[Any], wish: Attach | End | Discard) -> None:
    request = SessionRepairRequested(
        at=clock.now(),
        tenant=act.caller.tenant,
        station=StationId(session.station),
        repair=repair,
        session=SessionId(session.id),
        do=_do(wish),
        reason=wish.reason,
        requested_by=act.caller.key,
        fingerprint=act.fingerprint,
    )
    ce_id = derived_id(f"{act.caller.tenant}/{repair}", "api", act.fingerprint)
    await behind.journal.append(COMMANDS, request, ce_id, act.trace)


async def _outcome(behind: Backends, act: Act, repair: RepairId) -> Row[Any] | None:
    return await of_request(behind, act, tables.repairs, repair)


def _requested(repair: RepairId, session: Row[Any], wish: Attach | End | Discard, key: str) -> Repair:
    return Repair(
        id=repair,
        session=session.id,
        station=session.station,
        action=wish.action,
        state="requested",
        to=wish.to if isinstance(wish, Attach) else None,
        reason=wish.reason,
        refused_because=None,
        detail=None,
        requested_by=key,
        decided_at=None,
        energy_before_wh=None,
        energy_after_wh=None,
    )


_AT = {"unknown_target": "#/to", "meter_went_back": "#/meter_wh", "ends_before_start": "#/ended_at"}


def _refusal(row: Row[Any]) -> Problem:
    """Return a refusal by the rules as a problem."""
    detail = row.detail or row.reason.replace("_", " ")
    match row.reason:
        case "idempotency_key_reused":
            return reused()
        case "unknown_target" | "meter_went_back" | "ends_before_start":
            return invalid(_AT[row.reason], detail)
        case _:
            return Problem("repair_refused", detail)
