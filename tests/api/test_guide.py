"""docs/rest.md is true: its commands run, and what it says they answer is part of what they answer."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from chassis.web import Web, bound
from contracts.event import SessionId, SiteId, StationId, TenantId
from contracts.sessions import Account, EnergyDelivered, ReadingsTaken
from contracts.stations import Frame as Said
from contracts.stations import HeartbeatReceived, Reading, Sample
from contracts.topics import ALERTS, READINGS, SESSIONS, STATIONS
from services.api.problems import CATALOGUE
from tests.analytics.given import at
from tests.api.network import FIRST_KEY, Network, app_of
from tests.api.test_history import Archive, archive
from tests.api.test_repairs import done
from tests.views.given import authorized, delivered, raised, started

__all__ = ["archive"]

GUIDE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```\n(?:\n```json\n(.*?)^```\n)?", GUIDE, re.MULTILINE | re.DOTALL)
STATION: dict[str, Any] = {"tenant": TenantId("default"), "station": StationId("RDAM 123")}
END = "=== the answer of one example ends here ==="


def fits(said: Any, real: Any) -> bool:
    """Return whether `real` is what the guide says; `…` stands for anything, and there may be more."""
    match said, real:
        case dict(), dict():
            return all(name in real and fits(value, real[name]) for name, value in said.items())
        case list(), list():
            return (bool(said) or not real) and len(said) <= len(real) and all(map(fits, said, real))
        case str(), str():
            return re.fullmatch(re.escape(said).replace("…", ".*"), real, re.DOTALL) is not None
        case _:
            return bool(said == real)


async def shell(script: str, folder: Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def prepared(network: Network, archive: Archive) -> None:
    """Let a station have said and done what the guide shows."""
    session = SessionId("7d444840-9dc0-51d1-b245-5ffdce74fad2")
    await network.says(SESSIONS, started(session, **STATION), authorized(session, **STATION))
    await network.says(SESSIONS, delivered(7100, session, **STATION))
    network.repairs = done
    await network.says(ALERTS, raised(**STATION))
    frame = Said('[2,"18","Heartbeat",{}]')
    where: dict[str, Any] = {"gateway": "g", "reply_to": 0, "epoch": 3}
    await archive.keeps(STATIONS, HeartbeatReceived(at=at(0), message_id='"18"', frame=frame, **where, **STATION))
    reading = Reading(at(1), (Sample("7600", unit="Wh"),))
    taken = ReadingsTaken(at=at(1), report="r", evse=1, connector=1, session=session, readings=(reading,), **STATION)
    await archive.keeps(READINGS, taken)
    account = Account(delivered_wh=870, attributed_wh=600, quarantined_wh=270, site=SiteId("harbour"))
    await archive.keeps(
        SESSIONS, EnergyDelivered(at=at(0), session=session, energy_wh=1, meter_wh=1, account=account, **STATION)
    )


async def test_every_command_of_the_guide_answers_as_it_says(
    network: Network, archive: Archive, clickhouse: str, database: str, tmp_path: Path
) -> None:
    app = app_of(network, archive=f"{clickhouse.rstrip('/')}/{database}")
    web = Web(app, bound("127.0.0.1", 0, ""))
    await prepared(network, archive)
    await web.start()
    script = f"\necho; echo '{END}'\n".join(commands for commands, _ in BLOCKS)
    try:
        answers = (await shell(script, tmp_path, URL=f"http://127.0.0.1:{web.port}", KEY=FIRST_KEY)).split(END)
    finally:
        await web.stop()
        await app.state.backends.clickhouse.close()
    assert len(answers) == len(BLOCKS) > 10
    for (commands, said), answer in zip(BLOCKS, answers, strict=True):
        if said:
            assert fits(json.loads(said), json.loads(answer)), f"{commands}\n{answer}"


def test_every_problem_of_the_guide_is_one_and_the_other_way_round() -> None:
    rows = re.findall(r"^\| `/problems/(\w+)` \| (\d+) \|", GUIDE, re.MULTILINE)
    assert {kind: int(status) for kind, status in rows} == {kind: status for kind, (status, _) in CATALOGUE.items()}
