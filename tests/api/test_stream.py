"""The live stream over a real Kafka: every event once, in order, for whom it is meant."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from chassis import clock, feed
from chassis.kafka import TopicPartition, create_topics, full
from chassis.secrets import Secrets
from chassis.settings import Settings
from contracts.event import CommandId, GatewayId, StationId, TenantId
from contracts.operations import ConnectorStatusChanged
from contracts.stations import CallFailed, DataTransferred, Frame
from contracts.topics import OPERATIONS, SESSIONS, STATIONS
from services.api import stream, stream_tokens
from services.api.access import Caller
from services.api.cursors import NUMBERS, Cursors
from services.api.told import told
from tests.api.network import FIRST_KEY, Network, key_of, settings_of
from tests.api.streaming import Writer, energy, listening, numbers, replica
from tests.views.given import record

BEARER = {"Authorization": f"Bearer {FIRST_KEY}"}
UID = "04A2B3C4D5E6F7"


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = settings_of(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    return settings


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a Kafka that is away."""
    monkeypatch.setattr(feed, "PATIENCE_S", 30.0)


@pytest_asyncio.fixture
async def client(settings: Settings, network: Network) -> AsyncIterator[httpx.AsyncClient]:
    async with replica(settings, network) as client:
        yield client


@pytest_asyncio.fixture
async def writer(settings: Settings) -> AsyncIterator[Writer]:
    async with Writer(settings) as writer:
        yield writer


async def refusal(client: httpx.AsyncClient, **how: Any) -> httpx.Response:
    """Return the answer of a request that gets no stream, which would not end."""
    async with client.stream("GET", "/v1/stream", **how) as response:
        assert response.status_code != 200
        await response.aread()
        return response


def status(station: str = "st-1") -> ConnectorStatusChanged:
    return ConnectorStatusChanged(
        at=clock.now(),
        tenant=TenantId("default"),
        station=StationId(station),
        evse=1,
        connector=1,
        status="Charging",
    )


def said(**more: Any) -> dict[str, Any]:
    where = {"gateway": GatewayId("g"), "reply_to": 0, "epoch": 1}
    return {"at": clock.now(), "tenant": TenantId("default"), "station": StationId("st-1")} | where | more


async def test_an_event_is_told_as_it_happens_with_what_the_log_knows_of_it(
    client: httpx.AsyncClient, writer: Writer
) -> None:
    async with listening(client) as ear:
        assert ear.response.headers["content-type"].startswith("text/event-stream")
        assert ear.response.headers["cache-control"] == "no-store"
        event = energy(7)
        [id] = await writer.says(SESSIONS, event)
        [heard] = await ear.hear(1)
    assert heard.type == "EnergyDelivered"
    assert heard.told | {"recordedtime": "…"} == {
        "specversion": "1.0",
        "id": id,
        "source": "/voltstream/tests",
        "type": "voltstream.EnergyDelivered",
        "subject": "default/st-1",
        "time": event.at.isoformat().replace("+00:00", "Z"),
        "recordedtime": "…",
        "datacontenttype": "application/json",
        "data": heard.data,
    }
    assert SESSIONS.decode(httpx.Response(200, json=heard.data).content) == event
    assert ear.retry_ms == 1000


async def test_a_stream_is_filtered_by_types_and_stations_once_or_in_lists(
    client: httpx.AsyncClient, writer: Writer
) -> None:
    async with (
        listening(client, type="EnergyDelivered") as of_type,
        listening(client, station="st-2,odd") as of_stations,
        listening(client, type=["ConnectorStatusChanged,StationConnected", "EnergyDelivered"], station="a,b") as both,
    ):
        await writer.says(OPERATIONS, status("st-1"), status("st-2"), status("a,b"))
        await writer.says(SESSIONS, energy(1, "st-1"), energy(2, "odd"), energy(3, "b"))
        assert numbers(await of_type.hear(3)) == [1, 2, 3]
        stations = sorted(heard.data["station"] for heard in await of_stations.hear(2))
        assert stations == ["odd", "st-2"]
        assert sorted(heard.data["station"] for heard in await both.hear(2)) == ["a,b", "b"]


async def test_a_stream_of_a_site_follows_its_stations(
    client: httpx.AsyncClient, writer: Writer, network: Network
) -> None:
    for site in ("harbour", "hill"):
        await client.put(f"/v1/sites/{site}", json={"name": site, "time_zone": "Europe/Oslo"})
    for station, site in (("st-1", "harbour"), ("st-2", "hill")):
        assert (await client.put(f"/v1/stations/{station}", json={"site": site})).status_code == 201
    async with listening(client, site="harbour", type="EnergyDelivered") as ear:
        await writer.says(SESSIONS, energy(1, "st-2"), energy(2, "st-1"), energy(3, "nobody"))
        assert numbers(await ear.hear(1)) == [2]
        await client.put("/v1/stations/st-2", json={"site": "harbour"})
        await writer.says(SESSIONS, energy(4, "st-2"))
        assert numbers(await ear.hear(1)) == [4]


async def test_nobody_hears_of_another_tenants_stations(client: httpx.AsyncClient, writer: Writer) -> None:
    acme = {"Authorization": f"Bearer {await key_of(client, ['read'], 'acme')}"}
    async with (
        listening(client) as ours,
        httpx.AsyncClient(base_url=client.base_url, headers=acme, timeout=30) as theirs,
        listening(theirs) as ear,
    ):
        await writer.says(SESSIONS, energy(1), energy(2, tenant="acme"), energy(3), energy(4, tenant="acme"))
        assert numbers(await ours.hear(2)) == [1, 3]
        assert numbers(await ear.hear(2)) == [2, 4]
        refused = await refusal(client, headers={"Last-Event-ID": ear.cursor})
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad_cursor")


async def test_what_was_written_in_a_transaction_that_failed_is_never_told(
    client: httpx.AsyncClient, writer: Writer
) -> None:
    async with listening(client, type="EnergyDelivered") as ear:
        await writer.decides(SESSIONS, [energy(1)])
        await writer.decides(SESSIONS, [energy(2), energy(3)], aborted=True)
        await writer.decides(SESSIONS, [energy(4)])
        assert numbers(await ear.hear(2)) == [1, 4]
        cursor = ear.cursor
    await writer.decides(SESSIONS, [energy(5)], aborted=True)
    await writer.decides(SESSIONS, [energy(6)])
    async with listening(client, cursor, type="EnergyDelivered") as again:
        assert numbers(await again.hear(1)) == [6]


async def test_whoever_comes_back_goes_on_where_they_were_at_any_replica(
    client: httpx.AsyncClient, writer: Writer, settings: Settings, network: Network
) -> None:
    async with listening(client, type="EnergyDelivered") as ear:
        await writer.says(SESSIONS, *(energy(n, f"st-{n % 5}") for n in range(20)))
        first = await ear.hear(9)
    await writer.says(SESSIONS, *(energy(n, f"st-{n % 5}") for n in range(20, 30)))
    async with replica(settings, network) as other:
        for back in (
            listening(other, first[-1].cursor, type="EnergyDelivered"),
            listening(other, type="EnergyDelivered", cursor=first[-1].cursor),
            listening(other, first[-1].cursor, type="EnergyDelivered", cursor=first[0].cursor),
        ):
            async with back as ear:
                heard = first + await ear.hear(21)
            assert sorted(numbers(heard)) == list(range(30))
            for station in range(5):
                of_it = [event for event in heard if event.data["station"] == f"st-{station}"]
                assert numbers(of_it) == list(range(station, 30, 5))


async def test_a_cut_before_the_first_event_loses_nothing(client: httpx.AsyncClient, writer: Writer) -> None:
    async with listening(client) as ear:
        lines = ear.response.aiter_lines()
        cursor = [await anext(lines) for _ in range(3)][2].removeprefix("id: ")
    await writer.says(SESSIONS, energy(1))
    async with listening(client, cursor) as ear:
        assert numbers(await ear.hear(1)) == [1]


async def test_silence_moves_the_cursor_past_what_the_client_did_not_ask_for(
    client: httpx.AsyncClient, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(stream, "RECHECK_S", 0.05)
    async with listening(client, station="st-1") as ear, listening(client) as all_of_it:
        await writer.says(SESSIONS, *(energy(n, "st-2") for n in range(3)))
        first = (await all_of_it.hear(3))[0].cursor
        cursors = Cursors(Secrets(settings_of().secret.get_secret_value()), "default")
        wanted = cursors.decode(all_of_it.cursor)
        part = next(part for part, place in wanted.items() if part[0] == "sessions" and place > 0)
        async with asyncio.timeout(30):
            async for line in ear.response.aiter_lines():
                if line.startswith("id: ") and cursors.decode(line[4:]).get(part, 3) == 3:
                    break
        assert cursors.decode(first)[part] == 1


async def test_an_expired_cursor_is_gone(
    client: httpx.AsyncClient, writer: Writer, settings: Settings, network: Network
) -> None:
    async with listening(client) as ear:
        await writer.says(SESSIONS, *(energy(n) for n in range(5)))
        heard = await ear.hear(5)
    secrets = Secrets(settings.secret.get_secret_value())
    places = Cursors(secrets, "default").decode(heard[-1].cursor)
    [(_, partition)] = [part for part, place in places.items() if place == 5]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(full(settings, "sessions"), partition): RecordsToDelete(4)})
    await admin.close()
    async with replica(settings, network) as other:  # which has none of it in memory
        for kept in heard[3:]:
            async with listening(other, kept.cursor):
                pass
        gone = await refusal(other, headers={"Last-Event-ID": heard[2].cursor})
        assert (gone.status_code, gone.json()["type"]) == (410, "/problems/expired_cursor")
        ahead = Cursors(secrets, "default").encode(places | {("sessions", partition): 9})
        assert (await refusal(other, params={"cursor": ahead})).status_code == 410


@pytest.mark.parametrize("cursor", ["x", "AAAAAAAAAAAA", "a b", "ÿ", "=", "%00", "A" * 2000])
async def test_a_cursor_that_nobody_gave_out_is_a_problem(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await refusal(client, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad_cursor")
    header = await refusal(client, headers=[(b"Last-Event-ID", cursor.encode("latin-1"))])
    assert header.status_code == 400


async def test_a_cursor_serves_a_narrower_question_but_no_wider_one(client: httpx.AsyncClient) -> None:
    cursors = Cursors(Secrets(settings_of().secret.get_secret_value()), "default")
    narrow = cursors.encode({("sessions", 0): 0, ("sessions", 1): 0})
    async with listening(client, narrow, type="SessionEnded", station="st-1"):
        pass
    wide = await refusal(client, headers={"Last-Event-ID": narrow})
    assert (wide.status_code, "other filters" in wide.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"type": "SessionBegan"}, "type"),
        ({"type": "CommandIssued"}, "type"),
        ({"type": "EnergyDelivered,energydelivered"}, "type"),
        ({"station": "a\x00"}, "station"),
        ({"site": ",".join(map(str, range(101)))}, "site"),
    ],
)
async def test_a_filter_that_means_nothing_is_named(
    client: httpx.AsyncClient, query: dict[str, str], where: str
) -> None:
    answer = await refusal(client, params=query)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where)


async def test_uids_are_masked_and_frames_left_out_without_the_right_to_see_them(
    client: httpx.AsyncClient, writer: Writer
) -> None:
    reader = {"Authorization": f"Bearer {await key_of(client, ['read'])}"}
    text = f'[2,"1","DataTransfer",{{"vendorId":"x","data":"{{\\"idTag\\":\\"{UID}\\"}}"}}]'
    transferred = DataTransferred(
        **said(), message_id='"1"', frame=Frame(text), vendor_id="x", data=f'{{"idTag":"{UID}"}}'
    )
    async with (
        listening(client, type="DataTransferred,CallFailed") as all_of_it,
        httpx.AsyncClient(base_url=client.base_url, headers=reader, timeout=30) as theirs,
        listening(theirs, type="DataTransferred,CallFailed") as ear,
    ):
        failed = CallFailed(
            **said(), command=CommandId("c"), reason="Invalid", description=f"idTag={UID}", frame=Frame("[3]")
        )
        await writer.says(STATIONS, transferred, failed)
        seen, masked = await all_of_it.hear(2), await ear.hear(2)
    assert [event.data["frame"]["text"] for event in seen] == [text, "[3]"]
    assert UID in seen[0].data["data"]
    assert all(UID not in str(event.told) and "frame" not in event.data for event in masked)
    assert masked[0].data["data"] == '{"idTag":"04…F7"}'


def test_the_name_of_a_station_is_no_uid_even_if_it_looks_like_one() -> None:
    here = said(station=StationId("EVSE-ID:0042-77"))
    transferred = DataTransferred(**here, message_id='"1"', frame=Frame("[2]"), vendor_id="x", data=f"id:{UID}")
    event = told(record(STATIONS, transferred))
    assert event is not None
    data = json.loads(event.text(uids=False) or b"")["data"]
    assert (data["station"], data["data"]) == ("EVSE-ID:0042-77", "id:04…F7")


async def test_who_is_slow_is_served_from_the_log_and_misses_nothing(
    settings: Settings, network: Network, writer: Writer
) -> None:
    async with (
        replica(settings, network, window_bytes=5_000) as client,
        listening(client, type="EnergyDelivered") as ear,
    ):
        for first in range(0, 3000, 500):
            await writer.decides(SESSIONS, [energy(n, f"st-{n % 7}") for n in range(first, first + 500)])
        heard = await ear.hear(3000)
    assert sorted(numbers(heard)) == list(range(3000))
    for station in range(7):
        assert numbers([e for e in heard if e.data["station"] == f"st-{station}"]) == list(range(station, 3000, 7))


async def test_a_key_may_have_so_many_streams_and_no_more(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_OF_KEY", 2)
    async with listening(client), listening(client):
        refused = await refusal(client)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
    async with asyncio.timeout(30):
        while (await _opens(client)) != 200:
            await asyncio.sleep(0.02)


async def _opens(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/v1/stream") as response:
        return response.status_code


async def test_a_stream_ends_when_its_key_is_deleted(
    client: httpx.AsyncClient, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_S", 0.05)
    key = (await client.post("/v1/access-keys", json={"scopes": ["read"]})).json()
    bearer = {"Authorization": f"Bearer {key['key']}"}
    async with (
        httpx.AsyncClient(base_url=client.base_url, headers=bearer, timeout=30) as theirs,
        listening(theirs) as ear,
    ):
        assert (await client.delete(f"/v1/access-keys/{key['id']}")).status_code == 204
        async with asyncio.timeout(30):
            assert [event async for event in ear.events] == []


async def test_streams_end_in_order_when_the_process_stops(settings: Settings, network: Network) -> None:
    async with AsyncExitStack() as running, httpx.AsyncClient(headers=BEARER, timeout=30) as client:
        base = (await running.enter_async_context(replica(settings, network))).base_url
        client.base_url = base
        async with listening(client) as ear:
            stopping = asyncio.create_task(running.aclose())
            async with asyncio.timeout(30):
                assert [event async for event in ear.events] == []  # and no error: the answer is whole
                await stopping


async def test_a_stream_token_opens_a_stream_and_nothing_else(
    client: httpx.AsyncClient, writer: Writer, settings: Settings
) -> None:
    made = await client.post("/v1/stream-tokens")
    assert made.status_code == 201
    token = made.json()["stream_token"]
    async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as browser:
        async with listening(browser, stream_token=token, type="DataTransferred") as ear:
            transferred = DataTransferred(
                **said(), message_id="1", frame=Frame("[2]"), vendor_id="x", data=f"uid={UID}"
            )
            await writer.says(STATIONS, transferred)
            [heard] = await ear.hear(1)
            assert UID not in str(heard)
            assert "frame" not in heard.data
        assert (await browser.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
        for wrong in (token[:-2] + "xx", "vst_", "x", FIRST_KEY, "ä"):
            answer = await refusal(browser, params={"stream_token": wrong})
            assert answer.status_code == 401, wrong
            assert wrong not in answer.text or wrong == "x"
        secrets = Secrets(settings.secret.get_secret_value())
        old = stream_tokens._Grant(TenantId("default"), "admin", clock.now() - timedelta(seconds=1))
        late = await refusal(browser, params={"stream_token": stream_tokens.minted(secrets, old)})
        assert late.status_code == 401


async def test_a_stream_token_ends_with_the_key_that_asked_for_it(client: httpx.AsyncClient) -> None:
    key = (await client.post("/v1/access-keys", json={"scopes": ["read"]})).json()
    bearer = {"Authorization": f"Bearer {key['key']}"}
    token = (await client.post("/v1/stream-tokens", headers=bearer)).json()["stream_token"]
    await client.delete(f"/v1/access-keys/{key['id']}")
    async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as browser:
        assert (await refusal(browser, params={"stream_token": token})).status_code == 401


async def test_who_may_not_read_hears_nothing(client: httpx.AsyncClient) -> None:
    blind = {"Authorization": f"Bearer {await key_of(client, ['tokens:read'])}"}
    assert (await refusal(client, headers=blind)).status_code == 403
    assert (await client.post("/v1/stream-tokens", headers=blind)).status_code == 403
    async with httpx.AsyncClient(base_url=client.base_url) as nobody:
        assert (await refusal(nobody)).status_code == 401


async def test_without_kafka_a_stream_says_so(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PATIENCE_S", 0.2)
    nowhere = settings_of(kafka="127.0.0.1:9", topic_prefix="none.", partitions=2)
    async with replica(nowhere, network) as client:
        answer = await refusal(client)
        assert (answer.status_code, "Kafka" in answer.json()["detail"]) == (503, True)


def test_every_topic_that_can_be_streamed_has_a_number_of_its_own() -> None:
    assert len(set(NUMBERS.values())) == len(NUMBERS)


def test_a_count_of_streams_forgets_who_has_none() -> None:
    streams, caller = stream.Streams(), Caller(TenantId("default"), "k", frozenset({"read"}))
    with streams.one_more(caller):
        assert streams._open.total() == 1
    assert not streams._open
