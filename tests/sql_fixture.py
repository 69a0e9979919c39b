"""Databases for tests: SQLite, and a real PostgreSQL that is started once per pytest session."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis import sql
from chassis.broker import free_port
from chassis.child import Child
from chassis.settings import Settings
from contracts import tables
from services.views.worker import MIGRATIONS

PASSWORD = "s3cret-of-the-tests"
_NUMBERS = count()


class Postgres:
    """A server of the tests' own, as a child process: it cannot outlive them."""

    def __init__(self, folder: Path, binaries: Path, owner: str | None) -> None:
        self.folder, self.port, self._binaries = folder, free_port(), binaries
        # PostgreSQL refuses to run as root
        self._as = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups"] if owner else []
        self._child: Child | None = None

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        return f"postgresql+asyncpg://voltstream:{password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["--username=voltstream", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        places = ["--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={self.folder / 'data'}"]
        subprocess.run(
            [*self._as, str(self._binaries / "initdb"), *options, *places],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), *words]
        log = self.folder.parent / f"{self.folder.name}.log"
        self._child = Child([*self._as, *server], folder=self.folder, output=log)
        deadline = monotonic() + 60
        while not self._answers():
            if self._child.exit_code is not None or monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
            sleep(0.05)

    def _answers(self) -> bool:
        ask = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ask, check=False).returncode == 0

    def stop(self) -> None:
        """Disconnect everyone at once."""
        if self._child is None:
            return
        os.kill(self._child.pid, signal.SIGINT)
        deadline = monotonic() + 10
        while self._child.exit_code is None and monotonic() < deadline:
            sleep(0.02)
        if self._child.exit_code is None:
            self._child.kill()
        self._child = None


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    if elsewhere := shutil.which("initdb"):
        return Path(elsewhere).resolve().parent
    pytest.fail("these tests need PostgreSQL's server: install it (Debian: apt-get install postgresql)")


def _owner() -> str | None:
    """Return the user to run as instead of root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if any(user.pw_name == "postgres" for user in pwd.getpwall()) else "nobody"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The session's server. Its folder is not pytest's when root runs the tests: nobody else may enter that one."""
    binaries, owner = _binaries(), _owner()
    base = Path(tempfile.mkdtemp(prefix="voltstream-postgres-")) if owner else tmp_path_factory.mktemp("postgres")
    folder = base / "cluster"
    folder.mkdir()
    if owner:
        base.chmod(0o755)
        shutil.chown(folder, owner)
    server = Postgres(folder, binaries, owner)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(base)


@pytest_asyncio.fixture
async def postgres_url(postgres: Postgres) -> str:
    """The address of a new, empty PostgreSQL database."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    engine = engine_at(postgres.url("postgres"))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    await engine.dispose()
    return postgres.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite database that is not there yet."""
    return f"sqlite+aiosqlite:///{tmp_path}/views/voltstream.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty database, one of each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


def engine_at(url: str) -> AsyncEngine:
    """Return an engine as every service builds it."""
    return sql.build(Settings(sql=SecretStr(url)))


@pytest_asyncio.fixture
async def migrated(sql_url: str) -> AsyncIterator[AsyncEngine]:
    """A database of each kind, with today's tables."""
    engine = engine_at(sql_url)
    await sql.until_there(engine, patience=30)
    await sql.migrate(engine, MIGRATIONS, tables.REVISION)
    yield engine
    await engine.dispose()
