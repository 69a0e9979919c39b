"""Words that only a station and its vendor know, said to it as a command (OCPP 1.6 §5.6)."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from contracts.operations import TransferData
from services.api import commands
from services.api.access import Operator
from services.api.backends import Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting
from services.api.commands import Command, Wait
from services.api.identities import Text, existing
from services.api.problems import answers, not_found

router = APIRouter(prefix="/v1/stations", tags=["stations"], responses=answers(400, 401, 403, 404, 422, 503))


class DataTransferWish(BaseModel):
    """What to say: all but `vendor` and `message` is the vendor's affair. Whatever `data` holds is kept, and seen by whoever may read."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"vendor": "com.voltmaker", "message": "SetBrightness", "data": '{"percent": 40}'}]
        },
    )

    vendor: Text = Field(min_length=1, max_length=255)
    message: Text | None = Field(default=None, max_length=50)
    data: Text | None = Field(default=None, max_length=16_384)
    expires_in_s: int = Field(default=60, ge=5, le=3600, description="after which it is not sent any more")


@router.post(
    "/{id}/data-transfers",
    operation_id="transfer_data",
    status_code=202,
    dependencies=JSON_ONLY,
    responses=answers(413, 415),
)
async def transfer_data(
    id: str, wish: DataTransferWish, caller: Operator, act: Acting, behind: Behind, response: Response, wait: Wait = 0
) -> Command:
    """Say something to a station in its vendor's words. A rejected command's `reason` is the station's, such as UnknownVendorId."""
    row = await commands.earlier(behind, act)
    if row is None:
        station = existing("station", id)
        if await behind.queries.station(caller.tenant, station) is None:
            raise not_found(f"station {station}")
        task = TransferData(wish.vendor, wish.message, wish.data)
        row = await commands.issued(behind, act, station, task, expires_in_s=wish.expires_in_s)
    return await commands.answered(behind, response, row, wait)
