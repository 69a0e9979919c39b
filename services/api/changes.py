"""A change of reference data: asked of the directory, and over when the view shows it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import Depends, Header, Query, Request
from sqlalchemy import Row

from chassis import clock
from chassis.kafka import new_traceparent
from contracts.event import RequestId, TenantId, derived_id
from contracts.requests import Change, ChangeRequested, Kind
from contracts.tables import AnyTable
from contracts.topics import REQUESTS
from services.api.access import Caller, Known
from services.api.backends import Backends, Behind
from services.api.problems import Problem, invalid, not_found
from services.api.versions import Condition

T = TypeVar("T")

POLL_S = 0.01
SLOWER_AFTER_S = 1.0

_TRACEPARENT = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern="^[!-~][ -~]*$",
        description="makes a repetition of this request the same request: the same answer, and done once",
        examples=["5f0c1c3e-6a1c-4a33-9a57-0d1a3b1c2f5e"],
    ),
]


@dataclass(frozen=True)
class Act:
    """A request that changes something: who makes it, and how a repetition is recognised."""

    caller: Caller
    key: str | None
    """The `Idempotency-Key`, if there is one."""
    fingerprint: str
    """Keyed, as bodies hold what must not be guessed from a digest."""
    trace: str
    """The caller's `traceparent` (W3C Trace Context), or the start of a new trace."""

    def id(self, what: str) -> str:
        """Return an id: the same for every repetition."""
        return derived_id(f"{self.caller.tenant}/{self.key}", "api", what) if self.key else str(uuid4())


async def act(
    request: Request,
    caller: Known,
    behind: Behind,
    idempotency_key: IdempotencyKey = None,
) -> Act:
    asked = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "wait"])
    said = f"{caller.key}\n{request.method}\n{request.url.path}?{asked}\n{(await request.body()).hex()}"
    return Act(caller, idempotency_key, behind.secrets.derive("fingerprint", said).hex(), trace_of(request))


def trace_of(request: Request) -> str:
    said = request.headers.get("traceparent", "")
    return said if _TRACEPARENT.fullmatch(said) else new_traceparent()


Acting = Annotated[Act, Depends(act)]


@dataclass(frozen=True)
class Wish:
    """What somebody wants of the directory."""

    tenant: TenantId
    kind: Kind
    id: str
    change: Change
    condition: Condition


async def rounds(behind: Backends, patience_s: float) -> AsyncIterator[None]:
    """Yield at once and then again and again, until patience or the process ends."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        yield
        waited = loop.time() - begun
        if waited >= patience_s or behind.stopping.is_set():
            return
        await asyncio.sleep(min(POLL_S if waited < SLOWER_AFTER_S else 10 * POLL_S, patience_s - waited))


Wait = Annotated[float, Query(ge=0, le=25, allow_inf_nan=False, description="seconds to wait for the decision")]
"""How long a request waits for what people have asked to be decided."""


async def seen(behind: Backends, wait_s: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Return what `look` sees once it sees something; None if it has not within `wait_s` seconds."""
    async for _ in rounds(behind, wait_s):
        if (found := await look()) is not None:
            return found
    return None


async def shown(behind: Backends, look: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `look` sees once it sees something; 503 if that takes too long."""
    if (found := await seen(behind, behind.patience_s, look)) is not None:
        return found
    raise Problem(
        "unavailable",
        "it has been asked, but nothing has come of it yet, and it may still happen: "
        "repeat the request with the same Idempotency-Key",
    )


async def of_request(behind: Backends, act: Act, table: AnyTable, id: str) -> Row[Any] | None:
    """Return the row that came of a request under this id, if there is one; another request under its key is refused."""
    row = await behind.queries.thing(table, act.caller.tenant, id)
    if row is not None and row.fingerprint != act.fingerprint:
        raise reused()
    return row


class Made(NamedTuple):
    """What came of a change."""

    version: int
    created: bool


async def put(behind: Backends, act: Act, wish: Wish) -> Made:
    """Have the directory change a thing, and return its version."""
    request = RequestId(act.id("request"))
    outcome = await _earlier(behind, wish, act.fingerprint, request) if act.key else None
    now = await behind.queries.version(wish.kind, wish.tenant, wish.id)
    if outcome is None:
        await _ask(behind, act, wish, request, wish.condition.expected(now))
        outcome = await shown(behind, lambda: behind.queries.outcome(wish.tenant, request, wish.kind, wish.id))
    if outcome.fingerprint != act.fingerprint:
        raise reused()
    if not outcome.accepted:
        raise _refusal(outcome)
    return Made(int(outcome.version), created=now == 0)


async def delete(behind: Backends, act: Act, wish: Wish) -> None:
    """Have the directory forget a thing; over when the view does not show it any more, or a later one of its name."""
    made = await put(behind, act, wish)

    async def gone() -> bool | None:
        now = await behind.queries.version(wish.kind, wish.tenant, wish.id)
        return True if now == 0 or now >= made.version else None

    await shown(behind, gone)


def reused() -> Problem:
    return Problem("idempotency_key_reused", "repeat the request as it was, or choose another key")


async def _earlier(behind: Backends, wish: Wish, fingerprint: str, request: RequestId) -> Row[Any] | None:
    """Return what came of the request before, if this is a repetition; another request under its key is refused."""
    for outcome in await behind.queries.outcomes(wish.tenant, request):
        if (outcome.kind, outcome.id) != (wish.kind, wish.id) or outcome.fingerprint != fingerprint:
            raise reused()
        return outcome
    return None


async def _ask(behind: Backends, act: Act, wish: Wish, request: RequestId, expected: int | None) -> None:
    event = ChangeRequested(
        at=clock.now(),
        tenant=wish.tenant,
        request=request,
        kind=wish.kind,
        id=wish.id,
        change=wish.change,
        requested_by=act.caller.key,
        expected_version=expected,
        fingerprint=act.fingerprint,
    )
    await behind.journal.append(
        REQUESTS, event, derived_id(f"{wish.tenant}/{request}", "api", act.fingerprint), act.trace
    )


def _refusal(outcome: Row[Any]) -> Problem:
    match outcome.reason:
        case "not_found":
            return not_found(f"{_NAMES[outcome.kind]} {outcome.id}")
        case "unknown_site":
            return invalid("#/site", outcome.detail)
        case "unknown_tariff":
            return invalid("#/tariff", outcome.detail)
        case "unknown_account":
            return invalid("#/account", outcome.detail)
        case "idempotency_key_reused":
            return reused()
        case "identity_taken":
            return Problem("identity_taken", outcome.detail)
        case _:
            return Problem("version_mismatch", outcome.detail, version=outcome.version)


_NAMES = {
    "site": "site",
    "station": "station",
    "token": "token",
    "access": "access key",
    "tariff": "tariff",
    "tariff_assignment": "tariff assignment",
    "account": "account",
}


async def row_of(behind: Backends, wish: Wish, version: int, look: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `look` finds of a changed thing as soon as it has at least `version`; 404 if it has gone again since."""
    looks = 0

    async def new_enough() -> Any:
        nonlocal looks
        looks += 1
        if await behind.queries.version(wish.kind, wish.tenant, wish.id) >= version:
            return await look()
        if looks % 50 == 0 and await behind.queries.last_version(wish.tenant, wish.kind, wish.id) > version:
            raise Problem("not_found", "it was so, and has been deleted since")
        return None

    return await shown(behind, new_enough)
