"""Replay of ClickHouse: the log read into an empty database, and every row compared.

What Kafka no longer keeps is in ClickHouse alone, and there is nothing to compare it with.
"""

from collections.abc import Mapping

from chassis import replay
from chassis.clickhouse import ClickHouse
from chassis.replay import Verdict
from chassis.settings import Settings
from contracts.topics import CATALOGUE
from services.analytics import worker
from services.analytics.sink import Sink

_EVENTS = """
SELECT topic AS of, concat(id, ' at ', toString(partition), '/', toString(offset)) AS name, sipHash64(toString(tuple(*))) AS hash
FROM events FINAL WHERE {where}
"""
_READINGS = """
SELECT 'readings, by sample' AS of, concat(event, ' number ', toString(number)) AS name, sipHash64(toString(tuple(*))) AS hash
FROM readings FINAL WHERE event IN (SELECT id FROM events FINAL WHERE topic = 'readings' AND ({where}))
"""
_SUMS = "SELECT of, count() AS rows, sum(hash) AS sum FROM ({rows}) GROUP BY of ORDER BY of"

Sums = Mapping[str, tuple[int, int]]


async def compared(settings: Settings, fresh: ClickHouse) -> list[Verdict]:
    """Compare ClickHouse with a `fresh` one, which is filled here, as far as the former has come by now."""
    db = worker.connect(settings)
    try:
        standing = await Sink(db).standing()
        until = {(topic, number): after for (topic, number), after in standing.next.items() if after}
        first = await replay.begins(settings, until)
        archive = worker.Archive(settings.model_copy(update={"clickhouse_cluster": ""}), fresh)
        await archive.migrate()
        async for chunks in replay.chunks(settings, CATALOGUE, until):
            await archive.take(chunks)
        where = " OR ".join(
            f"(topic = '{topic}' AND partition = {number} AND offset >= {first[topic, number]} AND offset < {after})"
            for (topic, number), after in until.items()
        )
        questions = [question.format(where=where or "false") for question in (_EVENTS, _READINGS)]
        return [verdict for rows in questions for verdict in await _compared(rows, db, fresh)]
    finally:
        await db.close()


async def _compared(rows: str, db: ClickHouse, fresh: ClickHouse) -> list[Verdict]:
    kept, replayed = await _sums(rows, db), await _sums(rows, fresh)
    verdicts = []
    for of in sorted(kept.keys() | replayed.keys()):
        verdict = Verdict(f"clickhouse.{of}")
        if kept.get(of) == replayed.get(of):
            verdict.equal = kept[of][0]
        else:
            before, after = await _hashes(rows, of, db), await _hashes(rows, of, fresh)
            for name in sorted(before.keys() | after.keys()):
                verdict.compare(name, before.get(name), after.get(name))
        verdicts.append(verdict)
    return verdicts


async def _sums(rows: str, db: ClickHouse) -> Sums:
    found = await db.query(_SUMS.format(rows=rows))
    return {str(row["of"]): (int(row["rows"]), int(row["sum"])) for row in found}


async def _hashes(rows: str, of: str, db: ClickHouse) -> dict[str, int]:
    found = await db.query(f"SELECT name, hash FROM ({rows}) WHERE of = {{of:String}}", {"of": of})  # noqa: S608 - ours
    return {str(row["name"]): int(row["hash"]) for row in found}
