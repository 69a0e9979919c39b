"""Statements in, bytes out: the only importer of chDB.

Every call has a chDB client of its own: opening one takes 0.3 ms, and then no setting, database or temporary table of
one caller is ever seen by the next. Results are held in memory whole.
"""

import importlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from chassis.embedded import statement
from chassis.embedded.errors import CANNOT_PARSE_TEXT, UNKNOWN_FORMAT, UNKNOWN_SETTING, Failed, from_chdb

_CHUNK_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PYTHON_OBJECTS = frozenset({"dataframe", "arrowtable", "datastore"})  # chDB's own "formats", which are not bytes

_DEFAULTS = {
    "async_insert": "0",  # an answer means that the rows are stored, not that they will be
    "implicit_select": "0",  # a statement without SELECT is a mistake, as on a server
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: the statement, followed by the data of an INSERT, is in `text`."""

    text: IO[bytes]
    database: str = ""
    format: str = "TabSeparated"
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    body: bytes = b""
    format: str = "TabSeparated"
    summary: dict[str, int] = field(default_factory=dict)


class Engine:
    """chDB, opened on a folder."""

    def __init__(self, connect: Callable[[], Any], errors: tuple[type[Exception], ...], folder: Path) -> None:
        self._connect, self._folder = connect, folder
        self._errors = errors
        self._first = connect()  # keeps the engine open between calls

    def run(self, call: Call) -> Answer:
        """Run one statement; may be called from several threads. Raises `Failed`."""
        head = call.text.read(statement.HEAD_BYTES)
        insert = statement.insert_with_data(head)
        if insert is None:
            head += call.text.read()
            statement.check(head)
        else:
            call.text.seek(insert.data_at)
        client = self._connect()
        try:
            _prepare(client, call)
            return _insert(client, insert, call, self._folder) if insert else _query(client, head, call)
        except self._errors as error:
            raise from_chdb(str(error)) from error
        finally:
            client.close()

    def close(self) -> None:
        self._first.close()


def open_folder(folder: Path) -> Engine:
    """Open or create the database in `folder` (seconds). Raises `ModuleNotFoundError` without chDB, `Failed` if it will not open."""
    chdb = importlib.import_module("chdb")
    errors = (RuntimeError, chdb.ChdbError)
    try:
        return Engine(lambda: chdb.connect(str(folder)), errors, folder.parent)
    except errors as error:
        raise from_chdb(str(error)) from error


def _prepare(client: Any, call: Call) -> None:
    settings = _DEFAULTS | call.settings
    if call.read_only and settings.get("readonly", "0") == "0":
        settings["readonly"] = "2"
    values = {f"param_{name}": value for name, value in call.parameters.items()} | settings
    for name in values:
        if _NAME.fullmatch(name) is None:
            raise Failed(UNKNOWN_SETTING, f"Setting {name!r} is neither a known setting nor a parameter")
    if call.database:
        client.query(f"USE {_quoted(call.database, '`')}", "Null")
    client.query("SET " + ", ".join(f"{name} = {_quoted(value, chr(39))}" for name, value in values.items()), "Null")


def _insert(client: Any, insert: statement.Insert, call: Call, folder: Path) -> Answer:
    """Insert what follows the statement, from a nameless file.

    chDB's own `send_insert` says that all is well also where the rows could not be stored, as on a full disk.
    """
    statement.check(insert.head)
    with tempfile.TemporaryFile(dir=folder) as data:
        shutil.copyfileobj(call.text, data, _CHUNK_BYTES)
        data.flush()
        data.seek(0)
        done = client.query(_decoded(insert.from_file(f"/dev/fd/{data.fileno()}")), "Null")
    rows, size = done.rows_written(), done.bytes_written()
    return Answer(summary={"read_rows": rows, "read_bytes": size, "written_rows": rows, "written_bytes": size})


def _query(client: Any, text: bytes, call: Call) -> Answer:
    if call.format.lower() in _PYTHON_OBJECTS:
        raise Failed(UNKNOWN_FORMAT, f"Unknown format {call.format}")
    result = client.query(_decoded(text), call.format)
    body = bytes(result.bytes() or b"")
    summary = {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": len(body),
        "elapsed_ns": int(result.elapsed() * 1e9),
    }
    return Answer(body=body, format=statement.output_format(text) or call.format, summary=summary)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Failed(CANNOT_PARSE_TEXT, f"The statement is not UTF-8: {error}") from error


def _quoted(value: str, quote: str) -> str:
    return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
