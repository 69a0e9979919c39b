"""Id tokens: what opens charging. A uid comes in by a body alone, is sealed at once, and is shown only to whom it may be."""

from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import Row

from chassis import clock
from chassis.secrets import CannotOpen, Secrets, fold, mask
from contracts import reference, tables
from contracts.event import Sealed, TenantId, TokenId
from contracts.postings import AD_HOC
from contracts.requests import Delete, PutToken
from services.api import examples
from services.api.access import Caller, Operator, Reader
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, Wish, delete, put, row_of
from services.api.examples import like
from services.api.identities import Identity, Text, existing
from services.api.pages import After, Limit, Page, after_id, cut, decode, linked
from services.api.problems import Problem, answers, invalid, not_found
from services.api.queries import Seen
from services.api.versions import UNCHANGED, Condition, Conditioned, stamp, tag, unchanged

router = APIRouter(prefix="/v1", tags=["tokens"], responses=answers(400, 401, 403, 422, 503))

LONGEST_UID = 36
"""OCPP 2.0.1's idToken; OCPP 1.6's idTag has 20."""
LONGEST_GROUP = 20
"""Stations know it as a parent id tag (OCPP 1.6 §7.27)."""


def _uid(value: str) -> str:
    if not fold(value):
        raise ValueError("should have a character that is not blank")
    return value


class TokenRules(BaseModel):
    """Whether and how a token may charge."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "blocked"] = "active"
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    group: Text | None = Field(
        default=None, min_length=1, max_length=LONGEST_GROUP, description="its tokens may stop each other's sessions"
    )
    concurrent: bool = Field(default=False, description="whether it may charge at several places at once")
    label: Text = Field(default="", max_length=200)
    account: Identity | None = Field(default=None, description="who pays for what it charges; null: no account is kept")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_from should be before valid_until")
        return self

    @field_validator("account")
    @classmethod
    def _no_payment(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(AD_HOC):
            raise ValueError(f"accounts whose names begin with {AD_HOC} are those of ad-hoc payments")
        return value


class TokenWish(TokenRules):
    """What a token should be. Without a uid, the one that is known stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "active", "group": "FLEET-7", "label": "van 12"}]}
    )

    uid: Text | None = Field(default=None, min_length=1, max_length=LONGEST_UID)

    _folds = field_validator("uid")(lambda value: _uid(value) if value is not None else None)


class NewToken(TokenRules):
    """A token by its uid, as a reader reads it: case and blanks do not matter."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"uid": "04A2B3C4D5E6F7", "label": "van 12"}]}
    )

    uid: Text = Field(min_length=1, max_length=LONGEST_UID)

    _folds = field_validator("uid")(_uid)


class Search(BaseModel):
    """Which token is looked for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"uid": "04A2B3C4D5E6F7"}]})

    uid: Text = Field(min_length=1, max_length=LONGEST_UID)

    _folds = field_validator("uid")(_uid)


class Token(BaseModel):
    """An id token. Everything but this list and the frames calls it by its id."""

    model_config = like(examples.TOKEN)

    id: str
    uid: str | None = Field(description="only with the scope tokens:read, and if it is known")
    masked_uid: str = Field(description="enough to recognise it, too little to charge with")
    has_uid: bool = Field(description="without one it can charge, but no start can be asked with it")
    status: str
    valid_from: datetime | None
    valid_until: datetime | None
    group: str | None
    concurrent: bool
    label: str
    account: str | None = Field(description="who pays for what it charges")
    version: int
    changed_at: datetime


class Found(BaseModel):
    """What a search found."""

    model_config = like(examples.FOUND)

    token_id: str = Field(description="the id of this uid, whether it is registered or not")
    token: Token | None


class UnknownToken(BaseModel):
    """A token that was presented, and that nobody has registered."""

    model_config = like(examples.UNKNOWN_TOKEN)

    token_id: str
    masked_uid: str
    station: str = Field(description="where it was presented last")
    purpose: str = Field(examples=["authorize"])
    seen_at: datetime


def shown(row: Row[Any], secrets: Secrets, caller: Caller) -> Token:
    return Token(
        id=row.id,
        uid=_opened(row.uid, secrets) if caller.may("tokens:read") else None,
        masked_uid=row.masked_uid,
        has_uid=row.uid is not None,
        status=row.status,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        group=row.token_group,
        concurrent=row.concurrent,
        label=row.label,
        account=row.account,
        version=row.version,
        changed_at=row.changed_at,
    )


def _opened(sealed: str | None, secrets: Secrets) -> str | None:
    if sealed is None:
        return None
    try:
        return secrets.open(Sealed(sealed))
    except CannotOpen:
        return None


@router.get("/tokens", operation_id="list_tokens")
async def list_tokens(
    caller: Reader,
    behind: Behind,
    request: Request,
    response: Response,
    status: Literal["active", "blocked"] | None = None,
    group: Text | None = None,
    cursor: After = None,
    limit: Limit = 100,
) -> Page[Token]:
    """List tokens in the order of their ids."""
    t = tables.tokens.c
    wanted = [t.status == status] if status is not None else []
    wanted += [t.token_group == group] if group is not None else []
    rows = await behind.queries.page(tables.tokens, caller.tenant, after_id(cursor), limit + 1, *wanted)
    page, after = cut(rows, limit, lambda row: row.id)
    items = [shown(row, behind.secrets, caller) for row in page]
    return Page(items=items, next_cursor=linked(request, response, after))


@router.get("/tokens/{id}", operation_id="get_token", response_model=Token, responses=answers(404) | UNCHANGED)
async def get_token(id: str, caller: Reader, behind: Behind, request: Request, response: Response) -> Token | Response:
    """Return one token by its id."""
    row = await behind.queries.thing(tables.tokens, caller.tenant, existing("token", id))
    if row is None:
        raise not_found(f"token {id}")
    return unchanged(request, response, tag(row.version)) or shown(row, behind.secrets, caller)


@router.post(
    "/tokens",
    operation_id="register_token",
    status_code=201,
    dependencies=JSON_ONLY,
    responses=answers(409, 413, 415),
)
async def register_token(wish: NewToken, caller: Operator, act: Acting, behind: Behind, response: Response) -> Token:
    """Register a token by its uid. Its id derives from that; to change one that is registered already, `PUT` it."""
    id = behind.secrets.token_id(caller.tenant, wish.uid)
    response.headers["Location"] = f"/v1/tokens/{quote(id)}"
    return await _put(behind, act, caller, id, wish, Condition(absent=True), response)


@router.post("/tokens/search", operation_id="search_token", dependencies=JSON_ONLY, responses=answers(413, 415))
async def search_token(sought: Search, caller: Reader, behind: Behind) -> Found:
    """Find a token by its uid, which must not stand in a URL."""
    id = behind.secrets.token_id(caller.tenant, sought.uid)
    row = await behind.queries.thing(tables.tokens, caller.tenant, id)
    return Found(token_id=id, token=shown(row, behind.secrets, caller) if row is not None else None)


@router.put(
    "/tokens/{id}",
    operation_id="put_token",
    dependencies=JSON_ONLY,
    responses=answers(412, 413, 415) | {201: {"model": Token, "description": "It is new"}},
)
async def put_token(
    id: TokenId,
    wish: TokenWish,
    caller: Operator,
    act: Acting,
    behind: Behind,
    expects: Conditioned,
    response: Response,
) -> Token:
    """Make a token so, by its id: also one of which only the id is known, from `/v1/unknown-tokens`."""
    if len(id) != 32 or set(id) - set("0123456789abcdef"):
        raise invalid(
            "id", "a token's id is 32 hexadecimal digits; to register one by its uid, POST /v1/tokens", where="path"
        )
    if wish.uid is not None and behind.secrets.token_id(caller.tenant, wish.uid) != id:
        raise invalid("#/uid", "this uid has another id")
    return await _put(behind, act, caller, id, wish, expects, response)


async def _put(
    behind: Backends,
    act: Act,
    caller: Caller,
    id: TokenId,
    wish: TokenWish | NewToken,
    expects: Condition,
    response: Response,
) -> Token:
    token = await _token(behind, caller.tenant, id, wish)
    asked = Wish(caller.tenant, "token", id, PutToken(token), expects)
    try:
        made = await put(behind, act, asked)
    except Problem as problem:
        if problem.kind == "version_mismatch" and isinstance(wish, NewToken):
            raise Problem("exists", f"the token is registered already, as {id}") from None
        raise
    row = await row_of(behind, asked, made.version, lambda: behind.queries.thing(tables.tokens, caller.tenant, id))
    stamp(response, tag(row.version), created=made.created)
    return shown(row, behind.secrets, caller)


async def _token(behind: Backends, tenant: TenantId, id: TokenId, wish: TokenWish | NewToken) -> reference.Token:
    """Return the token as the directory should know it. A uid that is sealed already stays as it is."""
    row = await behind.queries.thing(tables.tokens, tenant, id)
    known = row.uid if row is not None else None
    sealed = known if wish.uid is not None and _opened(known, behind.secrets) == wish.uid else None
    masked = mask(wish.uid) if wish.uid is not None else await behind.queries.masked_uid(tenant, id)
    return reference.Token(
        at=clock.now(),
        tenant=tenant,
        version=0,
        id=id,
        uid=Sealed(sealed) if sealed else behind.secrets.seal(wish.uid) if wish.uid is not None else None,
        masked_uid=masked,
        **wish.model_dump(exclude={"uid"}),
    )


@router.delete("/tokens/{id}", operation_id="delete_token", status_code=204, responses=answers(404, 412))
async def delete_token(id: str, caller: Operator, act: Acting, behind: Behind, expects: Conditioned) -> None:
    """Forget a token: it opens nothing any more."""
    await delete(behind, act, Wish(caller.tenant, "token", existing("token", id), Delete(), expects))


@router.get("/unknown-tokens", operation_id="list_unknown_tokens")
async def list_unknown_tokens(
    caller: Reader, behind: Behind, request: Request, response: Response, cursor: After = None, limit: Limit = 100
) -> Page[UnknownToken]:
    """List tokens that were presented and that nobody has registered, the last first. `PUT /v1/tokens/{token_id}` registers one."""
    rows = await behind.queries.unknown_tokens(caller.tenant, decode(cursor, Seen), limit + 1)
    page, after = cut(rows, limit, lambda row: Seen(row.seen_at, row.part, row.place))
    items = [
        UnknownToken(
            token_id=row.token, masked_uid=row.masked_uid, station=row.station, purpose=row.purpose, seen_at=row.seen_at
        )
        for row in page
    ]
    return Page(items=items, next_cursor=linked(request, response, after))
