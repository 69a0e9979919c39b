"""Pages of lists: keyset cursors, opaque to clients, and `Link` headers (RFC 8288)."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from services.api.identities import why_not
from services.api.problems import Problem

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")

MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="at most so many items")]
After = Annotated[str | None, Query(alias="cursor", max_length=32_768, description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="what `cursor` must say for the next page; null: there is none")


def encode(cursor: Any) -> str:
    """Return a place in a list as clients carry it."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def decode(text: str | None, kind: type[Cursor]) -> Cursor | None:
    """Return the place that a client names, if it names one; anything that was not given out is a problem."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise _strange() from None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _strange() from None


def _strange() -> Problem:
    return Problem("bad_cursor", "begin again without a cursor")


def check_id(id: str | None) -> str | None:
    """Return an id that a cursor holds; one that nothing can have was not given out."""
    if id is not None and why_not(id):
        raise _strange()
    return id


def after_id(text: str | None) -> str | None:
    """Return the id after which a list ordered by ids goes on."""
    return check_id(decode(text, str))


def linked(request: Request, response: Response, cursor: str | None) -> str | None:
    """Name the next page, if there is one, in the answer's headers too, relative to this request."""
    if cursor is not None:
        same = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        target = f"{quote(request.url.path)}?{urlencode([*same, ('cursor', cursor)])}"
        response.headers["Link"] = f'<{target}>; rel="next"'
    return cursor


def cut(rows: Sequence[Any], limit: int, place: Callable[[Any], Any]) -> tuple[Sequence[Any], str | None]:
    """Return the page's rows and the cursor after them, of `limit` + 1 rows that were asked for."""
    page = rows[:limit]
    return page, encode(place(page[-1])) if len(rows) > limit else None
