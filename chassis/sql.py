"""SQL: how a process connects to the read model, waits for it, and brings it to today's shape."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chassis.settings import BrokenSetting, Settings

DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg")
LOCK_WAIT_S = 30
MIGRATION_LOCK = 0x766F6C7473
"""The number of PostgreSQL's advisory lock under which the database changes its shape."""

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_POSTGRES_AWAY = ("08", "40", "53", "57", "58", "25006", "55P03")
"""SQLSTATEs that pass: connection, rollback by deadlock, no resources, an administrator, input and output, a replica, a lock."""

Report = Callable[[str], None]
T = TypeVar("T")


class Unusable(BrokenSetting):
    """The database of VOLTSTREAM_SQL cannot be used. The message says why and what to do, and never holds the password."""


class Newer(Unusable):
    """The database has been migrated by a newer program."""


def build(settings: Settings, *, connections: int = 5) -> AsyncEngine:
    """Return an engine for `settings.sql`, which connects when it is first used; raises `Unusable` for a wrong address."""
    url = _url(settings)
    options = _options(connections)
    if url.drivername == "sqlite+aiosqlite":
        engine = create_async_engine(url, connect_args={"timeout": LOCK_WAIT_S}, **options)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(url, connect_args={"timeout": 10, "command_timeout": 60}, pool_pre_ping=True, **options)


def _options(connections: int) -> dict[str, Any]:
    return {
        "hide_parameters": True,  # rows hold what no log should
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        "pool_size": connections,
    }


def _url(settings: Settings) -> URL:
    try:
        url = make_url(settings.sql.get_secret_value())
    except (ArgumentError, ValueError):  # their messages may quote a part of the password
        url = URL.create("nothing")
    if url.drivername not in DRIVERS or not url.database:
        raise Unusable(
            "VOLTSTREAM_SQL should be sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/DB "
            "(special characters in the password percent-encoded)"
        )
    return url


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """WAL: readers and the writer do not wait for each other. FULL: a commit survives a power cut."""
    connection.isolation_level = None  # we say BEGIN, not the driver, which would not for reads and DDL
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={LOCK_WAIT_S * 1000}", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Who will write says so first: a reader that becomes a writer may find that another has written."""
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    cursor = (
        connection.connection.cursor()
    )  # it touches no file, and by way of SQLAlchemy it costs as much as a question
    cursor.execute("BEGIN")
    cursor.close()


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that writes: committed at the end, or rolled back."""
    async with engine.connect() as connection:
        await connection.execution_options(writes=True)
        async with connection.begin():
            yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees one moment, however many questions it asks."""
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            yield connection


async def ask(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Return what `work` finds in a transaction that sees one moment, however many questions it asks.

    On SQLite the whole of it is one step into a thread: a hop for each statement costs more than the statements.
    """
    if engine.dialect.name != "sqlite":
        async with reading(engine) as connection:
            return await connection.run_sync(work)
    return await _in_a_thread(_beside.get(engine) or _besides(engine), work)


async def change(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Return what `work` does in a transaction that writes, committed when it returns; on SQLite a step as with `ask`."""
    if engine.dialect.name != "sqlite":
        async with writing(engine) as connection:
            return await connection.run_sync(work)
    return await _in_a_thread((_beside.get(engine) or _besides(engine)).execution_options(writes=True), work)


async def _in_a_thread(engine: Engine, work: Callable[[Connection], T]) -> T:
    def worked() -> T:
        with engine.begin() as connection:
            return work(connection)

    return await asyncio.get_running_loop().run_in_executor(_askers, worked)


_beside: WeakKeyDictionary[AsyncEngine, Engine] = WeakKeyDictionary()
_askers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sql")


def _besides(engine: AsyncEngine) -> Engine:
    """Return an engine without asyncio for the same SQLite database, which ends with the other."""
    beside = create_engine(
        engine.url.set(drivername="sqlite"),
        connect_args={"timeout": LOCK_WAIT_S},
        pool_use_lifo=True,  # the connection that was used last has its pages at hand
        **_options(connections=4),
    )
    event.listen(beside, "connect", _prepare_sqlite)
    event.listen(beside, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "engine_disposed", lambda _: beside.dispose())
    _beside[engine] = beside
    return beside


# ---- errors --------------------------------------------------------------------------------------------------------


def away(error: BaseException) -> bool:
    """Whether the database cannot be reached or used just now: what failed will succeed later, unchanged."""
    if not isinstance(error, SQLAlchemyError):
        return isinstance(error, OSError | TimeoutError)
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    causes = list(_causes(error))
    if any(isinstance(cause, OSError | TimeoutError) for cause in causes):
        return True
    codes = [getattr(cause, "sqlite_errorcode", None) for cause in causes]
    states = [getattr(cause, "sqlstate", None) for cause in causes]
    return any(code is not None and code & 0xFF in _SQLITE_AWAY for code in codes) or any(
        state is not None and state.startswith(_POSTGRES_AWAY) for state in states
    )


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in causes:
        causes.append(at)
        at = (at.orig if isinstance(at, DBAPIError) else None) or at.__cause__ or at.__context__
    return causes


def said(error: BaseException) -> str:
    """Return what the database says, in one line: no statement, no values."""
    cause = _causes(error)[-1] if not isinstance(error, DBAPIError) or error.orig is None else error.orig
    return f"{cause}".strip().splitlines()[0] if f"{cause}".strip() else type(cause).__name__


def place(engine: AsyncEngine) -> str:
    """Return where the database is, without the password."""
    return engine.url.render_as_string(hide_password=True)


# ---- readiness -----------------------------------------------------------------------------------------------------


def _silent(_: str) -> None: ...


async def until_there(engine: AsyncEngine, *, report: Report = _silent, patience: float | None = None) -> None:
    """Return when the database answers. `report` hears why it does not; after `patience` seconds, `Unusable` is raised.

    What waiting cannot cure (a wrong password, a missing database) raises it at once.
    """
    _make_folder(engine)

    async def ask() -> str | None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return None

    await _until(engine, ask, report, patience)


async def until_migrated(
    engine: AsyncEngine, revision: str, *, report: Report = _silent, patience: float | None = None
) -> None:
    """Return when the database is there and has at least the shape `revision`; raises `Newer` if it has a later one."""
    _make_folder(engine)

    async def ask() -> str | None:
        async with engine.connect() as connection:
            found = await connection.run_sync(_revision)
        _refuse_newer(found, revision)
        return None if found == revision else "its tables are not there yet: views makes them when it starts"

    await _until(engine, ask, report, patience)


async def _until(engine: AsyncEngine, ask: Callable[[], Any], report: Report, patience: float | None) -> None:
    try:
        async with asyncio.timeout(patience):
            await _ask_again(engine, ask, report)
    except TimeoutError:
        raise Unusable(
            f"{place(engine)} has not been ready within {patience:g} s: is it running, and the address right?"
        ) from None


async def _ask_again(engine: AsyncEngine, ask: Callable[[], Any], report: Report) -> None:
    for delay in delays():
        try:
            missing = await ask()
        except (SQLAlchemyError, OSError) as error:
            if not away(error):
                raise Unusable(f"{place(engine)}: {said(error)}") from None
            missing = said(error)
        if missing is None:
            return
        report(f"waiting for {place(engine)}: {missing}")
        await asyncio.sleep(delay)


def delays() -> Any:
    """Yield how long to wait before each further try, in seconds."""
    delay = 0.1
    while True:
        yield delay * random.uniform(0.8, 1.2)
        delay = min(delay * 2, 5)


def _make_folder(engine: AsyncEngine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)


# ---- shape ---------------------------------------------------------------------------------------------------------


async def migrate(engine: AsyncEngine, folder: Path, revision: str) -> None:
    """Bring the database to `revision` by the numbered migrations in `folder`; raises `Newer` if it is beyond.

    All in one transaction and under a lock: two that start at once do it once, and one that dies has done nothing.
    """
    async with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        await connection.run_sync(_upgrade, folder, revision)


def _upgrade(connection: Connection, folder: Path, revision: str) -> None:
    found = _revision(connection)
    _refuse_newer(found, revision)
    if found == revision:
        return
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, revision)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(found: str | None, known: str) -> None:
    if found is not None and found > known:
        raise Newer(
            f"the database is newer than this program: it has revision {found}, and this program knows {known}. "
            "Start the newer release, or give this one a database of its own and rebuild"
        )
