"""A Stripe for tests and demonstrations, as a process of its own: `python -m tests.payments.fake_stripe --port 12112 --state FILE`.

It speaks the part of Stripe's HTTP API that we use, holds, takes and gives back what is not money, forgets nothing when it is
killed, and signs its webhooks. `POST /control/…` makes it misbehave:

    /control/faults    {"request": "payment_intents/capture", "fault": "silent", "times": 1}
        silent: it is done, and no answer comes; unavailable: 500, and nothing is done; limited: 429; slow: after `seconds`
    /control/well      takes back all faults that have not happened yet
    /control/webhooks  {"url": …, "secret": …, "mode": "once" | "twice" | "backwards" | "lost"}
    /control/forget    lets a day go by: idempotency keys mean nothing any more
    /control/lapse     {"id": "pi_…"}: the hold has lapsed
    /control/dispute   {"id": "pi_…"}
    GET /control/intents: all that was held and taken, with how often each was captured
    GET /control/undelivered: how many events nobody has taken yet
    GET /control/silent: how many requests have got no answer until now
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.payments.fake_books import Books, Refused, Thing
from tests.payments.fake_forms import parse

PAGE = """<!doctype html><title>Pay</title><h1>Pay {amount} {currency}</h1>
<form method="post"><input name="card" value="4242424242424242"><button>Pay</button></form>"""


def signed(body: bytes, secret: str, at: int) -> str:
    """Return the header `Stripe-Signature` of a body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Fake:
    """The server around the books."""

    def __init__(self, books: Books, webhook: str = "", secret: str = "") -> None:
        self.books, self.url, self.secret, self.mode = books, webhook, secret, "once"
        self.faults: defaultdict[str, list[Thing]] = defaultdict(list)
        self.silent = 0
        self.something = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/v1/{request:path}", self.get, methods=["GET"]),
                Route("/v1/{request:path}", self.post, methods=["POST"]),
                Route("/pay/{id}", self.page, methods=["GET"]),
                Route("/pay/{id}", self.paid, methods=["POST"]),
                Route("/control/{what}", self.control, methods=["GET", "POST"]),
            ]
        )

    # ---- Stripe's API ----------------------------------------------------------------------------------------------

    async def post(self, request: Request) -> Response:
        name, id = _request_of(request.path_params["request"])
        fault = self.faults[name].pop(0) if self.faults[name] else {}
        if (early := await _before(fault)) is not None:
            return early
        tree, key = parse((await request.body()).decode()), request.headers.get("idempotency-key", "")
        try:
            status, answer = self.books.once(key, f"{name}/{id}", tree, lambda: self.books.act(name, id, tree))
        except Refused as refused:
            status, answer = refused.status, refused.body
        self.something.set()
        if fault.get("fault") == "silent":
            self.silent += 1
            await asyncio.sleep(fault.get("seconds", 3600))
        return JSONResponse(answer, status, headers={"request-id": f"req_{time.time_ns()}"})

    async def get(self, request: Request) -> Response:
        name, id = _request_of(request.path_params["request"])
        if self.faults["fetch"] and (early := await _before(self.faults["fetch"].pop(0))) is not None:
            return early
        try:
            return JSONResponse(self._look(name, id, dict(request.query_params)))
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)

    def _look(self, name: str, id: str, query: dict[str, str]) -> Thing:
        if id == "search":
            _, _, payment = query["query"].partition(":")
            found = [
                one
                for one in self.books.things("payment_intent")
                if one["metadata"].get("payment") == payment.strip("'")
            ]
            return {
                "object": "search_result",
                "data": found[:1],
                "has_more": False,
                "url": "/v1/payment_intents/search",
            }
        if name == "refunds" and not id:
            found = [one for one in self.books.things("refund") if one["payment_intent"] == query["payment_intent"]]
            return {"object": "list", "data": found, "has_more": False, "url": "/v1/refunds"}
        return self.books.thing(id)

    # ---- the payer -------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        page = self.books.thing(request.path_params["id"])
        return HTMLResponse(PAGE.format(amount=page["amount_total"] / 100, currency=page["currency"].upper()))

    async def paid(self, request: Request) -> Response:
        card = parse((await request.body()).decode()).get("card", "")
        id = request.path_params["id"]
        try:
            status, answer = self.books.once("", f"pay/{id}", {}, lambda: self.books.pay_on_page(id, card))
        except Refused as refused:
            status, answer = refused.status, refused.body
        self.something.set()
        return RedirectResponse(answer["success_url"], 303) if status == 200 else JSONResponse(answer, status)

    # ---- whoever tests ---------------------------------------------------------------------------------------------

    async def control(self, request: Request) -> Response:
        said: Thing = json.loads(await request.body() or b"{}")
        match request.path_params["what"]:
            case "faults":
                self.faults[said["request"]] += [said] * said.get("times", 1)
            case "well":
                self.faults.clear()
            case "webhooks":
                self.url, self.secret = said.get("url", self.url), said.get("secret", self.secret)
                self.mode = said.get("mode", self.mode)
                self.something.set()
            case "forget":
                self.books.forget_keys()
            case "lapse":
                self.books.cancel(self.books.thing(said["id"]), "automatic")
                self.something.set()
            case "dispute":
                self.books.dispute(self.books.thing(said["id"]))
                self.something.set()
            case "undelivered":
                return JSONResponse(len(self.books.undelivered()))
            case "silent":
                return JSONResponse(self.silent)
            case "intents":
                return JSONResponse(list(self.books.things("payment_intent")))
            case _:
                return Response(status_code=404)
        return JSONResponse({})

    # ---- webhooks --------------------------------------------------------------------------------------------------

    async def deliver(self) -> None:
        """Deliver for ever what is not delivered, again until it is taken."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while True:
                self.something.clear()
                waiting = self.books.undelivered() if self.url else []
                left = False
                for number, event in reversed(waiting) if self.mode == "backwards" else waiting:
                    left |= not await self._one(client, number, event)
                try:
                    async with asyncio.timeout(0.2 if left else 3600):
                        await self.something.wait()
                except TimeoutError:
                    pass

    async def _one(self, client: httpx.AsyncClient, number: int, event: Thing) -> bool:
        body = json.dumps(event).encode()
        for _ in range({"twice": 2, "lost": 0}.get(self.mode, 1)):
            headers = {
                "Stripe-Signature": signed(body, self.secret, int(time.time())),
                "Content-Type": "application/json",
            }
            try:
                answer = await client.post(self.url, content=body, headers=headers)
            except httpx.HTTPError:
                return False
            if not answer.is_success:
                return False
        self.books.delivered(number)
        return True


async def _before(fault: Thing) -> Response | None:
    match fault.get("fault"):
        case "unavailable":
            return JSONResponse({"error": {"type": "api_error", "message": "fake: unavailable"}}, 500)
        case "limited":
            return JSONResponse({"error": {"type": "invalid_request_error", "code": "rate_limit"}}, 429)
        case "slow":
            await asyncio.sleep(fault.get("seconds", 1))
        case _:
            pass
    return None


def _request_of(path: str) -> tuple[str, str]:
    """Return which request a path is, and which thing it is about: `payment_intents/pi_1/capture`."""
    steps = path.split("/")
    resource = "/".join(steps[:2]) if steps[0] == "checkout" else steps[0]
    rest = steps[len(resource.split("/")) :]
    return "/".join([resource, *rest[1:]]), rest[0] if rest else ""


async def serve(fake: Fake, port: int) -> None:
    server = uvicorn.Server(uvicorn.Config(fake.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    delivering = asyncio.create_task(fake.deliver())
    serving = asyncio.create_task(server.serve())
    await asyncio.wait([delivering, serving], return_when=asyncio.FIRST_COMPLETED)
    delivering.cancel()
    await asyncio.gather(serving, delivering, return_exceptions=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.payments.fake_stripe", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=12112)
    parser.add_argument("--state", type=Path, required=True, help="an SQLite file, made if it is missing")
    parser.add_argument("--webhook", default="", help="where events are sent")
    parser.add_argument("--secret", default="whsec_fake", help="that they are signed with")
    options = parser.parse_args()
    books = Books(options.state)
    books.address = f"http://127.0.0.1:{options.port}"
    asyncio.run(serve(Fake(books, options.webhook, options.secret), options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
