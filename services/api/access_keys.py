"""API keys: who may ask what. A key is shown once; only a digest of it is kept."""

import secrets as dice
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from contracts import tables
from contracts.event import TenantId
from contracts.reference import AccessKey as Key
from contracts.requests import Delete, PutAccessKey
from services.api import examples
from services.api.access import Admin, Caller, Known, Scope, digest_of, including
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.pages import After, Limit, Page, after_id, cut, linked
from services.api.problems import Problem, answers, not_found
from services.api.versions import UNCHANGED, Condition, Conditioned, stamp, tag, unchanged

router = APIRouter(prefix="/v1", tags=["access"], responses=answers(400, 401, 403, 422, 503))

TENANT = r"^[a-z0-9][a-z0-9-]{0,31}$"
OfTenant = Annotated[
    str | None, Query(pattern=TENANT, description="another tenant's keys: only with the deployment's first key")
]


class NewKey(BaseModel):
    """What a key should allow: at most what the key that asks for it allows."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "back office", "scopes": ["operate", "tokens:read"]}]}
    )

    label: Text = Field(default="", max_length=200)
    scopes: list[Scope] = Field(min_length=1, max_length=4, description="admin includes operate, operate includes read")
    tenant: str | None = Field(
        default=None, pattern=TENANT, description="another tenant: only with the deployment's first key"
    )


class AccessKey(BaseModel):
    """An API key, without what opens it."""

    model_config = like(examples.ACCESS_KEY)

    id: str
    tenant: str
    scopes: list[str]
    label: str
    version: int
    changed_at: datetime


class ShownKey(AccessKey):
    """A new API key."""

    model_config = like(examples.SHOWN_KEY)

    key: str = Field(description="shown this once", examples=["vs_4be19f0a62c7_…"])


class Me(BaseModel):
    """Who the key of this request stands for."""

    model_config = like(examples.ME)

    tenant: str
    key_id: str
    scopes: list[str] = Field(description="with all that they include")


def shown(row: Row[Any]) -> AccessKey:
    return AccessKey.model_validate(row, from_attributes=True)


def tenant_of(caller: Caller, named: str | None) -> TenantId:
    """Return whose keys are meant."""
    if named is None or named == caller.tenant:
        return caller.tenant
    if not caller.first:
        raise Problem("forbidden", "only the deployment's first key may act for another tenant")
    return TenantId(named)


@router.get("/me", operation_id="get_me")
async def get_me(caller: Known) -> Me:
    """Say who asks, and what they may."""
    return Me(tenant=caller.tenant, key_id=caller.key, scopes=sorted(caller.scopes))


@router.get("/access-keys", operation_id="list_access_keys")
async def list_access_keys(
    caller: Admin,
    behind: Behind,
    request: Request,
    response: Response,
    tenant: OfTenant = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[AccessKey]:
    """List API keys in the order of their ids."""
    whose = tenant_of(caller, tenant)
    rows = await behind.queries.page(tables.access_keys, whose, after_id(cursor), limit + 1)
    page, after = cut(rows, limit, lambda row: row.id)
    return Page(items=[shown(row) for row in page], next_cursor=linked(request, response, after))


@router.get(
    "/access-keys/{id}", operation_id="get_access_key", response_model=AccessKey, responses=answers(404) | UNCHANGED
)
async def get_access_key(
    id: str, caller: Admin, behind: Behind, request: Request, response: Response, tenant: OfTenant = None
) -> AccessKey | Response:
    """Return one API key, without what opens it."""
    row = await behind.queries.thing(tables.access_keys, tenant_of(caller, tenant), existing("access key", id))
    if row is None:
        raise not_found(f"access key {id}")
    return unchanged(request, response, tag(row.version)) or shown(row)


@router.post(
    "/access-keys",
    operation_id="create_access_key",
    status_code=201,
    dependencies=JSON_ONLY,
    responses=answers(404, 413, 415),
)
async def create_access_key(wish: NewKey, caller: Admin, act: Acting, behind: Behind, response: Response) -> ShownKey:
    """Create an API key. With an `Idempotency-Key`, a repetition shows the same."""
    tenant = tenant_of(caller, wish.tenant)
    if lacking := sorted(including(list(wish.scopes)) - caller.scopes):
        raise Problem("forbidden", f"a key cannot give what it lacks: {', '.join(lacking)}", scope=lacking[0])
    id, key = _drawn(behind, act)
    record = Key(
        at=clock.now(),
        tenant=tenant,
        version=0,
        id=id,
        digest=digest_of(key),
        scopes=tuple(dict.fromkeys(wish.scopes)),
        label=wish.label,
    )
    asked = Wish(tenant, "access", id, PutAccessKey(record), Condition())
    made = await put(behind, act, asked)
    row = await row_of(behind, asked, made.version, lambda: behind.queries.thing(tables.access_keys, tenant, id))
    response.headers["Location"] = f"/v1/access-keys/{quote(id)}"
    stamp(response, tag(row.version))
    return ShownKey(**shown(row).model_dump(), key=key)


def _drawn(behind: Backends, act: Act) -> tuple[str, str]:
    """Return a new key's id and the key; the same for every repetition of a request."""
    if act.key is None:
        id, secret = dice.token_hex(6), dice.token_hex(32)
    else:
        cause = f"{act.caller.tenant}/{act.caller.key}/{act.key}"
        id = behind.secrets.derive("access-key/id", cause).hex()[:12]
        secret = behind.secrets.derive("access-key/secret", cause).hex()
    return id, f"vs_{id}_{secret}"


@router.delete("/access-keys/{id}", operation_id="delete_access_key", status_code=204, responses=answers(404, 412))
async def delete_access_key(
    id: str, caller: Admin, act: Acting, behind: Behind, expects: Conditioned, tenant: OfTenant = None
) -> None:
    """Forget an API key: it lets nobody in any more, within seconds."""
    whose = tenant_of(caller, tenant)
    await delete(behind, act, Wish(whose, "access", existing("access key", id), Delete(), expects))
