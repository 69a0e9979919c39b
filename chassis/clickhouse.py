"""ClickHouse for services: the only importer of clickhouse_connect.

It speaks ClickHouse's HTTP protocol, so an embedded ClickHouse, a server and a cluster look the same.
"""

import asyncio
import hashlib
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, NotSupportedError, ProgrammingError
from urllib3.exceptions import HTTPError

from chassis.errors import SaysWhatToDo

T = TypeVar("T")
Settings = Mapping[str, str | int]

_log = structlog.get_logger()


class Unavailable(Exception):
    """ClickHouse does not answer, or cannot at the moment: the same again, later, may succeed."""


class Refused(Exception):
    """ClickHouse understood and refused: the same again will be refused again. `code` is ClickHouse's, 0 if it has none."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


# Files that cannot be written or opened, timeouts, too many queries or parts, memory, read-only replicas, a full disk, lost
# keepers, overload, interrupted queries.
_PASSING = frozenset(
    {75, 76, 159, 202, 203, 209, 210, 225, 241, 242, 243, 252, 279, 285, 319, 394, 425, 439, 574, 745, 999}
)
TABLE_ALREADY_EXISTS = 57

_INSERT: Settings = {
    "async_insert": 0,  # an answer means that the rows are stored
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "date_time_input_format": "best_effort",
}
PIECE_BYTES = 1 << 18
"""Of a streamed result, that are in memory at a time."""
_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where ClickHouse is. Its text never shows the password."""

    secure: bool
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}/{self.database}"


def address(url: str) -> Address:
    """Read `http[s]://[user[:password]@]host[:port][/database]`. Raises `ValueError`, which does not repeat the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in {"http", "https"} or not host or "/" in database or parts.query or parts.fragment:
        raise ValueError("the URL of ClickHouse must look like http://user:password@host:8123/database")
    secure = parts.scheme == "https"
    return Address(
        secure=secure,
        host=host,
        port=port or (8443 if secure else 8123),
        database=database or "default",
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
    )


class ClickHouse:
    """One database. Built by `connect`; the first call opens the connection. Every call raises `Unavailable` or `Refused`."""

    def __init__(self, address: Address, *, threads: int, timeout_s: int) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="clickhouse")
        self._opening = threading.Lock()
        self._opened: Client | None = None

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a SELECT, held in memory whole; times have zones. `{name:Type}` in `sql` stands for a parameter."""
        bound = dict(parameters or {})
        return await self._call(lambda client: list(client.query(sql, parameters=bound).named_results()))

    async def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, fmt: str, settings: Settings | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the result of a SELECT in one of ClickHouse's formats, piece by piece as it comes."""
        bound, given = dict(parameters or {}), dict(settings or {})
        source: Any = await self._call(lambda client: client.raw_stream(sql, parameters=bound, settings=given, fmt=fmt))
        try:
            while piece := await self._call(lambda _: _read(source, self.address)):
                yield piece
        finally:
            await self._call(lambda _: source.close())

    async def command(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Settings | None = None
    ) -> None:
        """Run a statement that returns nothing of interest."""
        bound, given = dict(parameters or {}), dict(settings or {})
        await self._call(lambda client: client.command(sql, parameters=bound, settings=given))

    async def insert_json(self, table: str, rows: bytes, *, token: str, settings: Settings | None = None) -> int:
        """Insert JSONEachRow lines; returns the rows written, those in materialized views included.

        The same `token` again inserts nothing, whatever the rows, for as many inserts as the table's
        `non_replicated_deduplication_window` (or `replicated_deduplication_window`) says, and ClickHouse reports the
        rows as written nevertheless. Raises `ValueError` for a name that is no table's.
        """
        if _TABLE.fullmatch(table) is None:
            raise ValueError(f"{table!r} is not the name of a table")
        if not rows:
            return 0
        given = {**_INSERT, "insert_deduplication_token": token, **(settings or {})}
        return await self._call(
            lambda client: client.raw_insert(table, insert_block=rows, fmt="JSONEachRow", settings=given).written_rows
        )

    async def ready(self, deadline_s: float) -> None:
        """Wait until ClickHouse answers. Raises `Unavailable` after `deadline_s` seconds, `Refused` (a wrong password) at once."""
        clock = asyncio.get_running_loop().time
        end, next_word = clock() + deadline_s, clock()
        while True:
            try:
                await self._call(lambda client: client.command("SELECT 1", use_database=False))
            except Unavailable as reason:
                if clock() >= end:
                    raise Unavailable(f"{reason}; waited {deadline_s:g} s for it") from reason
                if clock() >= next_word:
                    _log.info("waiting for ClickHouse", address=str(self.address), reason=str(reason))
                    next_word = clock() + 5
                await asyncio.sleep(min(0.2, max(0.0, end - clock())))
            else:
                return

    async def create_database(self, on_cluster: str = "") -> None:
        """Create the database that the URL names, unless it exists."""
        database = self.address.database
        exists = "SELECT count() FROM system.databases WHERE name = {name:String}"
        create = f"CREATE DATABASE IF NOT EXISTS {_name(database)} {on_cluster}"
        # Asked first, because the right to create one is not needed where there is one.
        if not await self._call(
            lambda client: client.command(exists, parameters={"name": database}, use_database=False)
        ):
            await self._call(lambda client: client.command(create, use_database=False))

    async def close(self) -> None:
        """Let the connections go; calls that are under way are waited for."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._opened is not None:
            self._opened.close()

    async def _call(self, work: Callable[[Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, work)

    def _work(self, work: Callable[[Client], T]) -> T:
        try:
            return work(self._client())
        except DatabaseError as error:
            raise _meaning(error, self.address) from error

    def _client(self) -> Client:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Client:
        client = clickhouse_connect.get_client(
            host=self.address.host,
            port=self.address.port,
            username=self.address.user,
            password=self.address.password,
            secure=self.address.secure,
            interface="https" if self.address.secure else "http",
            database="__default__",  # the URL's may not exist yet
            connect_timeout=5,
            send_receive_timeout=self._timeout_s,
            autogenerate_session_id=False,  # a session would serialize the threads
            show_clickhouse_errors="scrub",
            tz_mode="aware",
            dedicated_pool=True,
        )
        client.database = self.address.database
        return client


def connect(url: str, *, threads: int = 8, timeout_s: int = 300) -> ClickHouse:
    """Build a ClickHouse that is not yet connected: see `address` for the URL. At most `threads` calls run at once."""
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)  # it warns of what it raises as well
    return ClickHouse(address(url), threads=threads, timeout_s=timeout_s)


def _read(source: Any, address: Address) -> bytes:
    try:
        return bytes(source.read(PIECE_BYTES))
    except (OSError, HTTPError) as error:
        raise Unavailable(f"ClickHouse at {address} broke off: {error}") from error


def _meaning(error: DatabaseError, address: Address) -> Unavailable | Refused:
    message = str(error)
    if error.code is not None:
        kind = Unavailable(message) if error.code in _PASSING else Refused(error.code, message)
    elif isinstance(error, ProgrammingError | DataError | NotSupportedError):
        kind = Refused(0, message)
    else:
        kind = Unavailable(f"ClickHouse at {address} does not answer: {error.__cause__ or message}")
    return kind


def _name(identifier: str) -> str:
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


# Migrations


class MigrationRefused(SaysWhatToDo):
    """The folder of migrations and the database contradict each other."""


class Migration(NamedTuple):
    """One file, `NNNN_name.sql`. `digest` is of its text as written, before placeholders are filled in."""

    name: str
    digest: str
    text: str


_FILE = re.compile(r"(\d{4})_\w+\.sql", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_MACROS = frozenset({"shard", "replica", "uuid", "database", "table", "layer"})  # ClickHouse fills these in itself
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_END = re.compile(r";[ \t]*$", re.MULTILINE)
_CHANGES_NAMES = re.compile(r"CREATE|DROP|RENAME|ALTER\b.*\b(ADD|DROP|CLEAR|RENAME)\b", re.IGNORECASE | re.DOTALL)
_BEARS_REPETITION = re.compile(r"\bIF\s+(NOT\s+)?EXISTS\b|\bOR\s+REPLACE\b", re.IGNORECASE)

# Stands as long as one process applies migrations: creating a table that exists fails, which makes it a lock.
_TURN = "migrations_running"
_STALE_TURN_S = 20

_RECORD = """
CREATE TABLE IF NOT EXISTS migrations {on_cluster} (
    name String,
    digest String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = {replicated}MergeTree ORDER BY name
"""


def placeholders(cluster: str = "") -> dict[str, str]:
    """What a migration may say so that it suits one machine and a cluster: `{on_cluster}`, `{engine}`, `{replicated}`.

    `CREATE TABLE t {on_cluster} (...) ENGINE = {engine} ...`, or `{replicated}ReplacingMergeTree(version)` for other
    members of the family. The paths of replicated tables are the server's `default_replica_path`.
    """
    replicated = "Replicated" if cluster else ""
    return {
        "on_cluster": f"ON CLUSTER {_name(cluster)}" if cluster else "",
        "replicated": replicated,
        "engine": f"{replicated}MergeTree",
    }


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in placeholders; `{name:Type}` and ClickHouse's own macros stay. Raises `MigrationRefused` for an unknown one."""

    def value(found: re.Match[str]) -> str:
        if found[1] in _MACROS:
            return found[0]
        if found[1] not in values:
            raise MigrationRefused(f"{found[0]} is not a placeholder: there are {', '.join(values)}")
        return values[found[1]]

    return _PLACEHOLDER.sub(value, text)


def statements(text: str) -> list[str]:
    """Split a migration: a statement ends with a `;` at the end of a line; lines that begin with `--` are comments.

    Raises `MigrationRefused` for a statement that does not bear repetition: a process that is killed in the middle of
    a file begins that file again.
    """
    found = [part.strip() for part in _END.split(_COMMENT.sub("", text)) if part.strip()]
    for statement in found:
        if _CHANGES_NAMES.match(statement) and not _BEARS_REPETITION.search(statement):
            raise MigrationRefused(f"must say IF [NOT] EXISTS or OR REPLACE, to bear repetition: {statement[:80]}")
    return found


def migrations(folder: Path) -> list[Migration]:
    """Read a folder in order. Raises `MigrationRefused` for a badly named file, a number given twice and an empty folder."""
    files = sorted(folder.glob("*.sql"))
    numbers = [found[1] for file in files if (found := _FILE.fullmatch(file.name))]
    if not files or len(set(numbers)) != len(files):
        raise MigrationRefused(f"{folder} must hold files NNNN_name.sql, each with a number of its own")
    return [
        Migration(file.name, hashlib.sha256(file.read_bytes()).hexdigest(), file.read_text("utf-8")) for file in files
    ]


async def migrate(db: ClickHouse, folder: Path, *, cluster: str = "") -> list[str]:
    """Bring the database to what `folder` says, creating it if need be; returns the names of the files applied now.

    Several processes may do so at once: one works, the others wait for it. Raises `MigrationRefused` when an applied
    file has been changed, is missing, or would have a new one before it.
    """
    wanted, values = migrations(folder), placeholders(cluster)
    work = {each.name: statements(render(each.text, values)) for each in wanted}
    await db.create_database(values["on_cluster"])
    await db.command(render(_RECORD, values))
    if not await _pending(db, wanted):
        return []
    async with _turn(db, values["on_cluster"]):
        pending = await _pending(db, wanted)
        for each in pending:
            for statement in work[each.name]:
                await db.command(statement)
            await db.insert_json("migrations", _recorded(each), token=each.name)
            _log.info("ClickHouse migration applied", migration=each.name)
    return [each.name for each in pending]


def _recorded(migration: Migration) -> bytes:
    return json.dumps({"name": migration.name, "digest": migration.digest}).encode()


async def _pending(db: ClickHouse, wanted: Sequence[Migration]) -> list[Migration]:
    applied = {row["name"]: row["digest"] for row in await db.query("SELECT name, digest FROM migrations")}
    digests = {each.name: each.digest for each in wanted}
    for name, digest in sorted(applied.items()):
        if name not in digests:
            raise MigrationRefused(f"{name} has been applied to {db.address} but is missing from the folder")
        if digests[name] != digest:
            raise MigrationRefused(f"{name} has been changed since it was applied to {db.address}: write a new file")
    pending = [each for each in wanted if each.name not in applied]
    if pending and applied and pending[0].name < max(applied):
        raise MigrationRefused(f"{pending[0].name} comes before {max(applied)}, which has been applied: renumber it")
    return pending


@asynccontextmanager
async def _turn(db: ClickHouse, on_cluster: str) -> AsyncIterator[None]:
    waiting = False
    while not await _taken(db, on_cluster):
        if not waiting:
            _log.info("waiting for another process to apply ClickHouse migrations", address=str(db.address))
            waiting = True
        if await _turn_age_s(db) > _STALE_TURN_S:
            # Its holder was killed, or is slow: then two work at once, which statements that bear repetition survive.
            _log.warning("taking over ClickHouse migrations from a process that has gone", address=str(db.address))
            await db.command(f"DROP TABLE IF EXISTS {_TURN} {on_cluster} SYNC")
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await db.command(f"DROP TABLE IF EXISTS {_TURN} {on_cluster} SYNC")


async def _taken(db: ClickHouse, on_cluster: str) -> bool:
    try:
        await db.command(f"CREATE TABLE {_TURN} {on_cluster} (holder String) ENGINE = Null")
    except Refused as refused:
        if refused.code == TABLE_ALREADY_EXISTS:
            return False
        raise
    return True


async def _turn_age_s(db: ClickHouse) -> int:
    rows = await db.query(
        "SELECT dateDiff('second', metadata_modification_time, now()) AS age FROM system.tables "
        "WHERE database = currentDatabase() AND name = {turn:String}",
        {"turn": _TURN},
    )
    return int(rows[0]["age"]) if rows else 0
