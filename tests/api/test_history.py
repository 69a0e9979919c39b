from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio
from httpx import AsyncClient

from chassis import clickhouse as db
from chassis.clickhouse import ClickHouse
from contracts.event import CommandId, Event, SessionId, StationId, TenantId
from contracts.sessions import ReadingsTaken, SignedValueTaken
from contracts.stations import (
    CallFailed,
    CallSent,
    ConnectionOpened,
    Frame,
    FrameUnread,
    HeartbeatReceived,
    Reading,
    Sample,
    TokenPresented,
    Violation,
)
from contracts.topics import READINGS, SESSIONS, STATIONS, Topic
from services.analytics import rows
from services.analytics.worker import SCHEMA
from tests.analytics.given import at, record
from tests.api.network import Network, app_of, client_of, key_of
from tests.api.test_stations import OURS
from tests.views.given import started

UID = "04A2B3C4D5E6F7"
AUTHORIZE = f'[2, "17", "Authorize", {{"idTag": "{UID}"}}]'
HEARTBEAT = '[2,"18","Heartbeat",{ }]'
SIGNED = f'OCMF|{{"FV":"1.0","ID":"{UID}","RD":[]}}|{{"SD":"00"}}'


class Archive:
    """What analytics has written, without Kafka."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._db = clickhouse
        self._ends: dict[str, int] = {}

    async def keeps(self, topic: Topic[Any], *events: Event) -> None:
        for event in events:
            offset = self._ends.get(topic.name, 0)
            self._ends[topic.name] = offset + 1
            line = rows.line(record(topic, event, offset=offset))
            await self._db.insert_json("events", rows.encode([line]), token=f"{topic.name}-{offset}")

    async def query(self, question: str) -> list[dict[str, Any]]:
        return await self._db.query(question)


@pytest_asyncio.fixture
async def archive(clickhouse: str, database: str) -> AsyncIterator[Archive]:
    connected = db.connect(f"{clickhouse.rstrip('/')}/{database}")
    await db.migrate(connected, SCHEMA)
    yield Archive(connected)
    await connected.close()


@pytest_asyncio.fixture
async def client(network: Network, archive: Archive, clickhouse: str, database: str) -> AsyncIterator[AsyncClient]:
    """A client that may see uids, of a network with a station and a session."""
    assert archive is not None
    app = app_of(network, archive=f"{clickhouse.rstrip('/')}/{database}")
    async with client_of(app) as client:
        await client.put("/v1/stations/st-1", json={})
        await network.says(SESSIONS, started(**OURS))
        yield client
    await app.state.backends.clickhouse.close()


@pytest_asyncio.fixture
async def reader(client: AsyncClient) -> AsyncIterator[AsyncClient]:
    """A client that may not."""
    async with client_of(client._transport.app, await key_of(client, ["read"])) as reader:  # type: ignore[attr-defined]
        yield reader


def said(seconds: float = 0, tenant: str = "default") -> dict[str, object]:
    whose = {"tenant": TenantId(tenant), "station": StationId("st-1")}
    return {"at": at(seconds), "gateway": "g", "reply_to": 0, "epoch": 3} | whose


def heartbeat(text: str = HEARTBEAT, tenant: str = "default") -> Event:
    return HeartbeatReceived(message_id='"18"', frame=Frame(text), **said(tenant=tenant))  # type: ignore[arg-type]


def presented() -> Event:
    return TokenPresented(message_id='"17"', frame=Frame(AUTHORIZE), token="t", **said())  # type: ignore[arg-type]


async def test_frames_are_exactly_what_was_said_the_newest_first(client: AsyncClient, archive: Archive) -> None:
    sent = CallSent(command=CommandId("c-1"), message_id="m", frame=Frame('[2,"m","Reset",{}]'), **said())  # type: ignore[arg-type]
    lost = CallFailed(command=CommandId("c-1"), reason="TimedOut", **said())  # type: ignore[arg-type]
    opened = ConnectionOpened(protocol="ocpp1.6", security_profile=1, **said())  # type: ignore[arg-type]
    noise = FrameUnread(
        reason="no UTF-8",
        frame=Frame(base64=b"\xff\x00"),
        violations=(Violation("T-40", "not JSON"),),
        **said(),  # type: ignore[arg-type]
    )
    await archive.keeps(STATIONS, opened, heartbeat(), sent, lost, presented(), noise)
    frames = (await client.get("/v1/stations/st-1/frames")).json()["items"]
    assert [(frame["direction"], frame["meaning"], frame["text"]) for frame in frames] == [
        ("received", "FrameUnread", None),
        ("received", "TokenPresented", AUTHORIZE),
        ("sent", "CallSent", '[2,"m","Reset",{}]'),
        ("received", "HeartbeatReceived", HEARTBEAT),
    ]
    assert (frames[0]["base64"], frames[0]["violations"]) == ("/wA=", [{"rule": "T-40", "detail": "not JSON"}])
    assert (frames[2]["command"], frames[2]["epoch"]) == ("c-1", 3)
    assert not any(frame["masked"] for frame in frames)


async def test_frames_come_in_pages_while_new_ones_arrive(client: AsyncClient, archive: Archive) -> None:
    await archive.keeps(STATIONS, *(heartbeat(f"[{number}]") for number in range(5)))
    answer = await client.get("/v1/stations/st-1/frames?limit=2")
    seen = [frame["text"] for frame in answer.json()["items"]]
    await archive.keeps(STATIONS, heartbeat("[5]"))
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        seen += [frame["text"] for frame in answer.json()["items"]]
    assert seen == ["[4]", "[3]", "[2]", "[1]", "[0]"]


async def test_frames_of_one_moment_are_all_there(client: AsyncClient, clickhouse: str, database: str) -> None:
    connected = db.connect(f"{clickhouse.rstrip('/')}/{database}")
    lines = [rows.line(record(STATIONS, heartbeat(f"[{n}]"), offset=n, recorded=at(0))) for n in range(5)]
    await connected.insert_json("events", rows.encode([*lines, *lines]), token="all")
    await connected.close()
    answer = await client.get("/v1/stations/st-1/frames?limit=2")
    seen = [frame["text"] for frame in answer.json()["items"]]
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        seen += [frame["text"] for frame in answer.json()["items"]]
    assert seen == ["[4]", "[3]", "[2]", "[1]", "[0]"]


async def test_who_may_not_see_uids_sees_frames_without_them(reader: AsyncClient, archive: Archive) -> None:
    broken = FrameUnread(reason="broken", frame=Frame(AUTHORIZE[:-1]), **said())  # type: ignore[arg-type]
    bytes_ = FrameUnread(reason="broken", frame=Frame(base64=UID.encode()), **said())  # type: ignore[arg-type]
    await archive.keeps(STATIONS, heartbeat(), presented(), broken, bytes_)
    answer = await reader.get("/v1/stations/st-1/frames")
    frames = answer.json()["items"]
    assert UID not in answer.text
    assert [(frame["text"], frame["base64"], frame["masked"]) for frame in frames] == [
        (None, None, True),
        (None, None, True),
        ('[2,"17","Authorize",{"idTag":"04…F7"}]', None, True),
        (HEARTBEAT, None, False),
    ]


async def test_another_tenants_frames_are_not_there(client: AsyncClient, archive: Archive) -> None:
    await archive.keeps(STATIONS, heartbeat(tenant="acme"))
    assert (await client.get("/v1/stations/st-1/frames")).json()["items"] == []
    assert (await client.get("/v1/stations/st-2/frames")).status_code == 404


def taken(number: int, *samples: Sample, session: str = "s-1") -> Event:
    return ReadingsTaken(
        at=at(number),
        tenant=TenantId("default"),
        station=StationId("st-1"),
        report=f"r-{number}",
        evse=1,
        connector=1,
        session=SessionId(session),
        readings=(Reading(at(number), samples or (Sample(str(number), unit="Wh"),)),),
    )


async def test_readings_come_by_the_meters_clock(client: AsyncClient, archive: Archive) -> None:
    power = Sample("7.40", "Power.Active.Import", "W", "L1")
    await archive.keeps(
        READINGS, taken(20), taken(0, Sample("500", unit="Wh"), power), taken(10), taken(5, session="x")
    )
    answer = await client.get("/v1/sessions/s-1/readings")
    readings = answer.json()["items"]
    assert [(reading["at"], reading["value"]) for reading in readings] == [
        ("2026-01-01T12:00:00Z", "500"),
        ("2026-01-01T12:00:00Z", "7.40"),
        ("2026-01-01T12:00:10Z", "10"),
        ("2026-01-01T12:00:20Z", "20"),
    ]
    assert (readings[1]["measurand"], readings[1]["phase"], readings[0]["phase"]) == ("Power.Active.Import", "L1", None)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_readings_come_in_pages(client: AsyncClient, archive: Archive, limit: int) -> None:
    both = (Sample("1"), Sample("2"))
    await archive.keeps(READINGS, taken(0, *both), taken(1, *both), taken(2, *both))
    answer = await client.get(f"/v1/sessions/s-1/readings?limit={limit}")
    seen = [reading["value"] for reading in answer.json()["items"]]
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        seen += [reading["value"] for reading in answer.json()["items"]]
    assert seen == ["1", "2"] * 3


async def test_who_may_not_see_uids_sees_signed_data_without_them(
    client: AsyncClient, reader: AsyncClient, archive: Archive
) -> None:
    await archive.keeps(READINGS, taken(0, Sample(SIGNED, signed=True)))
    whole = (await client.get("/v1/sessions/s-1/readings")).json()["items"][0]["value"]
    masked = (await reader.get("/v1/sessions/s-1/readings")).json()["items"][0]["value"]
    assert whole == SIGNED
    assert masked == SIGNED.replace(UID, "04…F7")


def signed_at(number: int, data: str, *, context: str = "Transaction.End", session: str = "s-1") -> Event:
    return SignedValueTaken(
        at=at(number),
        tenant=TenantId("default"),
        station=StationId("st-1"),
        session=SessionId(session),
        report="r",
        evse=1,
        context=context,
        data=data,
    )


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_what_a_meter_signed_comes_byte_for_byte(client: AsyncClient, archive: Archive, limit: int) -> None:
    begin, end = SIGNED, SIGNED.replace("RD", "R\u00fc \\ 'x'\n")
    await archive.keeps(
        SESSIONS, signed_at(9, end), signed_at(0, begin, context="Transaction.Begin"), signed_at(1, "x", session="s-2")
    )
    answer = await client.get(f"/v1/sessions/s-1/signed-values?limit={limit}")
    values = answer.json()["items"]
    while "next" in answer.links:
        answer = await client.get(answer.links["next"]["url"])
        values += answer.json()["items"]
    assert [(each["context"], each["data"], each["masked"]) for each in values] == [
        ("Transaction.Begin", begin, False),
        ("Transaction.End", end, False),
    ]
    assert values[1]["sha256"] == sha256(end.encode()).hexdigest()
    assert (values[1]["at"], values[1]["evse"]) == ("2026-01-01T12:00:09Z", 1)


async def test_who_may_not_see_uids_sees_what_was_signed_without_them(reader: AsyncClient, archive: Archive) -> None:
    await archive.keeps(SESSIONS, signed_at(0, SIGNED))
    [value] = (await reader.get("/v1/sessions/s-1/signed-values")).json()["items"]
    assert (value["data"], value["masked"]) == (SIGNED.replace(UID, "04…F7"), True)
    assert value["sha256"] == sha256(SIGNED.encode()).hexdigest()


@pytest.mark.parametrize(
    "path", ["/v1/stations/st-1/frames", "/v1/sessions/s-1/readings", "/v1/sessions/s-1/signed-values"]
)
@pytest.mark.parametrize("cursor", ["x", "W10", "Wy0xLC0xXQ", "WzFlOTksMV0"])
async def test_a_cursor_that_was_not_given_out_is_refused(client: AsyncClient, path: str, cursor: str) -> None:
    answer = await client.get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad_cursor")
