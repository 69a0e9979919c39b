"""README.md is true: its commands run against a real system, and what it shows is what a newcomer sees."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from chassis import clock
from deploy.local.part import CHECKOUT
from tests.local.running import Running, running
from tests.station import Station

pytestmark = pytest.mark.timeout(420)

README = (CHECKOUT / "README.md").read_text("utf-8")
GUIDE = (CHECKOUT / "docs" / "rest.md").read_text("utf-8")
QUIET = 'curl() { command curl --noproxy "*" -sS --fail-with-body -w "\\n" "$@"; }\n'
"""What scripts need and people do not: no progress, errors that count, one answer a line."""
WITHIN_S = 40.0


def shown(text: str, *, having: str) -> str:
    """Return the indented block that has these words in it."""
    blocks = re.findall(r"(?m)(?:^    .*\n|^\n(?=    ))+", text)
    [block] = [block for block in blocks if having in block]
    return re.sub(r"(?m)^    ", "", block).strip("\n")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A system that is ready, with its data in `.voltstream`."""
    with running(tmp_path_factory.mktemp("newcomer") / ".voltstream") as run:
        run.until("Ctrl-C stops it")
        yield run
        code, _ = run.interrupt()
        assert code == 0


def here(text: str, run: Running) -> str:
    """Return the text with the ports of this run instead of the usual ones."""
    for usual, setting in ((8000, "API_PORT"), (9000, "OCPP_PORT")):
        text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{run.settings[f'VOLTSTREAM_{setting}']}")
    clickhouse = run.settings["VOLTSTREAM_CLICKHOUSE"].removesuffix("/voltstream")
    return text.replace("http://127.0.0.1:8123", clickhouse)


async def typed(commands: str, run: Running) -> list[Any]:
    """Type commands where `.voltstream` is; return what each of them answered."""
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        QUIET + here(commands, run),
        cwd=run.folder.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await shell.communicate()
    assert shell.returncode == 0, out.decode()
    return [json.loads(line) for line in out.decode().splitlines() if line]


def test_it_says_that_it_is_ready_in_these_words(ready: Running) -> None:
    promised = here(shown(README, having="Voltstream is ready"), ready).replace(".voltstream", str(ready.folder))
    said = re.sub(r"after \d+\.\d s", "after 8.4 s", "\n".join(ready.lines))
    assert promised in said


async def test_a_newcomer_connects_a_station_and_sees_it_charge(ready: Running) -> None:
    """Every command of "Connect a station", and between them a charge at the URL and with the password that they answer."""
    preparation, question = shown(README, having="/credentials"), shown(README, having="state=charging")
    site, station, credentials, token = await typed(preparation, ready)
    assert (site["id"], station["site"], token["label"]) == ("home", "home", "my card")
    url, _, identity = credentials["url"].rpartition("/")
    charger = Station(credentials["username"], (url,), password=credentials["password"].encode())
    await charger.connect(path=identity)
    transaction = await charged(charger, card=token["uid"])
    session = await asking(question, ready)
    assert (session["station"], session["site"], session["transaction"]) == ("CP-1", "home", str(transaction))
    assert session["token_id"] == token["id"]
    await charger.close()


async def charged(station: Station, *, card: str) -> int:
    """Boot, present the card and start; returns the transaction."""
    boot = await station.call("BootNotification", {"chargePointVendor": "Example", "chargePointModel": "One"})
    assert boot["status"] == "Accepted"
    start = {"connectorId": 1, "idTag": card, "meterStart": 500, "timestamp": clock.now().isoformat()}
    answer = await station.call("StartTransaction", start)
    assert answer["idTagInfo"]["status"] == "Accepted"
    return int(answer["transactionId"])


async def asking(question: str, run: Running) -> Any:
    """Ask until there is a session."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    key = shown(README, having="KEY=").splitlines()[:2]
    while True:
        [page] = await typed("\n".join([*key, question]), run)
        if page["items"]:
            return page["items"][0]
        assert asyncio.get_running_loop().time() < deadline, "no session shows"


async def test_the_guide_to_rest_begins_where_a_newcomer_is(ready: Running) -> None:
    first = re.search(r"(?s)```sh\n(.*?)```\n\n```json\n(.*?)```", GUIDE)
    assert first is not None
    assert await typed(shown(GUIDE, having="KEY=") + "\n" + first[1], ready) == [json.loads(first[2])]


def make(*words: str) -> str:
    """Return what make says. It is not told of an outer make, such as `make test`."""
    mine = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run(["make", *words], cwd=CHECKOUT, env=mine, check=True, capture_output=True, text=True).stdout


def test_make_alone_lists_every_command() -> None:
    listed = set(re.findall(r"(?m)^  make ([\w-]+) +\S", make()))
    for document in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *CHECKOUT.glob("docs/**/*.md")):
        text = document.read_text("utf-8")
        named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make (\w+)`", text)) | set(re.findall(r"(?m)^    make (\w+)", text))
        assert named <= listed, document


@pytest.mark.parametrize(("word", "does"), [("run", "deploy.local"), ("demo", "deploy.local.demo"), ("test", "pytest")])
def test_make_does_what_it_is_told(word: str, does: str) -> None:
    assert re.search(rf"\.venv/bin/(python -m )?{re.escape(does)}( -|$)", make("-n", word), re.MULTILINE)


def test_every_service_is_in_the_picture() -> None:
    picture = shown(README, having="station ⇄ gateway")
    services = {each.parent.name for each in CHECKOUT.glob("services/*/__main__.py")}
    assert services
    assert services <= set(re.findall(r"\w+", picture))


def test_every_folder_of_the_table_exists_and_the_other_way_round() -> None:
    rows = set(re.findall(r"(?m)^\| `(\w+)/` \|", README))
    assert rows == {each.parent.name for each in CHECKOUT.glob("*/__init__.py")} | {"contracts"}


def test_its_settings_exist() -> None:
    command = re.search(r"`(\.venv/bin/python -m deploy\.local --help)`", README)
    assert command is not None
    shown_by_help = subprocess.run(command[1].split(), cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    assert "Here VOLTSTREAM_PARTITIONS is 4" in shown_by_help
    assert set(re.findall(r"VOLTSTREAM_\w+", README)) <= set(re.findall(r"VOLTSTREAM_\w+", shown_by_help))


def test_whatever_is_set_up_and_kept_stays_out_of_git() -> None:
    assert {".voltstream/", ".venv/", ".cache/"} <= set((CHECKOUT / ".gitignore").read_text("utf-8").split())
