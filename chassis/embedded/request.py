"""From an HTTP request to a `Call`: ClickHouse's conventions for URLs, headers, bodies and forms."""

import base64
import binascii
import email.parser
import email.policy
import hmac
import sys
import zlib
from collections.abc import Callable
from typing import IO, Any

import lz4.frame  # type: ignore[import-untyped]
from starlette.requests import Request

from chassis.embedded.engine import Call
from chassis.embedded.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    CANNOT_DECOMPRESS,
    NOT_IMPLEMENTED,
    REQUIRED_PASSWORD,
    Failed,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

USER = "default"

# What the URL may carry that is no setting. A session would bind a caller to one chDB client: it is accepted and ignored.
_NO_SETTING = frozenset(
    {
        "query", "query_id", "database", "default_format", "user", "password", "quota_key", "role", "wait_end_of_query",
        "buffer_size", "session_id", "session_timeout", "session_check", "close_session", "client_protocol_version",
        "compress", "decompress",
    }
)  # fmt: skip

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
_BROKEN = (zlib.error, zstd.ZstdError, RuntimeError)  # lz4 raises the last


async def call_of(request: Request, text: IO[bytes]) -> Call:
    """Read a request; the statement and its data are written to `text`. Raises `Failed`, `ClientDisconnect`."""
    given = dict(request.query_params)
    if given.get("compress", "0") != "0" or given.get("decompress", "0") != "0":
        raise Failed(NOT_IMPLEMENTED, "compress and decompress in the URL are not supported: use Content-Encoding")
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        given |= await _form(request)
        text.write(given.get("query", "").encode())
    else:
        if given.get("query"):
            text.write(given["query"].encode() + b"\n")
        await _body(request, text)
    text.seek(0)
    return Call(
        text=text,
        database=given.get("database") or request.headers.get("x-clickhouse-database", ""),
        format=given.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated",
        settings={k: v for k, v in given.items() if k not in _NO_SETTING and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")},
        read_only=request.method != "POST",
    )


async def _body(request: Request, text: IO[bytes]) -> None:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding in {"identity", ""}:
        async for chunk in request.stream():
            text.write(chunk)
    elif encoding in _DECOMPRESSORS:
        await _compressed_body(request, text, _DECOMPRESSORS[encoding])
    else:
        raise Failed(NOT_IMPLEMENTED, f"Unknown Content-Encoding {encoding}: use one of {', '.join(_DECOMPRESSORS)}")


async def _compressed_body(request: Request, text: IO[bytes], new: Callable[[], Any]) -> None:
    """Clients compress block by block: a body may be many frames, one after the other."""
    frame, open_frame = new(), False
    try:
        async for received in request.stream():
            chunk = received
            while chunk:
                text.write(frame.decompress(chunk))
                open_frame, chunk = not frame.eof, frame.unused_data or b""
                if frame.eof:
                    frame = new()
    except _BROKEN as error:
        raise Failed(CANNOT_DECOMPRESS, f"Cannot decompress the request: {error}") from error
    if open_frame:
        raise Failed(CANNOT_DECOMPRESS, "Cannot decompress the request: it ends too early")


async def _form(request: Request) -> dict[str, str]:
    """A form carries a long statement and long parameters; data in files is not supported."""
    header = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(header + await request.body())
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None or not isinstance(name, str):
            raise Failed(NOT_IMPLEMENTED, "External data is not supported")
        payload = part.get_payload(decode=True)
        fields[name] = payload.decode() if isinstance(payload, bytes) else ""
    return fields


def authenticate(request: Request, password: str) -> None:
    """Let in whoever knows the password, and without one any program of this machine, but no page in a browser."""
    if "origin" in request.headers:
        raise Failed(ACCESS_DENIED, "Web pages may not query this ClickHouse")
    if not password:
        return
    user, given = _credentials(request)
    if not user and not given:
        raise Failed(REQUIRED_PASSWORD, f"{USER}: Authentication failed: password is required")
    if user not in {"", USER} or not hmac.compare_digest(given.encode(), password.encode()):
        raise Failed(AUTHENTICATION_FAILED, "Authentication failed: password is incorrect, or there is no such user")


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", "not base64"
        return user, password
    given, headers = request.query_params, request.headers
    return (
        headers.get("x-clickhouse-user") or given.get("user", ""),
        headers.get("x-clickhouse-key") or given.get("password", ""),
    )
