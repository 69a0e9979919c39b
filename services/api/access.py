"""Who asks, and what they may: API keys of 256 random bits, of which only a digest is kept."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.base import SecurityBase
from sqlalchemy import Row

from contracts import tables
from contracts.event import TenantId
from services.api.problems import Problem
from services.api.queries import Queries

Scope = Literal["read", "operate", "admin", "tokens:read"]

INCLUDES: dict[str, tuple[str, ...]] = {
    "read": ("read",),
    "operate": ("operate", "read"),
    "admin": ("admin", "operate", "read"),
    "tokens:read": ("tokens:read",),
}
"""What each scope allows. Seeing uids is a right of its own."""

TRUSTED_S = 2.0
"""How long a key that was found is not looked up again: a deleted one ends within so many seconds."""
MOST_TRUSTED = 10_000
FIRST_TENANT = TenantId("default")
FIRST_KEY = "admin"

bearer = HTTPBearer(auto_error=False, description="An API key: `vs_<id>_<secret>`")


@dataclass(frozen=True)
class Caller:
    """Whoever holds a key."""

    tenant: TenantId
    key: str
    """The key's id."""
    scopes: frozenset[str]
    """With all that they include."""
    first: bool = False
    """The deployment's own key, which may act for every tenant where that is said."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


def including(scopes: list[str]) -> frozenset[str]:
    """Return these scopes with all that they include."""
    return frozenset(included for scope in scopes for included in INCLUDES.get(scope, ()))


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Access:
    """Knows keys by their digests."""

    def __init__(self, queries: Queries, first_digest: str) -> None:
        self._queries = queries
        self._first_digest = first_digest
        self._trusted: dict[str, tuple[float, Caller]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Return who holds this key, if anybody does."""
        digest = digest_of(key)
        if self._first_digest and hmac.compare_digest(digest, self._first_digest):
            return Caller(FIRST_TENANT, FIRST_KEY, including(["admin", "tokens:read"]), first=True)
        now = asyncio.get_running_loop().time()
        until, trusted = self._trusted.get(digest, (0.0, None))
        if trusted is not None and now < until:
            return trusted
        self._trusted.pop(digest, None)
        row = await self._queries.access_key(digest)
        return self._trust(row, now) if row is not None and hmac.compare_digest(row.digest, digest) else None

    async def still(self, caller: Caller) -> bool:
        """Return whether the key of somebody who was let in is there still, and allows no less."""
        if caller.first:
            return True
        row = await self._queries.thing(tables.access_keys, caller.tenant, caller.key)
        return row is not None and caller.scopes <= including(row.scopes)

    def _trust(self, row: Row[Any], now: float) -> Caller:
        caller = Caller(TenantId(row.tenant), row.id, including(row.scopes))
        if len(self._trusted) >= MOST_TRUSTED:
            self._trusted.clear()
        self._trusted[row.digest] = now + TRUSTED_S, caller
        return caller


async def caller(request: Request, presented: HTTPAuthorizationCredentials | None) -> Caller:
    """Return who asks; 401 if nobody knows."""
    if presented is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="voltstream"'}
        raise Problem("unauthenticated", "send the header Authorization: Bearer vs_…", headers=challenge)
    access: Access = request.app.state.access
    found = await access.caller(presented.credentials)
    if found is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="voltstream", error="invalid_token"'}
        raise Problem("unauthenticated", "nobody knows this key, or not any more", headers=challenge)
    return found


def allowed(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """Return what lets in who has `scope`."""

    async def check(caller: Caller) -> Caller:
        if not caller.may(scope):
            challenge = f'Bearer realm="voltstream", error="insufficient_scope", scope="{scope}"'
            raise Problem(
                "forbidden", f"the key lacks the scope {scope}", scope=scope, headers={"WWW-Authenticate": challenge}
            )
        return caller

    return check


class Key(SecurityBase):
    """A dependency that returns who presents a key, and lets in only who has `scope`, if one is named.

    One instead of three that depend on one another: FastAPI's way to each costs more than what it does.
    """

    def __init__(self, scope: Scope | None = None) -> None:
        self.model, self.scheme_name = bearer.model, bearer.scheme_name
        self._check = None if scope is None else allowed(scope)

    async def __call__(self, request: Request) -> Caller:
        found = await caller(request, await bearer(request))
        return found if self._check is None else await self._check(found)


known = Key()
Known = Annotated[Caller, Depends(known)]
Reader = Annotated[Caller, Depends(Key("read"))]
Operator = Annotated[Caller, Depends(Key("operate"))]
Admin = Annotated[Caller, Depends(Key("admin"))]
