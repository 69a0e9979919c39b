"""Repairs of sessions: what somebody wanted put right, and what became of it."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import Row

from contracts import tables
from services.api import examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.identities import existing
from services.api.problems import answers, not_found

router = APIRouter(prefix="/v1/repairs", tags=["sessions"], responses=answers(400, 401, 403, 404, 422, 503))


class Repair(BaseModel):
    """What somebody wanted put right, and what became of it."""

    model_config = like(examples.REPAIR)

    id: str
    session: str
    station: str
    action: Literal["attach", "end", "discard"]
    state: Literal["requested", "done", "refused"] = Field(description="requested: not decided yet")
    to: str | None = Field(description="the session that a stop in quarantine was the end of")
    reason: str | None = Field(description="why it was asked for; null for a refused one")
    refused_because: str | None = Field(examples=["wrong_state"])
    detail: str | None = Field(description="of a refusal, for people")
    requested_by: str | None = Field(description="the id of the API key")
    decided_at: datetime | None
    energy_before_wh: int | None = Field(description="of the session, or of the one that a stop was attached to")
    energy_after_wh: int | None


def shown(row: Row[Any]) -> Repair:
    return Repair(
        id=row.id,
        session=row.session,
        station=row.station,
        action=row.action,
        state="done" if row.done else "refused",
        to=row.attached_to,
        reason=row.reason if row.done else None,
        refused_because=None if row.done else row.reason,
        detail=row.detail,
        requested_by=row.requested_by,
        decided_at=row.decided_at,
        energy_before_wh=row.energy_before_wh,
        energy_after_wh=row.energy_after_wh,
    )


@router.get("/{id}", operation_id="get_repair")
async def get_repair(id: str, caller: Reader, behind: Behind) -> Repair:
    """Return one repair, as soon as it is decided; 404 until then."""
    row = await behind.queries.thing(tables.repairs, caller.tenant, existing("repair", id))
    if row is None:
        raise not_found(f"repair {id} that is decided")
    return shown(row)
