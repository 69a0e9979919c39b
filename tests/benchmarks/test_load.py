"""The stations of the load insist, give up and keep books as they say: against a server that does what a test tells it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from benchmarks.load import ledger, profiles, roster
from benchmarks.load.figures import Figures
from benchmarks.load.ledger import Ledger, Transaction
from benchmarks.load.run import Load, Plan
from benchmarks.load.station import Habits, Member, Station

HABITS = Habits(patience=0.05, attempts=3, retry=0.01)
MEMBER = Member("CP 1", "0411223344")
ANSWERS: dict[str, Any] = {
    "BootNotification": {"status": "Accepted", "interval": 300, "currentTime": "2026-01-01T00:00:00Z"},
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
}
Server = Callable[[ServerConnection, list[Any]], Awaitable[None]]


async def fair(socket: ServerConnection, call: list[Any]) -> None:
    """Answer as a good server does."""
    await socket.send(json.dumps([3, call[1], ANSWERS.get(call[2], {})]))


@asynccontextmanager
async def served(answer: Server = fair) -> AsyncIterator[tuple[str, list[list[Any]]]]:
    """Run a server while it is entered; yields its URL, and what it hears."""
    heard: list[list[Any]] = []

    async def hear(socket: ServerConnection) -> None:
        async for frame in socket:
            heard.append(json.loads(frame))
            await answer(socket, heard[-1])

    async with serve(hear, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp", heard


def station(url: str, books: Ledger | None = None) -> Station:
    return Station(MEMBER, [url], "run", random.Random(1), books or Ledger(frames=True), Figures(), HABITS)


async def test_an_answered_message_is_in_the_books_to_the_last_byte() -> None:
    async with served() as (url, heard):
        one = station(url)
        assert await one.insist("StopTransaction", {"meterStop": 1}) == {}
        (exchange,) = one.ledger.exchanges
        assert json.loads(exchange.sent) == heard[0]
        assert json.loads(exchange.answer) == [3, heard[0][1], {}]
        one.leave()


async def test_what_three_silences_have_met_is_lost() -> None:
    async def silent(_: ServerConnection, __: list[Any]) -> None: ...

    async with served(silent) as (url, heard):
        one = station(url)
        assert await one.insist("StopTransaction", {}) is None
        assert len(heard) == 3
        assert one.figures.errors == {"StopTransaction silent": 3}
        one.leave()


async def test_what_three_errors_have_met_is_lost() -> None:
    async def refusing(socket: ServerConnection, call: list[Any]) -> None:
        await socket.send(json.dumps([4, call[1], "InternalError", "", {}]))

    async with served(refusing) as (url, heard):
        one = station(url)
        assert await one.insist("StopTransaction", {}) is None
        assert len(heard) == 3
        one.leave()


async def test_a_cut_is_no_attempt() -> None:
    times = 0

    async def cutting(socket: ServerConnection, call: list[Any]) -> None:
        nonlocal times
        times += 1
        if times <= 5:
            socket.transport.abort()
        else:
            await fair(socket, call)

    async with served(cutting) as (url, heard):
        one = station(url)
        assert await one.insist("StopTransaction", {}) == {}
        assert [call[3] for call in heard] == [{}] * 6
        assert one.figures.reconnects == 5
        one.leave()


async def test_a_station_says_a_message_again_under_its_id_or_another_as_is_its_habit() -> None:
    async def silent(_: ServerConnection, __: list[Any]) -> None: ...

    async with served(silent) as (url, heard):
        one = station(url)
        for one.same_ids in (True, False):
            await one.insist("StopTransaction", {})
        ids = [call[1] for call in heard]
        assert (len(set(ids[:3])), len(set(ids[3:]))) == (1, 3)
        one.leave()


async def test_a_call_to_the_station_is_answered() -> None:
    async def asking(socket: ServerConnection, call: list[Any]) -> None:
        if call[0] == 2:
            await socket.send(json.dumps([2, "ours", "Reset", {"type": "Soft"}]))
            await fair(socket, call)

    async with served(asking) as (url, heard):
        one = station(url)
        await one.insist("StopTransaction", {})
        await one.insist("StopTransaction", {})
        assert heard[1] == [4, "ours", "NotImplemented", "", {}]
        one.leave()


async def test_a_closed_load_leaves_whole_transactions_behind(tmp_path: Path) -> None:
    async with served() as (url, heard):
        load = Load(
            Plan(urls=[url], seconds=0.2, habits=HABITS),
            [MEMBER, Member("CP 2", "0455")],
            say=lambda _: None,
        )
        await load.run()
        books = load.ledger
        assert (load.unfinished, books.lost, len(books.transactions)) == (0, 0, books.acknowledged)
        stops = [call[3] for call in heard if call[2] == "StopTransaction"]
        assert [(t.ended, t.meter_stop) for t in books.transactions] == [
            (stop["timestamp"], stop["meterStop"]) for stop in sorted(stops, key=of_the_books(books))
        ]
        assert all(len(t.registers) == profiles.READINGS for t in books.transactions)
        books.write(tmp_path / "ledger.json")
        assert list(ledger.read(tmp_path / "ledger.json")) == books.transactions


def of_the_books(books: Ledger) -> Callable[[dict[str, Any]], int]:
    """Return the order in which the books have stops."""
    order = {(t.ended, t.meter_stop): place for place, t in enumerate(books.transactions)}
    return lambda stop: order[stop["timestamp"], stop["meterStop"]]


async def test_the_same_seed_draws_the_same_energies() -> None:
    async def energies(seed: int) -> list[tuple[int, int | None]]:
        async with served() as (url, _):
            plan = Plan(profile="backlog", urls=[url], seconds=5, charges=3, seed=seed, habits=HABITS)
            load = Load(plan, [MEMBER], say=lambda _: None)
            await load.run()
            return [(t.meter_start, t.meter_stop) for t in load.ledger.transactions]

    assert await energies(4) == await energies(4) != await energies(5)


async def test_a_backlog_happened_over_a_day_and_in_order() -> None:
    async with served() as (url, heard):
        load = Load(
            Plan(profile="backlog", urls=[url], seconds=5, charges=3, habits=HABITS), [MEMBER], say=lambda _: None
        )
        await load.run()
        moments = [call[3].get("timestamp") or call[3]["meterValue"][0]["timestamp"] for call in heard[1:]]
        assert moments == sorted(set(moments))
        assert [t.acknowledged for t in load.ledger.transactions] == [True] * 3


async def test_a_load_that_is_stopped_finishes_what_it_has_begun() -> None:
    async with served() as (url, _):
        plan = Plan(profile="paced", urls=[url], seconds=600, rate=100, habits=HABITS)
        load = Load(plan, [MEMBER], say=lambda _: None)
        running = asyncio.create_task(load.run())
        await load.began.wait()
        load.stop()
        await running
        assert load.ledger.acknowledged == len(load.ledger.transactions)
        assert load.unfinished == 0


async def test_the_table_names_each_action() -> None:
    async with served() as (url, _):
        load = Load(Plan(urls=[url], seconds=0.2, habits=HABITS), [MEMBER], say=lambda _: None)
        await load.run()
        rows = [line.split()[0] for line in load.result().splitlines()]
        assert {"Authorize", "MeterValues", "StartTransaction", "StopTransaction"} <= set(rows)
        assert load.result().splitlines()[-1].endswith("Wh acknowledged")


def test_a_transaction_with_a_lost_reading_is_not_whole() -> None:
    one = Transaction(station="CP", uid="04", connector=1, began="", meter_start=0)
    one.start_acknowledged = one.stop_acknowledged = True
    assert one.acknowledged
    one.lost.append("MeterValues")
    assert not one.acknowledged


@pytest.mark.parametrize(
    "url",
    ["ws://10.0.0.1/ocpp", "http://example.com", "ws://127.0.0.1.example.com/", "ftp://127.0.0.1/", "wss://[::2]/"],
)
def test_a_load_goes_to_this_machine_only(url: str) -> None:
    with pytest.raises(roster.NotHere, match="this machine only"):
        roster.loopback(url)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9000/ocpp", "ws://localhost:9000/ocpp", "http://[::1]:8000"])
def test_this_machine_has_several_names(url: str) -> None:
    assert roster.loopback(url + "/") == url


def test_who_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(roster.NotHere, match="make run"):
        roster.listening("ws://127.0.0.1:1/ocpp")


def test_a_roster_is_read_as_it_was_written_and_is_its_owners(tmp_path: Path) -> None:
    members = [MEMBER, Member("CP 2", "04", "secret")]
    roster.write(tmp_path / "roster.json", members)
    assert roster.read(tmp_path / "roster.json") == members
    assert (tmp_path / "roster.json").stat().st_mode & 0o077 == 0
