"""Tariffs: what charging costs, in versions that never change, and where and for whom each counts."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row

from chassis import clock
from contracts import reference, tables
from contracts.requests import Delete, PutTariff, PutTariffAssignment
from contracts.tariffs import Policy, Tariff
from services.api import examples
from services.api.access import Admin, Reader
from services.api.backends import Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Identity, Text, existing
from services.api.pages import After, Limit, Page, after_id, cut, decode, linked
from services.api.problems import answers, invalid, not_found
from services.api.versions import UNCHANGED, Conditioned, stamp, tag, unchanged
from services.billing.lint import unheard_of, warnings
from services.billing.tariff import faults

POLICY = {field.name for field in msgspec.structs.fields(Policy)}

router = APIRouter(prefix="/v1", tags=["prices"], responses=answers(400, 401, 403, 422, 503))


class TariffWish(BaseModel):
    """What a tariff should be from `valid_from` on; without one, from now on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"tariff": examples.TARIFF, "policy": {"idle_grace_s": 900}}]},
    )

    tariff: dict[str, Any] = Field(description="in OCPI 2.3.0's shape (mod_tariffs); its `id` may be left out")
    policy: dict[str, Any] = Field(default_factory=dict, description="grace, debounce, discounts: see docs/pricing.md")
    valid_from: AwareDatetime | None = None


class Remark(BaseModel):
    """Something that is allowed, and perhaps not meant."""

    rule: str = Field(examples=["unpriced_dimension"])
    detail: str


class TariffShown(BaseModel):
    """A version of a tariff. It never changes and is never deleted: what was priced by it stays."""

    model_config = like(examples.TARIFF_SHOWN)

    id: str
    version: int
    valid_from: datetime
    changed_at: datetime
    tariff: dict[str, Any]
    policy: dict[str, Any]
    warnings: list[Remark]


def _shown(row: Row[Any]) -> TariffShown:
    tariff = msgspec.convert(row.tariff, Tariff, strict=False)
    return TariffShown(
        id=row.id,
        version=row.version,
        valid_from=row.valid_from,
        changed_at=row.changed_at,
        tariff=row.tariff,
        policy=row.policy,
        warnings=[Remark(rule=rule, detail=detail) for rule, detail in warnings(tariff)],
    )


@router.get("/tariffs", operation_id="list_tariffs")
async def list_tariffs(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[TariffShown]:
    """List tariffs in their newest version, in the order of their ids."""
    rows = await behind.queries.page(tables.tariffs, caller.tenant, after_id(cursor), limit + 1)
    page, after = cut(rows, limit, lambda row: row.id)
    return Page(items=[_shown(row) for row in page], next_cursor=linked(request, response, after))


@router.get("/tariffs/{id}", operation_id="get_tariff", response_model=TariffShown, responses=answers(404) | UNCHANGED)
async def get_tariff(
    id: str, caller: Reader, behind: Behind, request: Request, response: Response
) -> TariffShown | Response:
    """Return a tariff in its newest version."""
    row = await behind.queries.thing(tables.tariffs, caller.tenant, existing("tariff", id))
    if row is None:
        raise not_found(f"tariff {id}")
    return unchanged(request, response, tag(row.version)) or _shown(row)


@router.get("/tariffs/{id}/versions", operation_id="list_tariff_versions", responses=answers(404))
async def list_tariff_versions(id: str, caller: Reader, behind: Behind) -> Page[TariffShown]:
    """List all versions of a tariff, the newest first."""
    rows = await behind.queries.tariff_versions(caller.tenant, existing("tariff", id))
    if not rows:
        raise not_found(f"tariff {id}")
    return Page(items=[_shown(row) for row in rows], next_cursor=None)


@router.put(
    "/tariffs/{id}",
    operation_id="put_tariff",
    dependencies=JSON_ONLY,
    responses=answers(409, 412, 413, 415) | {201: {"model": TariffShown, "description": "It is new"}},
)
async def put_tariff(
    id: Identity, wish: TariffWish, caller: Admin, act: Acting, behind: Behind, expects: Conditioned, response: Response
) -> TariffShown:
    """Give a tariff a further version. Sessions that have begun keep theirs."""
    tariff, policy = _read(id, wish)
    known = await behind.queries.thing(tables.tariffs, caller.tenant, id)
    valid_from = wish.valid_from or _since(known, tariff, policy) or clock.now()
    version = reference.TariffVersion(
        at=clock.now(), tenant=caller.tenant, version=0, id=id, tariff=tariff, policy=policy, valid_from=valid_from
    )
    asked = Wish(caller.tenant, "tariff", id, PutTariff(version), expects)
    made = await put(behind, act, asked)
    row = await row_of(behind, asked, made.version, lambda: behind.queries.thing(tables.tariffs, caller.tenant, id))
    stamp(response, tag(row.version), created=made.created)
    return _shown(row)


def _read(id: str, wish: TariffWish) -> tuple[Tariff, Policy]:
    said = {**wish.tariff, "id": wish.tariff.get("id") or id}
    if said["id"] != id:
        raise invalid("#/tariff/id", f"the tariff at this path is called {id}")
    tariff = _converted(said, Tariff, "#/tariff")
    if wrong := [*faults(tariff), *unheard_of(said)]:
        raise invalid("#/tariff/elements", "; ".join(wrong))
    if strange := sorted(wish.policy.keys() - POLICY):
        raise invalid("#/policy", f"{', '.join(strange)}: no policy of that name is known here")
    return tariff, _converted(wish.policy, Policy, "#/policy")


def _converted(said: Any, kind: Any, pointer: str) -> Any:
    try:
        return msgspec.convert(said, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(pointer, str(error)) from error


def _since(known: Row[Any] | None, tariff: Tariff, policy: Policy) -> datetime | None:
    """Return since when the tariff is as it is wished, if it is: putting it again changes nothing."""
    if known is None:
        return None
    same = (msgspec.convert(known.tariff, Tariff, strict=False), msgspec.convert(known.policy, Policy, strict=False))
    return known.valid_from if same == (tariff, policy) else None


# ---- assignments --------------------------------------------------------------------------------------------------------


class AssignmentWish(BaseModel):
    """Which tariff counts where, and for whom. Without a place it is for the whole network."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"site": "harbour", "tariff": "AC"}]})

    tariff: Identity | None = Field(default=None, description="null: charging costs nothing there, and that is meant")
    free: Literal[True] | None = Field(default=None, description="must be said where `tariff` is null")
    site: Identity | None = None
    station: Identity | None = None
    evse: int | None = Field(default=None, ge=1, le=10_000)
    connector: int | None = Field(default=None, ge=1, le=10_000)
    group: Text | None = Field(default=None, min_length=1, max_length=20, description="only for tokens of this group")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.tariff is None) != (self.free is True):
            raise ValueError("name a tariff, or say that charging is free")
        if self.site is not None and self.station is not None:
            raise ValueError("name a site or a station")
        if (self.evse is None) != (self.connector is None) or (self.evse is not None and self.station is None):
            raise ValueError("a connector is named by its station, evse and connector")
        return self

    @property
    def scope(self) -> str:
        if self.evse is not None:
            place = f"connector/{self.station}/{self.evse}/{self.connector}"
        elif self.station is not None:
            place = f"station/{self.station}"
        else:
            place = "tenant" if self.site is None else f"site/{self.site}"
        return place if self.group is None else f"{place}/group/{self.group}"


class Assignment(BaseModel):
    """Which tariff counts in a scope. The narrowest scope that has one counts; a group's before everybody's."""

    model_config = like(examples.TARIFF_ASSIGNMENT)

    id: str = Field(description="its scope")
    tariff: str | None
    free: bool
    version: int
    changed_at: datetime


def _assignment(row: Row[Any]) -> Assignment:
    return Assignment(
        id=row.id, tariff=row.tariff, free=row.tariff is None, version=row.version, changed_at=row.changed_at
    )


@router.get("/tariff-assignments", operation_id="list_tariff_assignments")
async def list_assignments(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[Assignment]:
    """List which tariff counts where."""
    rows = await behind.queries.page(tables.tariff_assignments, caller.tenant, decode(cursor, str), limit + 1)
    page, after = cut(rows, limit, lambda row: row.id)
    return Page(items=[_assignment(row) for row in page], next_cursor=linked(request, response, after))


@router.put(
    "/tariff-assignments",
    operation_id="put_tariff_assignment",
    dependencies=JSON_ONLY,
    responses=answers(409, 412, 413, 415) | {201: {"model": Assignment, "description": "It is new"}},
)
async def put_assignment(
    wish: AssignmentWish, caller: Admin, act: Acting, behind: Behind, expects: Conditioned, response: Response
) -> Assignment:
    """Let a tariff count in a scope, instead of what counted there before."""
    assignment = reference.TariffAssignment(
        at=clock.now(), tenant=caller.tenant, version=0, id=wish.scope, tariff=wish.tariff
    )
    asked = Wish(caller.tenant, "tariff_assignment", wish.scope, PutTariffAssignment(assignment), expects)
    made = await put(behind, act, asked)
    row = await row_of(
        behind,
        asked,
        made.version,
        lambda: behind.queries.thing(tables.tariff_assignments, caller.tenant, wish.scope),
    )
    stamp(response, tag(row.version), created=made.created)
    return _assignment(row)


Scope = Annotated[str, Path(max_length=200, examples=["site/harbour"])]


@router.delete(
    "/tariff-assignments/{id:path}",
    operation_id="delete_tariff_assignment",
    status_code=204,
    responses=answers(404, 409, 412),
)
async def delete_assignment(id: Scope, caller: Admin, act: Acting, behind: Behind, expects: Conditioned) -> None:
    """Let no tariff count in a scope any more: a wider one may."""
    if not id.isprintable():
        raise not_found("tariff assignment of this name")
    await delete(behind, act, Wish(caller.tenant, "tariff_assignment", id, Delete(), expects))
