"""Sites: places with stations."""

from datetime import datetime
from typing import Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row

from chassis import clock
from contracts import reference, tables
from contracts.event import SiteId
from contracts.requests import Delete, PutSite
from services.api import examples
from services.api.access import Admin, Reader
from services.api.backends import Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Currency, Identity, Text, TimeZone, existing
from services.api.pages import After, Limit, Page, after_id, cut, linked
from services.api.problems import Problem, answers, not_found
from services.api.versions import UNCHANGED, Conditioned, stamp, tag, unchanged

router = APIRouter(prefix="/v1/sites", tags=["sites"], responses=answers(400, 401, 403, 422, 503))


class SiteWish(BaseModel):
    """What a site should be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Harbour car park",
                    "time_zone": "Europe/Oslo",
                    "currency": "NOK",
                    "address": "Havnegata 1, 0150 Oslo",
                    "latitude": 59.9075,
                    "longitude": 10.7531,
                }
            ]
        },
    )

    name: Text = Field(min_length=1, max_length=200)
    time_zone: TimeZone = Field(description="IANA")
    currency: Currency = Field(default="EUR", description="ISO 4217")
    address: Text = Field(default="", max_length=500)
    latitude: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False, description="WGS 84, degrees")
    longitude: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    without_tariff: reference.WithoutTariff = Field(
        default="charge", description="what becomes of a start that no tariff fits: it has no price, or it is blocked"
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        return self


class Site(BaseModel):
    """A place with stations. Its zone says when its days begin."""

    model_config = like(examples.SITE)

    id: str
    name: str
    time_zone: str
    currency: str
    address: str
    latitude: float | None
    longitude: float | None
    without_tariff: reference.WithoutTariff
    version: int = Field(description="counts its changes; what `If-Match` compares")
    changed_at: datetime


def shown(row: Row[Any]) -> Site:
    return Site.model_validate(row, from_attributes=True)


@router.get("", operation_id="list_sites")
async def list_sites(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[Site]:
    """List sites in the order of their ids."""
    rows = await behind.queries.page(tables.sites, caller.tenant, after_id(cursor), limit + 1)
    page, after = cut(rows, limit, lambda row: row.id)
    return Page(items=[shown(row) for row in page], next_cursor=linked(request, response, after))


@router.get("/{id}", operation_id="get_site", response_model=Site, responses=answers(404) | UNCHANGED)
async def get_site(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Site | Response:
    """Return one site."""
    row = await behind.queries.thing(tables.sites, caller.tenant, existing("site", id))
    if row is None:
        raise not_found(f"site {id}")
    return unchanged(request, response, tag(row.version)) or shown(row)


@router.put(
    "/{id}",
    operation_id="put_site",
    dependencies=JSON_ONLY,
    responses=answers(409, 412, 413, 415) | {201: {"model": Site, "description": "It is new"}},
)
async def put_site(
    id: Identity, wish: SiteWish, caller: Admin, act: Acting, behind: Behind, expects: Conditioned, response: Response
) -> Site:
    """Make a site so, whether it is there or not. What is left out gets its default."""
    site = reference.Site(
        at=clock.now(),
        tenant=caller.tenant,
        version=0,
        id=SiteId(id),
        **wish.model_dump(),
    )
    asked = Wish(caller.tenant, "site", id, PutSite(site), expects)
    made = await put(behind, act, asked)
    row = await row_of(behind, asked, made.version, lambda: behind.queries.thing(tables.sites, caller.tenant, id))
    stamp(response, tag(row.version), created=made.created)
    return shown(row)


@router.delete("/{id}", operation_id="delete_site", status_code=204, responses=answers(404, 409, 412))
async def delete_site(id: str, caller: Admin, act: Acting, behind: Behind, expects: Conditioned) -> None:
    """Forget a site. Its sessions stay; its stations must have gone first."""
    if await behind.queries.has_stations(caller.tenant, existing("site", id)):
        raise Problem("site_in_use", f"delete the stations of {id} first, or give them another site")
    await delete(behind, act, Wish(caller.tenant, "site", id, Delete(), expects))
