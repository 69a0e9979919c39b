"""Versions of things in HTTP's words: `ETag`, `If-Match`, `If-None-Match` (RFC 9110 §8.8.3, §13.1).

A strong tag is `"v3"`, or `"v3-<digest>"` where a representation also shows what changes by itself. For `If-Match` the version counts.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from services.api.problems import Problem

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAGS = re.compile(rf"[\s,]*(?:{_TAG.pattern}\s*(?:,[\s,]*|$))+")
"""A list of them, in which nothing may stand too (RFC 9110 §5.6.1). A tag may hold a comma."""
_VERSION = re.compile(r'"v([1-9]\d{0,17})(?:-[0-9a-f]+)?"')
"""Versions begin with 1: what is not there has none."""


def tags(header: str) -> list[str]:
    """Return the entity tags of a header, without their weakness: proxies weaken what they compress."""
    if _TAGS.fullmatch(header) is None:
        raise Problem("bad_request", 'entity tags are quoted, such as "v3"')
    return _TAG.findall(header)


@dataclass(frozen=True)
class Condition:
    """What a client expects of the thing that it changes."""

    absent: bool = False
    """`If-None-Match: *`"""
    present: bool = False
    """`If-Match: *`"""
    versions: Sequence[int] | None = None
    """Of `If-Match`; none of them: the condition cannot hold."""

    def expected(self, now: int) -> int | None:
        """Return the version to expect of a thing that seems to have version `now` (0: it is not there)."""
        if self.absent:
            return 0
        if self.present or self.versions == []:
            if not now or self.versions == []:
                raise Problem("version_mismatch", "the thing is not what If-Match says", version=now or None)
            return now
        if self.versions is None:
            return None
        return now if now in self.versions else max(self.versions)


async def condition(
    if_match: Annotated[str | None, Header(max_length=1000, description='only if it has this version: `"v3"`')] = None,
    if_none_match: Annotated[
        str | None, Header(max_length=1000, description="`*`: only if it is not there yet")
    ] = None,
) -> Condition:
    if if_none_match is not None and if_none_match.strip() != "*":
        raise Problem("bad_request", "a change knows If-None-Match only as *")
    if if_match is not None and if_none_match is not None:
        raise Problem("bad_request", "a thing cannot be there and not be there: If-Match, or If-None-Match")
    if if_match is None:
        return Condition(absent=if_none_match is not None)
    if if_match.strip() == "*":
        return Condition(present=True)
    return Condition(versions=[int(found[1]) for tag in tags(if_match) if (found := _VERSION.fullmatch(tag))])


Conditioned = Annotated[Condition, Depends(condition)]


def tag(version: int, shown: BaseModel | bytes | None = None) -> str:
    """Return the tag of a version; `shown`: and of everything that the representation says."""
    if shown is None:
        return f'"v{version}"'
    said = shown if isinstance(shown, bytes) else shown.model_dump_json().encode()
    digest = hashlib.sha256(said).hexdigest()[:16]
    return f'"v{version}-{digest}"'


def unchanged(request: Request, response: Response, etag: str) -> Response | None:
    """Set the tag; return 304 if the client has the same already."""
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Authorization"
    asked = request.headers.get("if-none-match")
    if asked is None or (asked.strip() != "*" and etag not in tags(asked)):
        return None
    return Response(status_code=304, headers={"ETag": etag, "Vary": "Authorization"})


def stamp(response: Response, etag: str, *, created: bool = False) -> None:
    """Set the tag of what a change made, and whether it is new."""
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Authorization"
    if created:
        response.status_code = 201


UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "It is as `If-None-Match` says"}}
"""OpenAPI's description of what `unchanged` may return."""
