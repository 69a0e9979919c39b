"""Tokens that open a live stream from where no header can be set: a browser's `EventSource`.

A token stands in a URL, and URLs end in logs. So it opens nothing but `/v1/stream`, only within a minute, and shows no uids, whatever
the key that asked for it may. It is sealed with the deployment's secret and kept nowhere: every replica knows it.
"""

import base64
import hmac
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials
from msgspec import Struct
from pydantic import BaseModel, Field

from chassis import clock
from chassis.secrets import Secrets
from contracts.event import Instant, TenantId
from services.api import examples
from services.api.access import FIRST_KEY, FIRST_TENANT, Access, Caller, Reader, allowed, bearer, caller
from services.api.backends import Behind
from services.api.examples import like
from services.api.problems import Problem, answers

router = APIRouter(prefix="/v1/stream-tokens", tags=["stream"], responses=answers(400, 401, 403, 422, 503))

VALID_S = 60
PREFIX = "vst_"
MAC_BYTES = 16


class StreamToken(BaseModel):
    """A short-lived token that opens live streams."""

    model_config = like(examples.STREAM_TOKEN)

    stream_token: str = Field(description="for `/v1/stream?stream_token=…`")
    expires_at: datetime = Field(description="until then it opens streams; one that is open stays open")


class _Grant(Struct, frozen=True, array_like=True):
    tenant: TenantId
    key: str
    expires_at: Instant


def minted(secrets: Secrets, grant: _Grant) -> str:
    packed = msgspec.json.encode(grant)
    return PREFIX + base64.urlsafe_b64encode(_mac(secrets, packed) + packed).decode().rstrip("=")


def _mac(secrets: Secrets, packed: bytes) -> bytes:
    return secrets.derive("stream-token", packed.hex())[:MAC_BYTES]


def _read(secrets: Secrets, token: str) -> _Grant | None:
    """Return what a token grants, if it is one of ours."""
    text = token.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, packed = raw[:MAC_BYTES], raw[MAC_BYTES:]
    return msgspec.json.decode(packed, type=_Grant) if hmac.compare_digest(mac, _mac(secrets, packed)) else None


@router.post("", operation_id="create_stream_token", status_code=201)
async def create_stream_token(caller: Reader, behind: Behind) -> StreamToken:
    """Give a token that opens live streams for a minute, and nothing else. Its streams show no uids."""
    expires_at = (clock.now() + timedelta(seconds=VALID_S)).replace(microsecond=0)
    return StreamToken(
        stream_token=minted(behind.secrets, _Grant(caller.tenant, caller.key, expires_at)), expires_at=expires_at
    )


async def listener(
    request: Request,
    behind: Behind,
    presented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    stream_token: Annotated[
        str | None, Query(max_length=1000, description="instead of a key, where no header can be set")
    ] = None,
) -> Caller:
    """Return who listens: the holder of a key that may read, or of a stream token."""
    if presented is not None or stream_token is None:
        return await allowed("read")(await caller(request, presented))
    grant = _read(behind.secrets, stream_token)
    if grant is None or grant.expires_at < clock.now():
        raise _refused("the stream token is none, or not any more: POST /v1/stream-tokens gives one")
    first = (grant.tenant, grant.key) == (FIRST_TENANT, FIRST_KEY)
    granted = Caller(grant.tenant, grant.key, frozenset({"read"}), first=first)
    access: Access = request.app.state.access
    if not await access.still(granted):
        raise _refused("the key that asked for this stream token is no more")
    return granted


def _refused(why: str) -> Problem:
    challenge = 'Bearer realm="voltstream", error="invalid_token"'
    return Problem("unauthenticated", why, headers={"WWW-Authenticate": challenge})


Listener = Annotated[Caller, Depends(listener)]
