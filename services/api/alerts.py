"""What a person should look at: alerts, open and cleared."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from contracts import tables
from contracts.alerts import AlertRule
from services.api import examples
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers, not_found
from services.api.queries import Asked

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], responses=answers(400, 401, 403, 422, 503))


class Alert(BaseModel):
    """Something that happened too often in too short a time. It is raised once and cleared once."""

    model_config = like(examples.ALERT)

    id: str
    rule: str = Field(
        description="such as repeated_faults, flapping_connection, refused_starts, failed_starts or charging_refused"
    )
    station: str
    evse: int | None = Field(description="null: the station as a whole")
    connector: int | None
    state: str = Field(description="open or cleared")
    raised_at: datetime
    since: datetime = Field(description="when the first of what was counted happened")
    count: int
    within_s: int = Field(description="the window's length: so much quiet clears the alert again")
    detail: str
    cleared_at: datetime | None
    cleared_reason: str | None = Field(description="quiet or a_day_has_passed")


def _alert(row: Row[Any]) -> Alert:
    mapped = row._mapping  # noqa: SLF001 - the public way to a column called count, as a row has a method of that name
    return Alert(**{name: mapped[name] for name in Alert.model_fields})


@router.get("", operation_id="list_alerts")
async def list_alerts(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    state: Annotated[Literal["open", "cleared"] | None, Query(description="only those that are so")] = None,
    station: Text | None = None,
    rule: Annotated[AlertRule | None, Query(description="only of this rule")] = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Alert]:
    """List alerts, the newest first."""
    after = decode(cursor, Asked)
    rows = await behind.queries.alerts(caller.tenant, after, limit + 1, state=state, station=station, rule=rule)
    page, then = cut(rows, limit, lambda row: Asked(row.raised_at, row.id))
    return Page(items=[_alert(row) for row in page], next_cursor=linked(request, response, then))


@router.get("/{id}", operation_id="get_alert", responses=answers(404))
async def get_alert(id: str, caller: Reader, behind: Behind) -> Alert:
    """Return one alert."""
    row = await behind.queries.thing(tables.alerts, caller.tenant, existing("alert", id))
    if row is None or row.raised_at is None:
        raise not_found(f"alert {id}")
    return _alert(row)
