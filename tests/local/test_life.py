"""Whole runs: started, used, interrupted, killed, started again."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local.running import Running, running

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A run that is ready; stopped at the end, and nothing is left of it."""
    with running(tmp_path_factory.mktemp("life") / "data") as run:
        run.until("Ctrl-C stops it")
        yield run
        code, said = run.interrupt()
        assert (code, said.splitlines()[-1]) == (0, "  stopped")
        assert run.left() == []


def test_a_newcomer_is_told_where_everything_is(ready: Running) -> None:
    said = "\n".join(ready.lines)
    assert f"ws://127.0.0.1:{ready.settings['VOLTSTREAM_OCPP_PORT']}/ocpp/STATION" in said
    assert f"{ready.api}/docs" in said
    assert f"in {ready.folder}/admin.key" in said
    assert re.search(r"Voltstream is ready, after \d+\.\d s", said)


def test_the_first_key_opens_everything(ready: Running) -> None:
    assert {"admin", "operate", "read"} <= set(ready.get("/v1/me")["scopes"])


def test_what_is_secret_can_be_read_by_its_owner_alone(ready: Running) -> None:
    for name in ("admin.key", "secret", "clickhouse.password"):
        assert (ready.folder / name).stat().st_mode & 0o777 == 0o600


def test_clickhouse_asks_for_its_password(ready: Running) -> None:
    url = ready.settings["VOLTSTREAM_CLICKHOUSE"].removesuffix("voltstream")
    password = (ready.folder / "clickhouse.password").read_text().strip()
    query = {"query": "SELECT count() FROM voltstream.events"}
    assert httpx.get(url, params=query, trust_env=False).status_code in {401, 403}
    assert httpx.get(url, params=query, auth=("default", password), trust_env=False).status_code == 200


def test_a_second_run_on_the_same_folder_is_refused(ready: Running) -> None:
    with running(ready.folder) as second:
        code, said = second.end()
        assert code == 1
        assert "Voltstream runs on it already" in said
    assert ready.get("/v1/me")["key_id"] == "admin"


def test_a_service_that_dies_is_started_again(ready: Running) -> None:
    started = (ready.folder / "logs" / "directory.log").read_text()
    found = re.search(r"\bpid=(\d+)", started)
    assert found is not None
    os.kill(int(found[1]), signal.SIGKILL)
    ready.until("directory has ended (exit code -9): starting it again", "directory is ready again")


@pytest.mark.parametrize("moment", ["Voltstream starts", "starting Kafka", "Kafka answers", "created"])
def test_ctrl_c_while_it_starts_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    with running(tmp_path / "data") as run:
        run.until(moment)
        code, said = run.interrupt()
        assert (code, said.splitlines()[-1]) == (0, "  stopped")
        assert "Traceback" not in said
        assert run.left() == []


def test_ctrl_c_twice_ends_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path / "data") as run:
        run.until("created")
        run.signal(signal.SIGINT)
        run.until("stopping")
        code, said = run.interrupt()
        assert (code, said.splitlines()[-1]) == (0, "  stopped")
        assert run.left() == []


def test_data_survive_even_a_kill_and_a_demo_on_them_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.until("Ctrl-C stops it")
        key = {"Authorization": f"Bearer {(tmp_path / 'data' / 'admin.key').read_text().strip()}"}
        site = {"name": "Harbour", "time_zone": "Europe/Oslo"}
        httpx.put(f"{first.api}/v1/sites/harbour", json=site, headers=key, trust_env=False).raise_for_status()
        first.signal(signal.SIGKILL)
        first.end()
    short = ("--stations", "7", "--seconds", "8")
    with running(tmp_path / "data", first.settings, *short, module="deploy.local.demo") as second:
        second.until("Ctrl-C stops it")
        assert second.get("/v1/sites/harbour")["name"] == "Harbour"
        code, said = second.end()
        assert (code, said.splitlines()[-1]) == (0, "  stopped")
        assert first.left() == second.left() == []


def test_another_number_of_partitions_than_the_data_have_is_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"VOLTSTREAM_PARTITIONS": "2"}) as first:
        first.until("created")
        first.interrupt()
    with running(tmp_path / "data") as second:
        code, said = second.end()
        assert code == 1
        assert "Voltstream cannot start: " in said
        assert "2 partitions where VOLTSTREAM_PARTITIONS says 4" in said
        assert second.left() == []
