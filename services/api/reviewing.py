"""Deciding on sessions that are held: asked of the rules of billing, and kept with who decided, when and why."""

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import clock
from contracts import tables
from contracts.event import RequestId, SessionId, StationId, derived_id
from contracts.reviews import CdrReviewed
from contracts.topics import REVIEWS
from services.api import examples
from services.api.access import Caller, Operator, Reader
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, Wait, of_request, seen
from services.api.examples import like
from services.api.identities import Text, existing
from services.api.problems import Problem, answers, not_found

router = APIRouter(prefix="/v1/cdr-reviews", tags=["prices"], responses=answers(400, 401, 403, 404, 422, 503))


class ReviewWish(BaseModel):
    """release: the session is billed as it stands. waive: what was held never is; a CDR that counts already goes on to count."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "release", "reason": "the driver confirms the energy"}]},
    )

    decision: Literal["release", "waive"]
    reason: Text = Field(min_length=1, max_length=500, description="why, for whoever audits it")


class CdrReview(BaseModel):
    """What somebody decided of a session that was held, and what came of it."""

    model_config = like(examples.CDR_REVIEW)

    id: str
    session: str
    station: str
    decision: Literal["release", "waive"]
    outcome: Literal["requested", "billed", "confirmed", "waived", "refused"] = Field(
        description="requested: not decided yet; confirmed: it comes to what was billed before"
    )
    refused_because: str | None = Field(examples=["already_decided"])
    cdr: str | None = Field(description="that came of it, or that goes on to count")
    reason: str
    requested_by: str = Field(description="the id of the API key")
    decided_at: datetime | None


class CdrReviews(BaseModel):
    """All that was decided of a session."""

    items: list[CdrReview]


@router.get("/{session}", operation_id="get_cdr_reviews")
async def get_cdr_reviews(session: str, caller: Reader, behind: Behind) -> CdrReviews:
    """List what was decided of a session that was held, and by whom, the oldest first; also what was refused."""
    rows = await behind.queries.cdr_reviews(caller.tenant, existing("session", session))
    return CdrReviews(items=[_shown(row) for row in rows])


@router.post(
    "/{session}",
    operation_id="review_cdr",
    dependencies=JSON_ONLY,
    responses=answers(409, 413, 415) | {202: {"model": CdrReview, "description": "Nobody has decided it yet"}},
)
async def review_cdr(
    session: str,
    wish: ReviewWish,
    caller: Operator,
    act: Acting,
    behind: Behind,
    response: Response,
    wait: Wait = 10,
) -> CdrReview:
    """Decide on a session that is held. It is kept for ever with who decided, when and why.

    The answer says what came of it, or 202 if nothing has within `wait` seconds. A refusal by the rules is a problem.
    """
    review = RequestId(act.id("cdr-review"))
    response.headers["Location"] = f"/v1/cdr-reviews/{quote(session, safe='')}"
    row = await _outcome(behind, act, review) if act.key is not None else None
    if row is None:
        station = await _station(behind, caller, session)
        asked = CdrReview(**_asked(wish, act), id=review, session=session, station=station)
        await _ask(behind, act, asked)
        row = await seen(behind, wait, lambda: _outcome(behind, act, review))
        if row is None:
            response.status_code = 202
            return asked
    if row.outcome == "refused":
        raise Problem("review_refused", _WHY.get(row.refused_because, row.refused_because))
    return _shown(row)


def _asked(wish: ReviewWish, act: Act) -> dict[str, Any]:
    nothing_yet: dict[str, Any] = {"outcome": "requested", "refused_because": None, "cdr": None, "decided_at": None}
    return {"decision": wish.decision, "reason": wish.reason, "requested_by": act.caller.key} | nothing_yet


async def _station(behind: Backends, caller: Caller, session: str) -> str:
    cost = await behind.queries.cost(caller.tenant, existing("session", session))
    if cost is None:
        raise not_found(f"price of a session {session}")
    return str(cost.station)


async def _ask(behind: Backends, act: Act, review: CdrReview) -> None:
    event = CdrReviewed(
        at=clock.now(),
        tenant=act.caller.tenant,
        station=StationId(review.station),
        session=SessionId(review.session),
        review=RequestId(review.id),
        decision=review.decision,
        reason=review.reason,
        requested_by=act.caller.key,
        fingerprint=act.fingerprint,
    )
    ce_id = derived_id(f"{act.caller.tenant}/{review.id}", "api", act.fingerprint)
    await behind.journal.append(REVIEWS, event, ce_id, act.trace)


async def _outcome(behind: Backends, act: Act, review: RequestId) -> Row[Any] | None:
    return await of_request(behind, act, tables.cdr_reviews, review)


_WHY = {
    "nothing_held": "the session is not held",
    "already_decided": "somebody has decided on it",
    "idempotency_key_reused": "another decision was asked for under this key",
}


def _shown(row: Row[Any]) -> CdrReview:
    return CdrReview(**{name: getattr(row, name) for name in CdrReview.model_fields})
