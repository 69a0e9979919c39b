"""The exact frames that a station sent, and the calls that it was sent."""

import base64
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from contracts.stations import CallFailed, CallSent, Said
from services.api import examples, history
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.history import NEWEST, FramePlace, Kept
from services.api.identities import existing
from services.api.masking import masked
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers, not_found

router = APIRouter(prefix="/v1/stations", tags=["stations"], responses=answers(400, 401, 403, 422, 503))


class Repair(BaseModel):
    """What had to be repaired or overlooked in a frame."""

    rule: str
    detail: str


class Frame(BaseModel):
    """A frame as it went over the wire."""

    model_config = like(examples.FRAME)

    direction: Literal["received", "sent"]
    recorded_at: datetime = Field(description="when we had it")
    at: datetime = Field(description="when it happened, by the station's clock if it named a time")
    meaning: str = Field(description="what it was understood to be", examples=["TransactionStarted"])
    text: str | None = Field(description="the frame; null if it is no text, or is withheld")
    base64: str | None = Field(description="the frame, if it is no UTF-8")
    masked: bool = Field(
        description="uids are masked, or a frame that cannot be read is withheld: the key lacks tokens:read"
    )
    command: str | None = Field(description="the command that it belongs to")
    violations: list[Repair]
    epoch: int = Field(description="the connection: a newer one has a larger number")
    offset: int = Field(description="its place in the log")


def shown(kept: Kept, *, uids: bool) -> Frame:
    event = kept.event
    assert isinstance(event, Said | CallSent | CallFailed)
    assert event.frame is not None
    whole = event.frame.text if event.frame.base64 is None else None
    raw = base64.b64encode(event.frame.base64).decode() if event.frame.base64 is not None else None
    text = whole if uids or whole is None else masked(whole)
    violations = event.violations if isinstance(event, Said) else ()
    return Frame(
        direction="sent" if isinstance(event, CallSent) else "received",
        recorded_at=kept.recorded_at,
        at=event.at,
        meaning=type(event).__name__,
        text=text,
        base64=raw if uids else None,
        masked=text != whole or (raw is not None and not uids),
        command=getattr(event, "command", None),
        violations=[Repair(rule=each.rule, detail=each.detail) for each in violations],
        epoch=event.epoch,
        offset=kept.place.offset,
    )


@router.get("/{id}/frames", operation_id="list_frames", responses=answers(404))
async def list_frames(
    id: str,
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Frame]:
    """List a station's frames, the newest first: exactly what it sent, and the calls that it was sent.

    Uids are masked without the scope `tokens:read`; secrets are `***` for everybody.
    """
    if await behind.queries.station(caller.tenant, existing("station", id)) is None:
        raise not_found(f"station {id}")
    before = decode(cursor, FramePlace) or NEWEST
    kept = await history.frames(behind.clickhouse, caller.tenant, id, before, limit + 1)
    page, after = cut(kept, limit, lambda each: each.place)
    frames = [shown(each, uids=caller.may("tokens:read")) for each in page]
    return Page(items=frames, next_cursor=linked(request, response, after))
