"""`make load` against a running system: its books, and what the system shows, are the same."""

from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.load import ledger
from tests.system.network import Network

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_a_load_notes_is_what_rest_shows(network: Network, tmp_path: Path) -> None:
    books, key = tmp_path / "ledger.json", network.system.folder / "admin.key"
    urls = [word for url in network.urls for word in ("--url", url)]
    said = await network.run(
        *(
            "benchmarks.load",
            "--stations",
            "6",
            "--rate",
            "150",
            "--seconds",
            "2",
            *urls,
            "--api",
            network.system.api_url,
        ),
        *("--key-file", str(key), "--ledger", str(books)),
    )
    assert "lost 0 messages" in said
    for station in {noted.station for noted in ledger.read(books)}:
        mine = [noted for noted in ledger.read(books) if noted.station == station]
        shown = await network.rest.until_sessions(station, *["ended"] * len(mine))
        assert [
            (s["transaction"], s["meter_start_wh"], s["energy_wh"], s["authorization_status"], s["final"])
            for s in shown
        ] == [(str(n.id), n.meter_start, n.energy_wh, n.status, True) for n in mine]
        assert [datetime.fromisoformat(s["started_at"]) for s in shown] == [
            datetime.fromisoformat(n.began) for n in mine
        ]
