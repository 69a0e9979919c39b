"""The application: every resource, what it works with, and what describes it."""

from typing import Any

from fastapi import Depends, FastAPI, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from services.api import (
    access_keys,
    accounts,
    alerts,
    cdrs,
    commands,
    credentials,
    data_transfers,
    exports,
    frames,
    invoices,
    payments,
    postings,
    price_quotes,
    prices,
    re_ratings,
    readings,
    receipts,
    reconciliation,
    repairing,
    repairs,
    reports,
    revenue,
    reviewing,
    sessions,
    signed_values,
    sites,
    stations,
    stream,
    stream_tokens,
    tariffs,
    tokens,
    webhooks,
)
from services.api.access import Access
from services.api.backends import Backends, Behind
from services.api.bodies import Bounded
from services.api.docs import page
from services.api.known import only_known
from services.api.measured import Measured
from services.api.problems import CATALOGUE, Problem, ProblemDetails, answers, explain, not_found
from services.api.queries import Away
from services.api.stream import Streams

DESCRIPTION = """
What is true of a charging network, what was, and what its stations should do.

Reads show what is true now; a write is answered when reads show it. Changes come with `If-Match` and `Idempotency-Key`, lists
in pages with `next_cursor` and `Link`, errors as `application/problem+json`, and what is asked of stations as commands.
"""
TAGS = [
    {"name": "sites", "description": "places with stations"},
    {"name": "stations", "description": "what charges, and its credentials"},
    {"name": "tokens", "description": "what opens charging"},
    {"name": "sessions", "description": "what was charged, and is charging"},
    {"name": "payments", "description": "what is held, taken and given back"},
    {"name": "commands", "description": "what is asked of stations"},
    {"name": "alerts", "description": "what a person should look at"},
    {"name": "reports", "description": "sums over the past"},
    {"name": "prices", "description": "what charging costs"},
    {"name": "accounts", "description": "who pays, and what they have"},
    {"name": "invoices", "description": "what people are billed, with a number"},
    {"name": "stream", "description": "what happens, as it happens"},
    {"name": "access", "description": "who may ask"},
    {"name": "about", "description": "this interface itself"},
]
RESOURCES = (
    sessions,  # what is asked most is found first
    sites,
    stations,
    credentials,
    data_transfers,
    frames,
    tokens,
    readings,
    signed_values,
    repairing,
    repairs,
    commands,
    alerts,
    reports,
    revenue,
    reconciliation,
    exports,
    tariffs,
    cdrs,
    reviewing,
    invoices,
    price_quotes,
    prices,
    accounts,
    postings,
    payments,
    receipts,
    webhooks,
    re_ratings,
    stream,
    stream_tokens,
    access_keys,
)


class Kind(BaseModel):
    """A kind of problem."""

    type: str = Field(examples=["/problems/not_found"])
    title: str
    status: int


class Api(FastAPI):
    """FastAPI, with problems in its description."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            described = super().openapi()
            schemas = described["components"]["schemas"]
            described_problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= described_problem.pop("$defs", {}) | {"Problem": described_problem}
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return self.openapi_schema or {}


def build(backends: Backends) -> Api:
    """Return the application, which begins nothing by itself."""
    app = describe()
    app.state.backends = backends
    app.state.access = Access(backends.queries, backends.settings.admin_digest)
    app.state.streams = Streams()
    return app


def describe() -> Api:
    """Return the application without anything behind it: enough for its description."""
    app = Api(
        title="Voltstream",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        servers=[{"url": "/"}],
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        separate_input_output_schemas=False,
    )
    explain(app)
    for module in RESOURCES:
        app.include_router(module.router, dependencies=[Depends(only_known)])
    _about(app)
    app.add_middleware(Bounded)
    app.add_middleware(Measured)
    return app


def _about(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """Return the description for people."""
        return HTMLResponse(page(app.openapi()))

    @app.get("/problems", tags=["about"], operation_id="list_problems")
    async def list_problems() -> list[Kind]:
        """List the kinds of problems."""
        return [
            Kind(type=f"/problems/{kind}", title=title, status=status) for kind, (status, title) in CATALOGUE.items()
        ]

    @app.get("/problems/{kind}", tags=["about"], operation_id="get_problem", responses=answers(404, 422))
    async def get_problem(kind: str) -> Kind:
        """Return one kind of problem: what the `type` of a problem leads to."""
        if kind not in CATALOGUE:
            raise not_found("problem of this kind")
        status, title = CATALOGUE[kind]
        return Kind(type=f"/problems/{kind}", title=title, status=status)

    @app.get("/readyz", tags=["about"], operation_id="ready", responses=answers(503))
    async def readyz(behind: Behind) -> Response:
        """Say whether questions can be answered now."""
        if behind.stopping.is_set():
            raise Problem("unavailable", "stopping")
        await behind.queries.answers()
        return Response("ready\n", media_type="text/plain")

    @app.exception_handler(Away)
    async def away(_: Any, error: Exception) -> Response:
        return Problem("unavailable", str(error)).response()
