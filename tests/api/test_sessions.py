import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from httpx import AsyncClient
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from contracts import tables
from contracts.event import Event, StationId
from contracts.topics import SESSIONS
from services.api.sessions import Session, WholeSession
from services.views.worker import MIGRATIONS
from tests.api.network import Network, app_of, client_of
from tests.api.test_sites import pointers
from tests.api.test_stations import OURS
from tests.sql_fixture import engine_at
from tests.views.given import authorized, delivered, ended, started

FIELDS = {
    "id": "s-1",
    "station": "st-1",
    "evse": 1,
    "connector": 1,
    "site": "harbour",
    "time_zone": "Europe/Oslo",
    "transaction": "7",
    "token_id": "tok-1",
    "masked_uid": "04…8F",
    "state": "ended",
    "energy_wh": 7500,
    "meter_start_wh": 500,
    "meter_stop_wh": 8000,
    "final": True,
    "revision": 4,
    "flags": [],
    "authorization_status": "Accepted",
    "started_at": "2026-01-01T12:00:00Z",
}


@pytest_asyncio.fixture
async def spoken(network: Network, admin: AsyncClient) -> AsyncClient:
    """A client of a network with one session that is over."""
    whose = OURS
    await network.says(SESSIONS, started(**whose), authorized(**whose), delivered(100, **whose), ended(**whose))
    return admin


async def test_a_session_says_what_was_charged(spoken: AsyncClient) -> None:
    session = (await spoken.get("/v1/sessions/s-1")).json()
    assert {name: session[name] for name in FIELDS} == FIELDS


async def test_a_session_that_changes_has_another_tag(spoken: AsyncClient, network: Network) -> None:
    tag = (await spoken.get("/v1/sessions/s-1")).headers["etag"]
    assert (await spoken.get("/v1/sessions/s-1", headers={"If-None-Match": tag})).status_code == 304
    await network.says(SESSIONS, delivered(200, **OURS))
    assert (await spoken.get("/v1/sessions/s-1", headers={"If-None-Match": tag})).status_code == 200


async def test_another_tenants_session_is_not_there(spoken: AsyncClient, acme: AsyncClient) -> None:
    assert (await acme.get("/v1/sessions")).json()["items"] == []
    for method, path in (("GET", ""), ("GET", "/readings"), ("DELETE", "/charging")):
        assert (await acme.request(method, f"/v1/sessions/s-1{path}")).status_code == 404


# ---- no change is ever missed ----------------------------------------------------------------------------------------


class Follower:
    """A client that keeps asking for the next page."""

    def __init__(self, client: AsyncClient, query: str = "") -> None:
        self.client, self.next = client, f"/v1/sessions?{query}"

    async def page(self) -> list[str]:
        answer = await self.client.get(self.next)
        assert answer.status_code == 200, answer.text
        self.next = answer.links["next"]["url"]
        assert answer.json()["next_cursor"] in self.next
        return [f"{session['id']}/{session['revision']}" for session in answer.json()["items"]]

    async def all(self) -> list[str]:
        found: list[str] = []
        while page := await self.page():
            found += page
        return found


def of(station: str) -> dict[str, Any]:
    return OURS | {"station": StationId(station)}


def begun(session: str, station: str = "st-1") -> Event:
    return started(session, **of(station))


async def test_every_page_names_a_next_one_also_an_empty_one(admin: AsyncClient) -> None:
    follower = Follower(admin)
    assert [await follower.page(), await follower.page()] == [[], []]


async def test_what_comes_later_comes_after_the_cursor(admin: AsyncClient, network: Network) -> None:
    follower = Follower(admin)
    await network.says(SESSIONS, begun("a"), begun("b"))
    assert await follower.all() == ["a/1", "b/1"]
    await network.says(SESSIONS, begun("c"), delivered(10, "a", **OURS))
    assert await follower.all() == ["c/1", "a/2"]
    assert await follower.all() == []


async def test_partitions_that_show_at_their_own_pace_lose_nothing(admin: AsyncClient, network: Network) -> None:
    """The records of partition 0 are older than all that a client has seen, and show later."""
    follower = Follower(admin, "limit=2")
    early = network.hold(SESSIONS, begun("slow-1", "x"), begun("slow-2", "x"), part=0)
    await network.says(SESSIONS, begun("a", "y"), begun("b", "y"), begun("c", "y"), part=1)
    assert await follower.all() == ["a/1", "b/1", "c/1"]
    await network.show(early)
    assert await follower.all() == ["slow-1/1", "slow-2/1"]
    await network.says(SESSIONS, delivered(1, "a", **of("y")), part=1)
    assert await follower.all() == ["a/2"]


async def test_a_beginning_in_time_is_only_a_beginning(admin: AsyncClient, network: Network) -> None:
    await network.says(SESSIONS, begun("old"), part=0)
    since = (await admin.get("/v1/sessions/old")).json()["updated_at"]
    await network.says(SESSIONS, begun("new"), part=1)
    later = datetime.fromisoformat(since) + timedelta(microseconds=1)
    follower = Follower(admin, urlencode({"updated_after": later.isoformat()}))
    assert await follower.all() == ["new/1"]
    await network.says(SESSIONS, begun("newer"), part=0)
    assert await follower.all() == ["newer/1"]


async def test_pages_are_in_the_order_of_changes(admin: AsyncClient, network: Network) -> None:
    for number in range(12):
        await network.says(SESSIONS, begun(f"s-{number:02}", f"st-{number}"), part=number % 2)
    found = [await Follower(admin, f"limit={limit}").all() for limit in (1, 5, 500)]
    assert found == [[f"s-{number:02}/1" for number in range(12)]] * 3


async def test_two_partitions_that_commit_while_a_client_reads_lose_nothing(migrated: AsyncEngine) -> None:
    network = Network(migrated)
    await network.begin()
    app = app_of(network)
    changes = 40

    async def write(part: int) -> None:
        for number in range(changes):
            await network.says(SESSIONS, begun(f"{part}-{number % 5}-{number}", f"st-{part}"), part=part)

    async with client_of(app) as client:
        follower = Follower(client, "limit=3")
        writing = asyncio.gather(write(0), write(1))
        heard: list[str] = []
        while not writing.done():
            heard += await follower.page()
        await writing
        heard += await follower.all()
    await app.state.backends.clickhouse.close()
    assert sorted(heard) == sorted(f"{part}-{n % 5}-{n}/1" for part in range(2) for n in range(changes))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=ended", ["a/2"]),
        ("state=pending", ["b/1", "c/1"]),
        ("state=ended&state=pending", ["b/1", "c/1", "a/2"]),
        ("state=quarantined", []),
        ("station=st-2", ["c/1"]),
        ("site=harbour&station=st-1", ["b/1", "a/2"]),
        ("site=nowhere", []),
        ("token=tok-1&state=ended", ["a/2"]),
    ],
)
async def test_sessions_are_found_by_what_they_are(
    admin: AsyncClient, network: Network, query: str, expected: list[str]
) -> None:
    await network.says(SESSIONS, begun("a"), begun("b"), begun("c", "st-2"), ended("a", **OURS))
    follower = Follower(admin, query)
    assert await follower.all() == expected


@pytest.mark.parametrize("query", ["state=done", "updated_after=2026-01-01", "updated_after=x", "site=%00"])
async def test_a_question_that_means_nothing_is_refused(admin: AsyncClient, query: str) -> None:
    assert pointers(await admin.get(f"/v1/sessions?{query}"))[0].split(".")[0] == query.split("=", maxsplit=1)[0]


async def test_a_strange_tenants_cursor_shows_nothing(spoken: AsyncClient, acme: AsyncClient) -> None:
    cursor = (await spoken.get("/v1/sessions?updated_after=2020-01-01T00:00:00Z&site=x")).json()["next_cursor"]
    assert (await acme.get("/v1/sessions", params={"cursor": cursor})).json()["items"] == []


# ---- what is shown is kept as text -----------------------------------------------------------------------------------


async def test_what_is_answered_is_what_is_described(spoken: AsyncClient) -> None:
    whole = (await spoken.get("/v1/sessions/s-1")).json()
    (item,) = (await spoken.get("/v1/sessions")).json()["items"]
    assert list(whole) == list(WholeSession.model_fields)
    assert whole == item | {"repairs": []}
    assert WholeSession.model_validate(whole).model_dump(mode="json") == whole
    assert Session.model_validate(item).model_dump(mode="json") == item


@pytest.mark.parametrize("shown", [{"shown": None, "shown_revision": None}, {"shown": "{}", "shown_revision": 2}])
async def test_what_a_release_wrote_that_keeps_no_text_is_shown_all_the_same(
    migrated: AsyncEngine, shown: dict[str, Any]
) -> None:
    network = Network(migrated)
    await network.begin()
    await network.says(SESSIONS, begun("a"), started("b", **OURS), authorized("b", **OURS), delivered(9, "b", **OURS))
    async with client_of(app_of(network)) as client:
        answers = [(await client.get(path)).json() for path in ("/v1/sessions/b", "/v1/sessions?limit=5")]
        async with migrated.begin() as connection:
            await connection.execute(update(tables.sessions).where(tables.sessions.c.id == "b").values(shown))
        assert answers == [(await client.get(path)).json() for path in ("/v1/sessions/b", "/v1/sessions?limit=5")]
        assert [item["id"] for item in answers[1]["items"]] == ["a", "b"]


async def test_rows_of_the_release_before_are_shown(sql_url: str) -> None:
    engine = engine_at(sql_url)
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, "0012")
    async with engine.begin() as connection:
        await connection.execute(text(OLD))
        await connection.execute(text("INSERT INTO positions VALUES ('sessions', 0, 1, NULL)"))
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    async with client_of(app_of(Network(engine))) as client:
        assert (await client.get("/v1/sessions/s-1")).json()["energy_wh"] == 7500
        assert [item["energy_wh"] for item in (await client.get("/v1/sessions")).json()["items"]] == [7500]
    await engine.dispose()


OLD = """
INSERT INTO sessions (tenant, id, station, transactions, state, flags, final, revision, updated_at, part, place, energy_wh)
VALUES ('default', 's-1', 'st-1', '[]', 'ended', '[]', true, 4, '2026-01-01T12:00:00.000000+00:00', 0, 0, 7500)
"""
