"""What meters signed during a session, byte for byte: a driver can check it with software of their own (CDR-08)."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.api import examples, history
from services.api.access import Reader
from services.api.backends import Behind
from services.api.examples import like
from services.api.history import FIRST_SIGNED, SignedPlace
from services.api.masking import masked_text
from services.api.pages import After, Limit, Page, cut, decode, linked
from services.api.problems import answers
from services.api.sessions import known

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], responses=answers(400, 401, 403, 422, 503))


class SignedMeterValue(BaseModel):
    """What a meter signed (OCPP 1.6 §7.43 SignedData)."""

    model_config = like(examples.SIGNED_VALUE)

    at: datetime = Field(description="by the station's clock")
    evse: int
    context: str = Field(description="OCPP's ReadingContext", examples=["Transaction.End"])
    data: str = Field(description="as it came: OCMF, EDL, ALFEN's, or whatever the station calls signed")
    sha256: str = Field(description="of the data as it came, in hex, by which a CDR's `signed` names it")
    masked: bool = Field(description="whether uids in the data are masked, so that its signature no longer fits")
    recorded_at: datetime = Field(description="when we learnt of it")


def shown(row: dict[str, Any], *, uids: bool) -> SignedMeterValue:
    whole = row["data"]
    data = whole if uids else masked_text(whole)
    return SignedMeterValue(
        at=row["time"],
        evse=row["evse"],
        context=row["context"],
        data=data,
        sha256=sha256(whole.encode()).hexdigest(),
        masked=data != whole,
        recorded_at=row["recorded_time"],
    )


@router.get("/{id}/signed-values", operation_id="list_signed_values", responses=answers(404))
async def list_signed_values(
    id: str,
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[SignedMeterValue]:
    """List what meters signed during a session, by the station's clock. It is kept for ever.

    Without the scope `tokens:read`, uids in it are masked, which breaks the signature.
    """
    session = await known(behind, caller.tenant, id)
    after = decode(cursor, SignedPlace) or FIRST_SIGNED
    rows = await history.signed_values(behind.clickhouse, caller.tenant, session.station, id, after, limit + 1)
    page, then = cut(rows, limit, lambda row: SignedPlace(row["at_us"], row["id"]))
    items = [shown(row, uids=caller.may("tokens:read")) for row in page]
    return Page(items=items, next_cursor=linked(request, response, then))
