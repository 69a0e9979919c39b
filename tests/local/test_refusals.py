"""What may be in the way of a start: each is said before anything is started, with what to do about it."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.broker import free_port
from chassis.settings import Settings
from deploy.local.folder import Folder
from deploy.local.runner import refuse_strange
from deploy.local.system import CannotStart, build
from tests.local.running import free_ports, running


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("VOLTSTREAM_KAFKA", "127.0.0.1:{}"),
        ("VOLTSTREAM_CLICKHOUSE", "http://127.0.0.1:{}/voltstream"),
        ("VOLTSTREAM_OCPP_PORT", "{}"),
        ("VOLTSTREAM_API_PORT", "{}"),
    ],
)
def test_a_taken_port_is_named_with_the_setting_that_chooses_another(
    tmp_path: Path, taken: int, setting: str, value: str
) -> None:
    with running(tmp_path / "data", {setting: value.format(taken)}) as run:
        code, said = run.end()
        assert code == 1
        assert f":{taken} (address already in use)" in said
        assert f"choose another with {setting}" in said
        assert run.left() == []


async def test_one_port_for_two_is_refused(tmp_path: Path) -> None:
    settings = Settings(ocpp_port=9321, api_port=9321)
    with pytest.raises(CannotStart, match=r"gateway and api would listen on the same port 9321.*VOLTSTREAM_API_PORT"):
        await build(tmp_path, settings).start()


async def test_an_address_of_another_machine_is_a_sentence_too(tmp_path: Path) -> None:
    clickhouse = SecretStr(f"http://127.0.0.1:{free_port()}/voltstream")
    settings = Settings(kafka="127.0.0.1:0", clickhouse=clickhouse, ocpp_port=0, api_port=9322, api_host="192.0.2.1")
    with pytest.raises(CannotStart, match=r"api cannot listen on 192\.0\.2\.1:9322"):
        await build(tmp_path, settings).start()


def test_without_java_one_is_told_what_to_install(tmp_path: Path) -> None:
    without = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if shutil.which("java", path=folder) is None
    )
    with running(tmp_path / "data", {"PATH": without, "JAVA_HOME": ""}) as run:
        code, said = run.end()
        assert code == 1
        assert "there is no `java` on PATH. Kafka needs Java 17 or newer: install a JRE" in said
        assert run.left() == []


def test_a_broken_setting_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"VOLTSTREAM_API_PORT": "many", "VOLTSTREAM_OCPP_PORT": "70000"}) as run:
        code, said = run.end()
        assert code == 78
        assert "VOLTSTREAM_API_PORT" in said
        assert "VOLTSTREAM_OCPP_PORT" in said
        assert "many" not in said


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"VOLTSTREAM_API_PROT": "8000"}) as run:
        code, said = run.end()
        assert code == 78
        assert "VOLTSTREAM_API_PROT: there is no such setting" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(kafka="kafka.example.com:9092"), "VOLTSTREAM_KAFKA must be 127.0.0.1:PORT"),
        (Settings(kafka="127.0.0.1:9092,127.0.0.2:9092"), "VOLTSTREAM_KAFKA must be 127.0.0.1:PORT"),
        (Settings(clickhouse=SecretStr("https://clickhouse.example.com/x")), "VOLTSTREAM_CLICKHOUSE must be"),
        (Settings(clickhouse=SecretStr("http://127.0.0.1:here/x")), "VOLTSTREAM_CLICKHOUSE must be"),
        (Settings(secret=SecretStr("s" * 40)), "VOLTSTREAM_SECRET cannot be chosen"),
        (Settings(admin_digest="a" * 64), "VOLTSTREAM_ADMIN_DIGEST cannot be chosen"),
    ],
)
def test_settings_of_a_deployment_elsewhere_are_refused_instead_of_overlooked(settings: Settings, words: str) -> None:
    with pytest.raises(CannotStart, match=words):
        refuse_strange(settings)


def test_usual_settings_are_fine() -> None:
    refuse_strange(Settings(kafka="localhost:9092", api_port=0))


def test_a_folder_that_another_run_holds_is_refused(tmp_path: Path) -> None:
    holder = Folder(tmp_path / "data")
    holder.hold()
    try:
        with running(tmp_path / "data") as run:
            code, said = run.end()
            assert code == 1
            assert f"Voltstream runs on it already (process {os.getpid()})" in said
            assert "choose another folder with --folder" in said
            assert run.left() == []
    finally:
        holder.release()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with running(tmp_path / "data") as run:
        code, said = run.end()
        assert code == 1
        assert f"cannot use {tmp_path / 'data'}: " in said


async def test_ports_that_are_left_open_are_chosen_once(tmp_path: Path) -> None:
    system = build(
        tmp_path, Settings(ocpp_port=0, api_port=0, kafka="127.0.0.1:0"), names=["gateway", "gateway-2", "api"]
    )
    ports = {system.port_of(name) for name in ("gateway", "gateway-2", "api")}
    assert len(ports | {system.kafka.port}) == 4
    assert system.api_url == f"http://127.0.0.1:{system.port_of('api')}"
    assert system.environment()["VOLTSTREAM_PUBLIC_OCPP_URL"] == f"ws://127.0.0.1:{system.port_of('gateway')}/ocpp"
    assert system.environment()["VOLTSTREAM_KAFKA"] == system.kafka.bootstrap


def test_free_ports_are_free() -> None:
    assert len(set(free_ports().values())) == 4
