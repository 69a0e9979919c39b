"""Re-ratings: what past sessions would cost by another tariff, and having it applied."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Body, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row

from chassis import clock
from contracts import tables
from contracts.event import JobId, SiteId, StationId, derived_id
from contracts.ratings import (
    By,
    ByAssignments,
    ByItsOwn,
    ByTariff,
    Choice,
    OfRating,
    ReRatingAsked,
    ReRatingCancelled,
)
from contracts.tariffs import Policy, Tariff
from contracts.topics import RATINGS
from services.api import analytic_examples as examples
from services.api.access import Admin, Reader
from services.api.backends import Backends, Behind
from services.api.bodies import JSON_ONLY
from services.api.changes import Act, Acting, of_request, rounds
from services.api.changes import shown as until_shown
from services.api.examples import like
from services.api.identities import Identity, Text, existing
from services.api.problems import Problem, answers, invalid, not_found
from services.api.rated_rows import CSV, report
from services.billing.tariff import faults

router = APIRouter(prefix="/v1/re-ratings", tags=["prices"], responses=answers(400, 401, 403, 422, 503))

Decimals = str
AT_REST = ("finished", "cancelled", "failed")


class VersionWish(BaseModel):
    """A version of a tariff that is there."""

    model_config = ConfigDict(extra="forbid")

    tariff: Identity
    version: int = Field(ge=1)


class InlineWish(BaseModel):
    """A tariff that is only here."""

    model_config = ConfigDict(extra="forbid")

    inline: dict[str, Any] = Field(description="in OCPI 2.3.0's shape (mod_tariffs)")
    policy: dict[str, Any] = Field(default_factory=dict, description="grace, debounce, discounts: see docs/pricing.md")


class ReRatingWish(BaseModel):
    """Which sessions are to be rated, by what, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.RE_RATING_WISH]})

    first: AwareDatetime | None = Field(default=None, alias="from", description="sessions that began then or later")
    until: AwareDatetime | None = Field(default=None, alias="to", description="and before this")
    tariff: Identity | None = Field(default=None, description="that the sessions have")
    station: Identity | None = None
    site: Identity | None = None
    by: Literal["assigned", "own"] | VersionWish | InlineWish = Field(
        alias="with",
        description="assigned: what is assigned now to where and for whom each session was; own: the tariff that each has, "
        "which finds what today's pricing would price otherwise; or one tariff for all",
    )
    mode: Literal["dry_run", "apply"] = Field(
        default="dry_run", description="apply: what differs is corrected too, by a credit and a new CDR"
    )
    raises: bool = Field(default=False, description="whether apply may make a bill higher; else such a one stays")
    reason: Text = Field(min_length=1, max_length=500, description="why, for whoever audits it")

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.first is not None and self.until is not None and self.first >= self.until:
            raise ValueError("`from` lies before `to`")
        return self


class RatedSum(BaseModel):
    """What sessions of one currency, tariff and site came to, and come to."""

    currency: str
    tariff: str = Field(description="that they have")
    site: str | None
    sessions: int
    differing: int
    net_before: Decimals
    net_after: Decimals
    gross_before: Decimals
    gross_after: Decimals


class ReRating(BaseModel):
    """A job that rates past sessions by another tariff: how far it is, and what it has found so far."""

    model_config = like(examples.RE_RATING)

    id: str
    state: Literal["asked", "running", "finished", "cancelled", "failed"]
    mode: Literal["dry_run", "apply"]
    asked_at: datetime
    updated_at: datetime
    requested_by: str = Field(description="the id of the API key")
    reason: str
    progress: float = Field(description="how much of the log has been read, from 0 to 1")
    sessions: int = Field(description="that have been rated")
    differing: int = Field(description="of them, that come to something else")
    skipped: dict[str, int] = Field(
        description="billed sessions that could not be rated, and why: no_tariff, free, other_currency, total_unknown, "
        "unpriceable, tariff_unknown"
    )
    unbilled: int = Field(description="sessions of the choice that have no CDR yet")
    applied: int = Field(description="sessions that billing was asked to correct")
    sums: list[RatedSum]
    failed_because: str | None = Field(examples=["log_expired"])
    detail: str | None


def shown(row: Row[Any]) -> ReRating:
    read = sum(after - first for first, after, _ in row.parts.values())
    whole = sum(end - first for first, _, end in row.parts.values())
    done = 1.0 if row.state == "finished" else 0.0
    return ReRating(
        id=row.id,
        state=row.state,
        mode=row.mode,
        asked_at=row.asked_at,
        updated_at=row.updated_at,
        requested_by=row.requested_by,
        reason=row.reason,
        progress=round(read / whole, 4) if whole else done,
        sessions=rated(row),
        differing=sum(each["differing"] for each in row.sums),
        skipped=row.skipped,
        unbilled=row.unbilled,
        applied=row.applied,
        sums=[RatedSum(**each) for each in row.sums],
        failed_because=row.failed_because,
        detail=row.detail,
    )


def rated(row: Row[Any]) -> int:
    """Return how many sessions a job has rated."""
    return sum(each["sessions"] for each in row.sums)


@router.post(
    "",
    operation_id="ask_re_rating",
    status_code=202,
    dependencies=JSON_ONLY,
    responses=answers(404, 413, 415),
)
async def ask_re_rating(
    wish: Annotated[ReRatingWish, Body()], caller: Admin, act: Acting, behind: Behind, response: Response
) -> ReRating:
    """Have past sessions rated by another tariff. Nothing is overwritten: apply corrects by a credit and a new CDR."""
    job = JobId(act.id("re-rating"))
    response.headers["Location"] = f"/v1/re-ratings/{quote(job)}"
    row = await _found(behind, act, job) if act.key is not None else None
    if row is None:
        by = await _by(behind, caller.tenant, wish.by)
        await _write(behind, act, _asked(act, job, wish, by))
        row = await until_shown(behind, lambda: _found(behind, act, job))
    return shown(row)


async def _found(behind: Backends, act: Act, job: str) -> Row[Any] | None:
    return await of_request(behind, act, tables.re_ratings, job)


async def _by(behind: Backends, tenant: str, wish: str | VersionWish | InlineWish) -> By:
    match wish:
        case VersionWish():
            return await _version(behind, tenant, wish)
        case InlineWish():
            tariff, policy = _read(wish.inline, Tariff, "#/with/inline"), _read(wish.policy, Policy, "#/with/policy")
            if wrong := faults(tariff):
                raise invalid("#/with/inline", "; ".join(wrong))
            return ByTariff(tariff, policy)
        case _:
            return ByAssignments() if wish == "assigned" else ByItsOwn()


async def _version(behind: Backends, tenant: str, wish: VersionWish) -> ByTariff:
    versions = await behind.queries.tariff_versions(tenant, wish.tariff)
    row = next((each for each in versions if each.version == wish.version), None)
    if row is None:
        raise not_found(f"version {wish.version} of a tariff {wish.tariff}")
    tariff = msgspec.convert(row.tariff, Tariff, strict=False)
    return ByTariff(tariff, msgspec.convert(row.policy, Policy, strict=False), wish.version)


def _read(said: Any, kind: Any, pointer: str) -> Any:
    try:
        return msgspec.convert(said, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(pointer, str(error)) from error


def _asked(act: Act, job: JobId, wish: ReRatingWish, by: By) -> ReRatingAsked:
    return ReRatingAsked(
        at=clock.now(),
        tenant=act.caller.tenant,
        job=job,
        choice=Choice(
            wish.first,
            wish.until,
            wish.tariff,
            None if wish.station is None else StationId(wish.station),
            None if wish.site is None else SiteId(wish.site),
        ),
        by=by,
        mode=wish.mode,
        raises=wish.raises,
        reason=wish.reason,
        requested_by=act.caller.key,
        fingerprint=act.fingerprint,
    )


async def _write(behind: Backends, act: Act, event: OfRating) -> None:
    what = f"{event.tenant}/{event.job}/{type(event).__name__}"
    await behind.journal.append(RATINGS, event, derived_id(what, "api", act.fingerprint), act.trace)


@router.get("/{id}", operation_id="get_re_rating", responses=answers(404))
async def get_re_rating(id: str, caller: Reader, behind: Behind) -> ReRating:
    """Return how far a re-rating is, and what it has found so far."""
    return shown(await _known(behind, caller.tenant, id))


async def _known(behind: Backends, tenant: str, id: str) -> Row[Any]:
    row = await behind.queries.thing(tables.re_ratings, tenant, existing("re-rating", id))
    if row is None:
        raise not_found(f"re-rating {id}")
    return row


@router.delete("/{id}", operation_id="cancel_re_rating", responses=answers(404))
async def cancel_re_rating(id: str, caller: Admin, act: Acting, behind: Behind) -> ReRating:
    """Let a re-rating go no further. What it has applied stays; one that is over stays as it is."""
    row = await _known(behind, caller.tenant, id)
    if row.state not in AT_REST:
        at = clock.now()
        await _write(
            behind, act, ReRatingCancelled(at=at, tenant=caller.tenant, job=JobId(id), requested_by=caller.key)
        )
        async for _ in rounds(behind, behind.patience_s):
            row = await _known(behind, caller.tenant, id)
            if row.state in AT_REST:
                break
    return shown(row)


@router.get(
    "/{id}/report.csv", operation_id="get_re_rating_report", response_class=Response, responses=answers(404, 409) | CSV
)
async def get_re_rating_report(id: str, caller: Reader, behind: Behind) -> Response:
    """Return every session that was rated, a row each, in the order of the log. A report is the same for ever."""
    row = await _known(behind, caller.tenant, id)
    if row.state not in AT_REST:
        raise Problem("re_rating_goes_on", "ask for the report when the re-rating is finished or cancelled")
    return await report(behind.clickhouse, caller.tenant, row, rated(row))
