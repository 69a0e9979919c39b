"""Bodies of requests: JSON that says so, and not too much of it."""

from typing import Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import Problem

LARGEST = 1 << 20


async def said_to_be_json(request: Request) -> None:
    """Refuse a body that does not say that it is JSON."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = said == "application/json" or (said.startswith("application/") and said.endswith("+json"))
    if not is_json and await request.body():
        raise Problem("unsupported_media_type", "send the body with Content-Type: application/json")


JSON_ONLY: list[Any] = [Depends(said_to_be_json)]


class Bounded:
    """Refuses a body larger than `LARGEST` bytes before it has been read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST:
                refusal = Problem("too_large", f"a body may have {LARGEST} bytes", headers={"Connection": "close"})
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, _again(body, receive), send)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a channel on which the body is heard first, and then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def hear() -> Message:
        return waiting.pop() if waiting else await receive()

    return hear
