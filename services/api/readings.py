"""What the meters showed during a session."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.api import examples, history
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.history import FIRST, ReadingPlace
from services.api.masking import masked_text
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers
from services.api.sessions import known

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], responses=answers(400, 401, 403, 422, 503))


class Reading(BaseModel):
    """One value of a meter (OCPP 1.6 §7.43)."""

    model_config = like(examples.READING)

    at: datetime = Field(description="by the station's clock")
    evse: int
    connector: int
    measurand: str = Field(examples=["Energy.Active.Import.Register"])
    value: str = Field(
        description="a decimal number as text, so that it is exact; or signed data as said", examples=["8000"]
    )
    unit: str = Field(examples=["Wh"])
    phase: str | None
    context: str = Field(examples=["Sample.Periodic"])
    location: str = Field(examples=["Outlet"])
    signed: bool
    recorded_at: datetime = Field(description="when we learnt of it")


def shown(row: dict[str, Any], *, uids: bool) -> Reading:
    said = row["said"]
    return Reading(
        at=row["at"],
        evse=row["evse"],
        connector=row["connector"],
        measurand=row["measurand"],
        value=said if uids or not row["signed"] else masked_text(said),
        unit=row["unit"],
        phase=row["phase"] or None,
        context=row["context"],
        location=row["location"],
        signed=row["signed"],
        recorded_at=row["recorded_time"],
    )


@router.get("/{id}/readings", operation_id="list_readings", responses=answers(404))
async def list_readings(
    id: str,
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Reading]:
    """List a session's readings by the station's clock.

    Without the scope `tokens:read`, uids in signed data are masked, which breaks the signature.
    """
    session = await known(behind, caller.tenant, id)
    after = decode(cursor, ReadingPlace) or FIRST
    rows = await history.readings(behind.clickhouse, caller.tenant, session.station, id, after, limit + 1)
    page, then = cut(rows, limit, lambda row: ReadingPlace(row["at_us"], row["event"], row["number"]))
    items = [shown(row, uids=caller.may("tokens:read")) for row in page]
    return Page(items=items, next_cursor=linked(request, response, then))
