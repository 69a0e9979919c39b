"""Re-rating over a real Kafka: a job ends with the same rows wherever it was cut off, by an error or by SIGKILL."""

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.child import Child
from chassis.kafka import Log, TopicPartition, connection, create_topics, full
from chassis.settings import Settings
from chassis.spans import batches, extents
from contracts.bills import BillEvent
from contracts.event import Event, JobId, StationId, TenantId, TokenId
from contracts.ratings import (
    By,
    ByAssignments,
    ByItsOwn,
    ByTariff,
    Choice,
    Rated,
    ReRatingBegun,
    ReRatingCancelled,
    ReRatingFailed,
    ReRatingFinished,
    ReRatingProgressed,
    SessionsRated,
)
from contracts.reference import TariffAssignment, TariffVersion, Token
from contracts.reviews import SessionReRated
from contracts.topics import BILLS, RATED, RATINGS, REVIEWS, TARIFFS, TOKENS, Topic
from services.rerating import piece
from services.rerating.desk import Desk
from services.rerating.worker import Work
from tests.billing.says import ACME, NOON, version
from tests.rerating.given import asked, bills, renamed, session, tariff

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
DEARER = ByTariff(tariff("0.50"), version=7)
CHEAPER = ByTariff(tariff("0.30"), version=8)


@pytest_asyncio.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    return settings


async def write(settings: Settings, topic: Topic[Any], events: Iterable[Event]) -> None:
    log = Log(settings)
    await log.start()
    try:
        sent = [await log.send(topic, event, id=f"{topic.name}-{n}", source="/t") for n, event in enumerate(events)]
        await asyncio.gather(*sent)
    finally:
        await log.stop()


def history(count: int, *, tenant: TenantId = ACME) -> list[BillEvent]:
    """Return the bills of sessions at many stations, three of them over one another at each."""
    one = bills(*session())
    each = [
        renamed(one, f"s-{n}", n, station=StationId(f"CP-{n // 3}"), tenant=tenant, cdr=f"cdr-{n}")
        for n in range(count)
    ]
    woven: list[BillEvent] = []
    for first in range(0, count, 3):
        woven += [event for events in zip(*each[first : first + 3], strict=True) for event in events]
    return woven


async def said(settings: Settings, topic: Topic[Any], job: str) -> list[Any]:
    """Return what a topic says of a job, each repetition of it once."""
    found: dict[str, Any] = {}
    for extent in await extents(settings, topic, range(settings.partitions)):
        async for records in batches(settings, topic, extent, "test"):
            messages = [record.message() for record in records]
            found |= {each.id: each.event for each in messages if each.event.job == job}
    return list(found.values())


async def rows(settings: Settings, job: str) -> list[Rated]:
    pieces: list[SessionsRated] = await said(settings, RATED, job)
    return [row for each in sorted(pieces, key=lambda each: (each.part, each.first)) for row in each.rows]


async def progress(settings: Settings, job: str) -> list[ReRatingProgressed]:
    return [each for each in await said(settings, RATINGS, job) if isinstance(each, ReRatingProgressed)]


class Crash(Exception):
    """The process is gone."""


class Failing(Log):
    """A log whose writer dies after so many records."""

    left = 10_000

    async def send(self, *arguments: Any, **how: Any) -> Any:
        if self.left == 0:
            raise Crash
        self.left -= 1
        return await super().send(*arguments, **how)


async def work(settings: Settings, *, writes: int = 10_000) -> bool:
    """Do all jobs that are there, in this process, and return whether it outlived so many writes."""
    log = Failing(settings, linger_ms=0)
    log.left = writes
    await log.start()
    try:
        async with Desk(settings) as desk:
            working = Work(settings, log, desk)
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(0.5):
                        job = await desk.next()
                    await working.do(job)
    except Crash:
        return False
    finally:
        await log.stop()
    return True


async def done(settings: Settings, by: By, job: str = "job-1", **fields: Any) -> list[Rated]:
    await write(settings, RATINGS, [asked(by, job=JobId(job), **fields)])
    assert await work(settings)
    return await rows(settings, job)


async def test_every_session_is_rated_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece, "ROWS", 4)
    await write(settings, BILLS, [*history(20), *history(3, tenant=TenantId("north"))])
    found = await done(settings, DEARER)
    assert {row.session for row in found} == {f"s-{n}" for n in range(20)}
    assert len(found) == 20
    pieces = await progress(settings, "job-1")
    assert sum(one.sessions for each in pieces for one in each.sums) == 20
    assert sum(one.gross_after - one.gross_before for each in pieces for one in each.sums) == 20 * (
        found[0].gross_after - found[0].gross_before  # type: ignore[operator]
    )
    assert isinstance((await said(settings, RATINGS, "job-1"))[-1], ReRatingFinished)
    assert await said(settings, REVIEWS, "job-1") == []


async def test_by_their_own_tariff_nothing_differs(settings: Settings) -> None:
    await write(settings, BILLS, history(20))
    found = await done(settings, ByItsOwn())
    assert [row.state for row in found] == ["same"] * 20


async def test_a_job_that_is_cut_off_at_any_write_ends_as_if_it_had_not_been(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piece, "ROWS", 4)
    await write(settings, BILLS, history(18))
    await done(settings, CHEAPER, mode="apply")
    undisturbed = [await rows(settings, "job-1"), await said(settings, REVIEWS, "job-1")]
    assert len(undisturbed[1]) == 18
    for cut in range(0, 28, 5):
        job = f"cut-{cut}"
        await write(settings, RATINGS, [asked(CHEAPER, job=JobId(job), mode="apply")])
        assert not await work(settings, writes=cut)
        assert await work(settings)
        assert await rows(settings, job) == undisturbed[0]
        again: list[SessionReRated] = await said(settings, REVIEWS, job)
        assert sorted(each.session for each in again) == sorted(each.session for each in undisturbed[1])


async def test_a_job_reads_no_more_than_was_there_when_it_began(settings: Settings) -> None:
    await write(settings, BILLS, history(3))
    await write(settings, RATINGS, [asked(DEARER)])
    assert not await work(settings, writes=1)
    [begun] = [each for each in await said(settings, RATINGS, "job-1") if isinstance(each, ReRatingBegun)]
    await write(settings, BILLS, renamed(bills(*session()), "late"))
    assert await work(settings)
    assert len(await rows(settings, "job-1")) == 3
    assert sum(span.end for span in begun.spans) == len(history(3))


async def test_a_job_for_one_station_reads_one_partition(settings: Settings) -> None:
    await write(settings, BILLS, history(9))
    found = await done(settings, DEARER, choice=Choice(station=StationId("CP-1")))
    assert {row.session for row in found} == {"s-3", "s-4", "s-5"}
    [begun] = [each for each in await said(settings, RATINGS, "job-1") if isinstance(each, ReRatingBegun)]
    assert len(begun.spans) == 1


async def test_a_job_reads_from_two_days_before_its_sessions_on(settings: Settings) -> None:
    await write(settings, BILLS, history(3))
    ahead = Choice(first=NOON + timedelta(days=400 * 365))
    assert await done(settings, DEARER, choice=ahead) == []
    [begun] = [each for each in await said(settings, RATINGS, "job-1") if isinstance(each, ReRatingBegun)]
    assert all(span.first == span.end for span in begun.spans)


def assignment(scope: str, tariff: str | None) -> TariffAssignment:
    return TariffAssignment(at=NOON, tenant=ACME, version=1, id=scope, tariff=tariff)


def new(number: int, price: str, id: str) -> TariffVersion:
    known = version(*tariff(price).elements, number=number)
    fields = {name: getattr(known, name) for name in known.__struct_fields__} | {"id": id}
    return TariffVersion(**fields)


async def test_what_is_assigned_as_a_job_begins_counts_to_its_end(settings: Settings) -> None:
    await write(settings, BILLS, history(6))
    card = Token(at=NOON, tenant=ACME, version=1, id=TokenId("card"), group="FLEET")
    await write(settings, TOKENS, [card])
    scopes = [assignment("tenant", "A"), assignment("site/oslo/group/FLEET", "B"), assignment("station/CP-0", None)]
    await write(settings, TARIFFS, [new(1, "0.10", "A"), new(1, "0.20", "B"), new(2, "0.25", "B"), *scopes])
    await write(settings, RATINGS, [asked(ByAssignments())])
    assert not await work(settings, writes=3)
    await write(settings, TARIFFS, [assignment("site/oslo/group/FLEET", "A")])
    assert await work(settings)
    assert {row.new_version for row in await rows(settings, "job-1")} == {2}
    assert {str(row.net_after) for row in await rows(settings, "job-1")} == {"2.50"}


async def test_a_cancelled_job_goes_no_further(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece, "ROWS", 4)
    await write(settings, BILLS, history(18))
    await write(settings, RATINGS, [asked(DEARER)])
    assert not await work(settings, writes=3)
    cancelled = ReRatingCancelled(at=NOON, tenant=ACME, job=JobId("job-1"), requested_by="key-1")
    await write(settings, RATINGS, [cancelled])
    assert await work(settings)
    assert 0 < len(await rows(settings, "job-1")) < 18
    assert not any(isinstance(each, ReRatingFinished) for each in await said(settings, RATINGS, "job-1"))


async def test_a_job_whose_log_has_gone_says_so(settings: Settings) -> None:
    await write(settings, BILLS, history(9))
    await write(settings, RATINGS, [asked(DEARER)])
    assert not await work(settings, writes=1)
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    everywhere = {TopicPartition(full(settings, "bills"), part): RecordsToDelete(before_offset=-1) for part in (0, 1)}
    await admin.delete_records(everywhere)
    await admin.close()
    assert await work(settings)
    [failed] = [each for each in await said(settings, RATINGS, "job-1") if isinstance(each, ReRatingFailed)]
    assert failed.reason == "log_expired"


# ---- the process ---------------------------------------------------------------------------------------------------


def process(settings: Settings, folder: Path) -> Child:
    said = {"KAFKA": settings.kafka, "TOPIC_PREFIX": settings.topic_prefix, "PARTITIONS": "2", "LOG": "json"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VOLTSTREAM_")}
    environment |= {f"VOLTSTREAM_{name}": value for name, value in said.items()}
    return Child(
        [sys.executable, "-m", "services.rerating"], folder=ROOT, output=folder / "log", environment=environment
    )


async def until(settings: Settings, job: str, kind: type[Event], least: int = 1) -> Sequence[Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = [each for each in await said(settings, RATINGS, job) if isinstance(each, kind)]
            if len(found) >= least:
                return found
            await asyncio.sleep(0.05)


async def test_a_process_that_is_killed_in_the_middle_of_a_job_goes_on_with_it(
    settings: Settings, tmp_path: Path
) -> None:
    await write(settings, BILLS, history(3600))
    await write(settings, RATINGS, [asked(DEARER, job=JobId("killed"))])
    first = process(settings, tmp_path)
    await until(settings, "killed", ReRatingProgressed)
    first.kill()
    await first.stop(patience=10)
    assert not any(isinstance(each, ReRatingFinished) for each in await said(settings, RATINGS, "killed"))
    second = process(settings, tmp_path)
    await until(settings, "killed", ReRatingFinished)
    await write(settings, RATINGS, [asked(DEARER, job=JobId("undisturbed"))])
    await until(settings, "undisturbed", ReRatingFinished)
    await second.stop(patience=30)
    assert second.exit_code == 0
    found = await rows(settings, "killed")
    assert len(found) == 3600
    assert found == await rows(settings, "undisturbed")
