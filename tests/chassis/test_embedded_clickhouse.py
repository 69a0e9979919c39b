import gzip
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import clickhouse_connect
import httpx
import lz4.frame  # type: ignore[import-untyped]
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from chassis import embedded_clickhouse
from chassis.embedded.errors import Failed
from chassis.embedded.statement import check, insert_with_data, output_format
from tests.clickhouse_fixture import Embedded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MODULE = [sys.executable, "-m", "chassis.embedded_clickhouse"]
TABLE = (
    "CREATE TABLE rows (id UInt64, note String DEFAULT '') ENGINE = MergeTree ORDER BY id "
    "SETTINGS non_replicated_deduplication_window = 100"
)


class Http:
    """What curl or Grafana would send, to one database."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def post(self, body: Any = b"", **params: str) -> httpx.Response:
        return self.client.post("/", content=body, params=params)

    def post_with(self, headers: dict[str, str], body: bytes) -> httpx.Response:
        return self.client.post("/", content=body, headers=headers)

    def ask(self, sql: str, **params: str) -> str:
        answer = self.post(sql.encode(), **params)
        assert answer.status_code == 200, answer.text
        return answer.text.rstrip("\n")


@contextmanager
def talking(url: str, database: str = "default") -> Iterator[Http]:
    with httpx.Client(base_url=url, params={"database": database}, timeout=60) as client:
        yield Http(client)


@pytest.fixture
def http(clickhouse: str, database: str) -> Iterator[Http]:
    with talking(clickhouse) as everyone, talking(clickhouse, database) as own:
        everyone.ask(f"CREATE DATABASE {database}")
        yield own
        everyone.ask(f"DROP DATABASE {database}")


@pytest.fixture
def rows(http: Http) -> Http:
    http.ask(TABLE)
    return http


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]


# The protocol


def test_it_answers_pings(http: Http) -> None:
    for path in ("/ping", "/replicas_status", "/"):
        assert http.client.get(path).text == "Ok.\n"
    assert http.client.get("/play").status_code == 404


def test_a_query_may_be_in_the_url_in_the_body_or_in_both(http: Http) -> None:
    assert http.client.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.ask("SELECT 1") == "1"
    assert http.ask("+ 1", query="SELECT 1") == "2"


def test_a_query_may_be_a_form(http: Http) -> None:
    form = {"query": (None, "SELECT {x:String}, 'é'"), "param_x": (None, "a" * 100_000)}
    assert http.client.post("/", files=form).text == "a" * 100_000 + "\té\n"


def test_external_data_is_refused(http: Http) -> None:
    answer = http.client.post("/", files={"query": (None, "SELECT 1"), "data": ("data.csv", "1,2")})
    assert code(answer) == (501, "48")


def test_a_format_is_given_by_the_query_the_url_a_header_or_nobody(http: Http) -> None:
    answer = http.post(b"SELECT 1 AS a FORMAT JSONEachRow", default_format="CSV")
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('{"a":1}\n', "JSONEachRow")
    assert http.ask("SELECT 1, 'a'", default_format="CSV") == '1,"a"'
    assert http.post_with({"X-ClickHouse-Format": "CSV"}, b"SELECT 1, 'a'").text == '1,"a"\n'
    assert http.ask("SELECT 1, 'FORMAT JSON'") == "1\tFORMAT JSON"
    assert code(http.post(b"SELECT 1", default_format="DataFrame")) == (404, "73")


def test_a_parameter_is_never_read_as_sql(http: Http) -> None:
    assert http.ask("SELECT {x:String}", param_x="'; DROP TABLE x --") == "\\'; DROP TABLE x --"
    assert http.ask("SELECT {x:String}", param_x="a\\tb") == "a\\tb"
    assert http.ask("SELECT length({x:String})", param_x="a\\tb") == "3"


def test_a_setting_is_never_read_as_sql(http: Http) -> None:
    assert (
        http.ask("SELECT getSetting('log_comment')", log_comment="a', max_threads = '7") == "a\\', max_threads = \\'7"
    )
    assert code(http.post(b"SELECT 1", **{"max_threads = 1, log_comment": "x"})) == (404, "115")
    assert code(http.post(b"SELECT 1", max_nonsense="1")) == (404, "115")
    assert code(http.post(b"SELECT 1", **{"param_x = 1, y": "x"})) == (404, "115")


def test_a_database_is_never_read_as_sql(http: Http) -> None:
    assert code(http.post(b"SELECT 1", database="nowhere`; SELECT `1"))[1] == "81"


def test_nothing_of_one_request_is_seen_by_the_next(http: Http) -> None:
    default = http.ask("SELECT getSetting('max_block_size')")
    for _ in range(20):
        assert http.ask("SELECT getSetting('max_block_size')", max_block_size="77") == "77"
        assert http.ask("SELECT getSetting('max_block_size')") == default


def test_a_session_is_accepted_and_ignored(http: Http) -> None:
    assert http.ask("SELECT 1", session_id="a", session_timeout="60", session_check="1") == "1"


def test_get_only_reads(http: Http) -> None:
    answer = http.client.get("/", params={"query": "CREATE TABLE t (a UInt8) ENGINE = Memory", "max_threads": "1"})
    assert code(answer) == (500, "164")
    answer = http.client.get("/", params={"query": "CREATE TABLE t (a UInt8) ENGINE = Memory", "readonly": "0"})
    assert code(answer) == (500, "164")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELEC 1", (400, "62")),
        ("selec", (400, "62")),
        ("", (400, "62")),
        ("-- nothing", (400, "62")),
        ("SELECT 1; SELECT 2", (400, "62")),
        ("SELECT * FROM nowhere", (404, "60")),
        ("SELECT nothing", (404, "47")),
        ("SELECT toUInt8('a')", (400, "6")),
        ("SELECT throwIf(1)", (500, "395")),
        ("SELECT count() FROM numbers(100000000000) SETTINGS max_execution_time = 1", (408, "159")),
        ("CREATE TABLE k (a UInt8) ENGINE = Kafka('h:1', 't', 'g', 'CSV')", (500, "344")),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", (501, "48")),
        ("SYSTEM SHUTDOWN", (500, "344")),
        ("INSERT INTO rows FORMAT", (400, "62")),
        ("INSERT INTO rows FORMAT CSV SETTINGS max_threads = 1\n1", (400, "62")),
    ],
)
def test_an_error_has_clickhouses_status_and_code(rows: Http, sql: str, expected: tuple[int, str]) -> None:
    answer = rows.post(sql.encode())
    assert code(answer) == expected
    assert answer.text.startswith(f"Code: {expected[1]}. DB::Exception: ")
    assert rows.ask("SELECT 1") == "1"


def test_a_statement_that_is_no_text_is_an_error(http: Http) -> None:
    assert code(http.post(b"SELECT '\xff'")) == (400, "6")


def test_web_pages_may_not_query(http: Http) -> None:
    assert code(http.post_with({"Origin": "http://example.com"}, b"SELECT 1")) == (403, "497")


# Inserts


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO rows FORMAT JSONEachRow", '{"id":1,"note":"FORMAT CSV; VALUES"}'),
        ("", 'INSERT INTO rows FORMAT JSONEachRow\n{"id":1,"note":"FORMAT CSV; VALUES"}'),
        ("", 'INSERT INTO rows FORMAT JSONEachRow {"id":1,"note":"FORMAT CSV; VALUES"}'),
        ("INSERT INTO rows (note, id) FORMAT CSV", '"FORMAT CSV; VALUES",1'),
        ("INSERT INTO rows VALUES", "(1, 'FORMAT CSV; VALUES')"),
        ("", "insert into rows values (1, 'FORMAT CSV; VALUES');"),
        ("", "INSERT /* FORMAT CSV */ INTO `rows` -- VALUES\n(id, note) SETTINGS log_comment='FORMAT x' FORMAT TSV\n1\tFORMAT CSV; VALUES"),
        ("", "INSERT INTO rows SELECT 1, 'FORMAT CSV; VALUES'"),
        ("", "INSERT INTO rows WITH 1 AS a SELECT a, 'FORMAT CSV; VALUES'"),
    ],
)  # fmt: skip
def test_an_insert_may_be_written_in_many_ways(rows: Http, query: str, body: str) -> None:
    answer = rows.post(body.encode(), query=query)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "1"
    assert rows.ask("SELECT * FROM rows") == "1\tFORMAT CSV; VALUES"


def test_a_summary_says_what_was_read(rows: Http) -> None:
    rows.ask("INSERT INTO rows SELECT number, '' FROM numbers(1000)")
    summary = json.loads(rows.post(b"SELECT sum(id) FROM rows").headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("1000", "1")


def test_a_token_inserts_once(rows: Http) -> None:
    for token in ("a", "a", "b"):
        params = {"query": "INSERT INTO rows FORMAT CSV", "insert_deduplication_token": token}
        assert rows.post(b"1,a\n2,b\n", **params).status_code == 200
    assert rows.ask("SELECT count() FROM rows") == "4"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress), ("lz4", lz4.frame.compress)],
)
def test_a_body_may_be_compressed_in_many_frames(rows: Http, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    blocks = [b"".join(b"%d,%d\n" % (block * 20_000 + n, n) for n in range(20_000)) for block in range(3)]
    body = compress(b"INSERT INTO rows FORMAT CSV\n") + b"".join(map(compress, blocks))
    assert rows.post_with({"Content-Encoding": encoding}, body).status_code == 200
    assert rows.ask("SELECT uniqExact(id) FROM rows") == "60000"


@pytest.mark.parametrize(("encoding", "code_"), [("gzip", "271"), ("zstd", "271"), ("lz4", "271"), ("br", "48")])
def test_a_body_that_cannot_be_decompressed_inserts_nothing(rows: Http, encoding: str, code_: str) -> None:
    compress = {"zstd": zstd.compress, "lz4": lz4.frame.compress}.get(encoding, gzip.compress)
    whole = compress(b"INSERT INTO rows FORMAT CSV\n1,a\n")
    for body in (whole[:-3], b"nonsense"):
        assert code(rows.post_with({"Content-Encoding": encoding}, body))[1] == code_
    assert rows.ask("SELECT count() FROM rows") == "0"


def test_a_body_may_be_streamed(rows: Http) -> None:
    chunks = (b"".join(b"%d,note\n" % (chunk * 1000 + n) for n in range(1000)) for chunk in range(300))
    assert rows.post(chunks, query="INSERT INTO rows FORMAT CSV").status_code == 200
    assert rows.ask("SELECT uniqExact(id) FROM rows") == "300000"


def test_a_client_that_breaks_off_inserts_nothing(rows: Http) -> None:
    url = rows.client.base_url
    head = "POST /?query=INSERT+INTO+rows+FORMAT+CSV&database={} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n1,a\n2,b\n"
    with socket.create_connection((url.host, url.port)) as broken:
        broken.sendall(head.format(rows.client.params["database"]).encode())
        broken.shutdown(socket.SHUT_WR)
        while broken.recv(1000):
            pass
    assert rows.ask("SELECT count() FROM rows") == "0"


# Other people's clients


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_clickhouse_connect_is_content(clickhouse: str, rows: Http, compress: bool | str) -> None:
    url = httpx.URL(clickhouse)
    database = rows.client.params["database"]
    with clickhouse_connect.get_client(
        host=url.host, port=url.port, database=database, compress=compress, dedicated_pool=True
    ) as client:
        summary = client.insert("rows", [[n, f"note {n}"] for n in range(5000)], column_names=["id", "note"])
        assert summary.written_rows == 5000
        found = client.query("SELECT * FROM rows WHERE note = {note:String}", parameters={"note": "note 7"})
        assert found.result_rows == [(7, "note 7")]
        assert client.command("SELECT count() FROM rows") == 5000
        with client.query_row_block_stream("SELECT id FROM rows") as blocks:
            assert sum(len(block) for block in blocks) == 5000
        with pytest.raises(DatabaseError) as error:
            client.query("SELECT * FROM nowhere")
        assert error.value.code == 60


# Statements, without a server


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1", b"1"),
        (b"INSERT INTO t FORMAT CSV;\r\n1", b"1"),
        (b"INSERT INTO t FORMAT RowBinary\n\n1", b"\n1"),
        (b"INSERT INTO values VALUES (1)", b" (1)"),
        (b'INSERT INTO TABLE db.format (`select`, "values") FORMAT CSV\n1', b"1"),
        (b"INSERT INTO t /* SELECT */ FORMAT CSV\nSELECT 'unclosed", b"SELECT 'unclosed"),
        (b"INSERT INTO t (a)", b""),
        (b"INSERT INTO FUNCTION null('a UInt8, b Enum(''x'')') FORMAT CSV\n1", b"1"),
    ],
)
def test_the_data_of_an_insert_is_found(text: bytes, data: bytes) -> None:
    found = insert_with_data(text)
    assert found is not None
    assert text[found.data_at :] == data


@pytest.mark.parametrize(
    ("text", "statement_"),
    [
        (b"INSERT INTO t FORMAT CSV\n1", b"INSERT INTO t \nFROM INFILE 'f'\n\nFORMAT CSV"),
        (
            b"INSERT INTO settings -- why\nVALUES (1)",
            b"INSERT INTO settings -- why\n\nFROM INFILE 'f'\n\nFORMAT Values",
        ),
        (
            b"INSERT INTO t (a) SETTINGS x=1 FORMAT TSV\n1",
            b"INSERT INTO t (a) \nFROM INFILE 'f'\nSETTINGS x=1 \nFORMAT TSV",
        ),
    ],
)
def test_an_insert_takes_its_data_from_a_file(text: bytes, statement_: bytes) -> None:
    insert = insert_with_data(text)
    assert insert is not None
    assert insert.from_file("f") == statement_


@pytest.mark.parametrize("text", [b"", b"SELECT 'INSERT INTO t FORMAT CSV'", b"INSERT INTO t SELECT 1 FORMAT CSV"])
def test_other_statements_have_no_data(text: bytes) -> None:
    assert insert_with_data(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b"CREATE TABLE k (a UInt8) ENGINE=Kafka",
        b"create table k (a UInt8) engine /* x */ = -- y\n kafka('a')",
        b"ATTACH TABLE k (a UInt8) ENGINE Kafka()",
        b"CREATE TABLE k (a UInt8) ENGINE = `Kafka`",
        b'CREATE OR REPLACE TABLE k (a UInt8) ENGINE = "Kafka"',
        b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        b"system kill",
    ],
)
def test_what_a_server_would_not_do_is_refused(text: bytes) -> None:
    with pytest.raises(Failed):
        check(text)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT * FROM system.tables WHERE engine = 'Kafka'",
        b"CREATE TABLE kafka (engine String COMMENT 'ENGINE = Kafka') ENGINE = Null",
        b"SELECT ';', \";\", `;`, $a$ ; $b$ ; $a$ -- ;\n /* ; */;",
        b"SELECT 'it''s;', 'it\\'s;'",
    ],
)
def test_words_in_quotes_and_comments_are_no_reason_to_refuse(text: bytes) -> None:
    check(text)


def test_a_text_of_nothing_but_openings_is_read_in_one_go() -> None:
    for opening in (b"'", b"/*", b"$$", b"`", b'"', b"$a$", b"("):
        assert insert_with_data(b"INSERT INTO t SELECT" + opening * 200_000) is None
        assert output_format(opening * 200_000) is None


# The process


def test_help_says_what_it_does() -> None:
    shown = subprocess.run([*MODULE, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--folder" in shown
    assert "VOLTSTREAM_CLICKHOUSE_PASSWORD" in shown


SLOW = "SELECT sleepEachRow(1) FROM numbers(100) SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=0"
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to_even_in_the_middle_of_a_query(embedded: Callable[[], Embedded], how: int) -> None:
    running = embedded().ready()
    with talking(running.url) as http, talking(running.url) as other, ThreadPoolExecutor() as threads:
        asking = threads.submit(http.post, SLOW.encode())
        while other.ask(RUNNING) == "0":
            assert not asking.done()
        running.process.send_signal(how)
        assert running.ended() == 0
        assert code(asking.result(20)) == (500, "394")


def test_a_second_process_is_told_who_holds_the_folder(embedded: Callable[[], Embedded], tmp_path: Path) -> None:
    running = embedded().ready()
    command = [*MODULE, "--folder", str(tmp_path / "clickhouse"), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"is in use by process {running.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_taken_port_is_a_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert embedded_clickhouse.main(["--folder", str(tmp_path), "--port", str(port)]) == 1
    assert f"port {port} is taken" in capsys.readouterr().err


def test_a_port_that_is_none_is_a_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embedded_clickhouse.main(["--folder", str(tmp_path), "--port", "99999"]) == 1
    assert "port 99999 cannot be used" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert embedded_clickhouse.main(["--folder", str(tmp_path / "file" / "data"), "--port", "0"]) == 1
    assert "Not a directory" in capsys.readouterr().err
    assert embedded_clickhouse.main(["--folder", str(tmp_path / "a?b"), "--port", "0"]) == 1
    assert "question mark" in capsys.readouterr().err


def test_without_chdb_it_says_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    assert embedded_clickhouse.main(["--folder", str(tmp_path), "--port", "0"]) == 1
    assert "pip install 'voltstream[embedded]'" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="--with-parent is Linux's")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE);"
        "[print(line.decode(), end='', flush=True) for line in p.stdout]"
    )
    serving = [*MODULE, "--folder", str(tmp_path / "c"), "--port", "0", "--with-parent"]
    with subprocess.Popen([sys.executable, "-c", starter, *serving], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        while b"is ready" not in (line := parent.stdout.readline()):
            assert line
        end = os.pidfd_open(int((tmp_path / "c" / "lock").read_text()))
        parent.kill()
    assert select.select([end], [], [], 20)[0] == [end]
    os.close(end)


# SIGKILL


def insert_until_killed(url: str, first: int, acknowledged: Queue[int]) -> None:
    """Insert batches of ten, each under a token, and tell which ones were acknowledged."""
    with talking(url) as http:
        for number in itertools.count(first):
            try:
                answer = insert_batch(http, number)
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            acknowledged.put(number)


def insert_batch(http: Http, number: int) -> httpx.Response:
    params = {"query": "INSERT INTO rows FORMAT CSV", "insert_deduplication_token": str(number)}
    return http.post(b"".join(b"%d,note\n" % id for id in batch(number)), **params)


def batch(number: int) -> range:
    return range(number * 10, number * 10 + 10)


def killed_in_the_middle(running: Embedded, first: int) -> list[int]:
    """Kill it while two threads insert; returns the batches that were acknowledged."""
    acknowledged: Queue[int] = Queue()
    with ThreadPoolExecutor() as threads:
        inserting = [threads.submit(insert_until_killed, running.url, first + n, acknowledged) for n in (0, 1_000_000)]
        found = [acknowledged.get(timeout=20) for _ in range(40)]
        running.kill()
        for each in inserting:
            each.result(20)
    return found + [acknowledged.get() for _ in range(acknowledged.qsize())]


def test_nothing_acknowledged_is_lost_when_it_is_killed_in_the_middle_of_inserts(
    embedded: Callable[[], Embedded], tmp_path: Path
) -> None:
    acknowledged: list[int] = []
    for life in range(3):
        running = embedded().ready()
        with talking(running.url) as http:
            http.ask(TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
        acknowledged += killed_in_the_middle(running, life * 10_000_000)
    running = embedded().ready()
    with talking(running.url) as http:
        stored = [int(line) for line in http.ask("SELECT id FROM rows").split()]
        assert len(stored) == len(set(stored))
        assert {id for number in acknowledged for id in batch(number)} <= set(stored)
        insert_batch(http, acknowledged[-1])
        assert http.ask("SELECT count() FROM rows") == str(len(stored))
    assert running.stop() == 0
    assert sorted(path.name for path in (tmp_path / "clickhouse").iterdir()) == ["data", "lock"]
