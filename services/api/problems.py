"""What goes wrong, as `application/problem+json` (RFC 9457). The catalogue is served at `/problems`."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from chassis import clickhouse, kafka

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
UNREADABLE = "it is no UTF-8, or nested too deep, or has a number of too many digits"

CATALOGUE: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "bad_json": (400, "The body is not JSON"),
    "bad_cursor": (400, "The cursor is not one that has been given out here"),
    "bad_signature": (400, "It was not signed with a secret of ours, or too long ago"),
    "unauthenticated": (401, "The request carries no API key that is valid"),
    "forbidden": (403, "The API key may not do this"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The thing cannot be asked this"),
    "identity_taken": (409, "Another tenant has a station of this identity"),
    "exists": (409, "The thing exists already"),
    "site_in_use": (409, "The site still has stations"),
    "not_charging": (409, "Nobody charges in the session"),
    "no_tariff": (409, "Charging has no price there"),
    "nothing_to_pay": (409, "Charging is free there"),
    "payments_not_set_up": (409, "Nobody can pay here: no payment provider is set up"),
    "re_rating_goes_on": (409, "The re-rating is not over"),
    "repair_refused": (409, "The session cannot be repaired so"),
    "posting_refused": (409, "The account cannot be asked this"),
    "review_refused": (409, "The session is not held, or somebody has decided on it"),
    "expired_cursor": (410, "What comes after the cursor is not kept any more"),
    "version_mismatch": (412, "The thing has another version"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be JSON and say so"),
    "invalid": (422, "Something in the request is not as it must be"),
    "idempotency_key_reused": (422, "Another request has been made under this Idempotency-Key"),
    "too_many_streams": (429, "The API key has as many streams open as it may"),
    "internal": (500, "A defect of ours"),
    "unavailable": (503, "Something that is needed for the answer is away"),
}
"""Each kind of problem: its status and its title."""

BY_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


class Fault(BaseModel):
    """One thing that is not as it must be."""

    where: str = Field(description="`body`, `query`, `path` or `header`", examples=["body"])
    pointer: str = Field(description="a JSON pointer into the body, or the parameter's name", examples=["#/time_zone"])
    detail: str = Field(examples=["there is no such time zone"])


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457). `type` is for programs, `detail` for people."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(examples=["/problems/not_found"])
    title: str = Field(examples=["There is no such thing"])
    status: int = Field(examples=[404])
    detail: str = Field(default="", examples=["there is no station CP 1"])
    errors: list[Fault] | None = Field(default=None, description="what is wrong where, for `invalid`")
    version: int | None = Field(default=None, description="what the thing has now, for `version_mismatch`")
    scope: str | None = Field(default=None, description="what the key lacks, for `forbidden`")


class Problem(Exception):
    """Ends a request with an answer of the catalogue."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        version: int | None = None,
        scope: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, title = CATALOGUE[kind]
        self.headers = dict(headers or {})
        if self.status in (429, 503):
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        self.details = ProblemDetails(
            type=f"/problems/{kind}",
            title=title,
            status=self.status,
            detail=detail,
            errors=list(errors) or None,
            version=version,
            scope=scope,
        )

    def response(self) -> Response:
        """Return the answer."""
        body = self.details.model_dump(mode="json", exclude_none=True)
        return JSONResponse(body, self.status, self.headers, MEDIA_TYPE)


def not_found(what: str) -> Problem:
    return Problem("not_found", f"there is no {what}")


def invalid(pointer: str, detail: str, *, where: str = "body") -> Problem:
    """Return the problem of a request in which one thing is wrong."""
    return Problem("invalid", detail, errors=[Fault(where=where, pointer=pointer, detail=detail)])


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of these answers."""
    titles = {status: "; or: ".join(title for its, title in CATALOGUE.values() if its == status) for status in statuses}
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": title, "content": {MEDIA_TYPE: schema}} for status, title in titles.items()}


def explain(app: FastAPI) -> None:
    """Let every error of `app` come out as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(kafka.Unavailable, _away)
    app.add_exception_handler(clickhouse.Unavailable, _away)
    app.add_exception_handler(clickhouse.Refused, _refused)
    app.add_exception_handler(500, _internal)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ValueError | RecursionError):  # of FastAPI's attempt to read the body
        return Problem("bad_json", UNREADABLE).response()
    match BY_STATUS.get(error.status_code, "bad_request"):
        case "not_found":
            return Problem("not_found", f"there is nothing at {request.url.path}: /docs says what there is").response()
        case "method_not_allowed":
            known = ", ".join(_methods(request))
            return Problem("method_not_allowed", f"it knows {known}", headers={"Allow": known}).response()
        case kind:
            return Problem(kind, str(error.detail), headers=error.headers).response()


def _methods(request: Request) -> list[str]:
    """Return what the thing at this path can be asked: several routes share a path (RFC 9110 §10.2.1)."""
    return [method for method in METHODS if _answers(request, method)]


def _answers(request: Request, method: str) -> bool:
    scope = dict(request.scope) | {"method": method}
    return any(route.matches(scope)[0] == Match.FULL for route in request.app.routes)


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem("bad_json", str(found[0].get("ctx", {}).get("error", "not JSON"))).response()
    faults = [_fault(each, error.body) for each in found]
    return Problem("invalid", "; ".join(f"{each.pointer}: {each.detail}" for each in faults), errors=faults).response()


def _fault(found: Mapping[str, Any], body: Any) -> Fault:
    """Return where and what: never the value, which may be a secret."""
    where, *path = found["loc"]
    pointer = _pointer(path, body, found["type"]) if where == "body" else ".".join(map(str, path))
    return Fault(where=where, pointer=pointer, detail=found["msg"].removeprefix("Value error, "))


def _pointer(path: Sequence[str | int], body: Any, kind: str) -> str:
    """Return a JSON pointer into `body` (RFC 6901). Pydantic's path names besides which of several kinds it took a thing for."""
    pointer = "#"
    for number, part in enumerate(path, 1):
        there = part in body if isinstance(body, dict) else isinstance(body, list) and part in range(len(body))
        if there or (kind == "missing" and number == len(path)):
            pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
        if there:
            body = body[part]
    return pointer


async def _away(_: Request, error: Exception) -> Response:
    return Problem("unavailable", str(error)).response()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, clickhouse.Refused)
    return Problem("unavailable", f"ClickHouse refuses the question (code {error.code})").response()


async def _internal(_: Request, __: Exception) -> Response:
    return Problem("internal", "the log of the service says more").response()
