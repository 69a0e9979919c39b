"""How fast the API answers from SQL, beside a bare FastAPI route that answers the same bytes: requests per CPU-second of the process.

One session by its id, and a page of 100 sessions of a site, over HTTP.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvloop
from fastapi import FastAPI, Response
from httpx import AsyncClient
from pydantic import SecretStr

from benchmarks import views
from benchmarks.harness import Figure, Ground, Mark, Process, compared
from chassis import clickhouse, sql
from chassis.kafka import Place, Unavailable
from chassis.secrets import Secrets
from chassis.settings import Settings
from chassis.web import Web, bound
from contracts.topics import SESSIONS
from services.api.app import build
from services.api.backends import Backends
from services.api.queries import Queries
from services.views import worker

KEY = "vs_admin_" + "0123456789abcdef" * 4
ASKED = (("rest one", "/v1/sessions/{id}", 4000), ("rest page", "/v1/sessions?site=harbour&limit=100", 2000))


class NoJournal:
    """Nothing is written here."""

    async def append(self, *_: Any) -> Place:
        raise Unavailable("this API only reads")


async def measure(ground: Ground) -> list[Figure]:
    """Return requests per CPU-second for one session and for a filtered page."""
    engine = await views.fresh(ground.folder)
    store = worker.Views(engine)
    await store.positions({(SESSIONS.name, 0)})
    for chunk in views.batches(views.EVENTS):
        await store.apply([chunk])
    await engine.dispose()
    figures = []
    async with ground.process(command("api", str(engine.url)), "port=") as ours, client(await port(ours)) as api:
        id = (await api.get("/v1/sessions?limit=1")).json()["items"][0]["id"]
        for name, path, times in ASKED:
            asked = path.replace("{id}", id)
            answer = await api.get(asked)
            assert answer.status_code == 200, answer.text
            body = ground.folder / f"{name}.json"
            body.write_bytes(answer.content)
            async with ground.process(command("bare", str(body)), "port=") as bare, client(await port(bare)) as floor:
                floors, measured = await ground.alternate(
                    rate(bare, floor, "/bare", times), rate(ours, api, asked, times), "requests per CPU-second"
                )
            figures.append(compared(name, "requests per CPU-second", measured, floors, Mark(at_least=0.4)))
    return figures


def command(what: str, of: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.rest", what, of]


async def port(process: Process) -> int:
    return int((await process.said("port=", 30)).partition("port=")[2])


def client(port: int) -> AsyncClient:
    headers = {"Authorization": f"Bearer {KEY}"}
    return AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30)


def rate(process: Process, client: AsyncClient, path: str, times: int) -> Callable[[], Awaitable[float]]:
    """Return what measures requests per CPU-second of a process."""

    async def run() -> float:
        before = process.cpu_seconds()
        for _ in range(times):
            answer = await client.get(path)
            assert answer.status_code == 200
        return times / (process.cpu_seconds() - before)

    return run


# ---- the processes ------------------------------------------------------------------------------------------------------


def bare(body: bytes) -> FastAPI:
    """Return an application whose one route answers these bytes."""
    app = FastAPI()

    @app.get("/bare")
    async def answer() -> Response:
        return Response(body, media_type="application/json")

    return app


def api(address: str) -> FastAPI:
    """Return the real application over a database."""
    digest = sha256(KEY.encode()).hexdigest()
    secret = SecretStr("a-secret-of-the-benchmark-and-of-nobody")
    settings = Settings(secret=secret, admin_digest=digest, sql=SecretStr(address))
    archive = clickhouse.connect("http://127.0.0.1:9/nothing")
    queries = Queries(sql.build(settings))
    return build(Backends(settings, Secrets(secret.get_secret_value()), queries, archive, NoJournal(), patience_s=1))


async def serve(what: str, of: str) -> None:
    """Serve one of the two until stopped; says its port."""
    app = api(of) if what == "api" else bare(Path(of).read_bytes())  # noqa: ASYNC240 - nobody waits yet
    web = Web(app, bound("127.0.0.1", 0, "none"))
    await web.start()
    print(f"port={web.port}", flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rest", description=__doc__)
    parser.add_argument("what", choices=["api", "bare"])
    parser.add_argument("of", help="the database's address, or a file with the bytes")
    options = parser.parse_args()
    uvloop.run(serve(options.what, options.of))


if __name__ == "__main__":
    main()
