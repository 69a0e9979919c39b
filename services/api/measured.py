"""How often each operation is asked, how it is answered, and how long that takes."""

from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import metrics


class Measured:
    """Counts what passes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = monotonic(), 0

        async def pass_on(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, pass_on)
        finally:
            operation = getattr(scope.get("route"), "operation_id", None) or "none"
            metrics.API_REQUESTS.labels(operation, str(status)).inc()
            metrics.API_DURATION.labels(operation).observe(monotonic() - begun)
