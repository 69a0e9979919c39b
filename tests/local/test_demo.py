"""The demo shows what it promises: each fact is announced, and there in the REST API."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.local.running import Running, running

pytestmark = pytest.mark.timeout(420)

WITHIN_S = 60
FACTS = (
    "DEMO-02 was shown a blocked card, and told: Blocked",
    "DEMO-02 was shown an expired card, and told: Expired",
    "DEMO-02 was shown a card that nobody knows, and told: Invalid",
    "a card that nobody registered was presented",
    "DEMO-03 is offline",
    "DEMO-03 is back, and delivers how its charge ended meanwhile",
    "DEMO-04 stopped transaction 987654, which nobody ever started: it waits in quarantine",
    "DEMO-05 was asked by REST to start: fulfilled",
    "DEMO-05 was asked by REST to stop: fulfilled",
    "DEMO-06 delivers a charge that it made offline",
    "DEMO-07 began with a bad card (Expired)",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo in which everything has happened."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    with running(folder, None, "--stations", "9", "--seconds", "600", module="deploy.local.demo") as run:
        run.until("Ctrl-C stops it")
        run.until(*FACTS, within=WITHIN_S + 60)
        yield run
        code, said = run.interrupt()
        assert (code, said.splitlines()[-1]) == (0, "  stopped")
        assert "every frame that the stations were sent is valid OCPP" in said
        assert run.left() == []


def sessions(demo: Running, station: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = demo.get(f"/v1/sessions?station={station}")["items"]
    return found


def test_sessions_grow(demo: Running) -> None:
    everywhere = demo.get("/v1/sessions")["items"]
    assert sum(session["energy_wh"] or 0 for session in everywhere) > 10_000
    zones = {session["time_zone"] for session in everywhere if session["state"] != "quarantined"}
    assert zones == {"Europe/Oslo", "America/New_York"}


def test_a_meter_in_kilowatt_hours_is_understood(demo: Running) -> None:
    """DEMO-02 and DEMO-06 say kWh in their samples, and Wh in starts and stops."""
    lonely = next(session for session in sessions(demo, "DEMO-06") if "offline" in session["flags"])
    assert lonely["energy_wh"] == lonely["meter_stop_wh"] - lonely["meter_start_wh"] > 5_000


def test_a_refused_card_charges_nothing_more_and_what_it_drew_is_kept(demo: Running) -> None:
    refused = next(session for session in sessions(demo, "DEMO-07") if "refused" in session["flags"])
    assert (refused["authorization_status"], refused["reason"]) == ("Expired", "DeAuthorized")
    assert refused["energy_wh"] > 0


def test_an_unknown_card_is_collected_and_masked(demo: Running) -> None:
    card = demo.get("/v1/unknown-tokens")["items"][0]
    assert card["station"] == "DEMO-02"
    assert card["masked_uid"].startswith("04…")


def test_a_backlog_is_delivered_with_the_times_at_which_things_happened(demo: Running) -> None:
    cut = sessions(demo, "DEMO-03")[0]
    assert (cut["state"], cut["final"]) == ("ended", True)
    assert cut["energy_wh"] == cut["meter_stop_wh"] - cut["meter_start_wh"] > 0
    online_since = demo.get("/v1/stations/DEMO-03")["connection"]["since"]
    assert datetime.fromisoformat(cut["ended_at"]) < datetime.fromisoformat(online_since)


def test_a_stop_that_fits_nothing_waits_in_quarantine(demo: Running) -> None:
    waiting = demo.get("/v1/sessions?state=quarantined")["items"]
    assert [(session["station"], session["transaction"]) for session in waiting] == [("DEMO-04", "987654")]


def test_a_charge_is_started_and_stopped_from_afar(demo: Running) -> None:
    commands = demo.get("/v1/commands?station=DEMO-05")["items"]
    assert [(command["task"]["type"], command["state"]) for command in commands] == [
        ("StopCharge", "fulfilled"),
        ("StartCharge", "fulfilled"),
    ]
    session = demo.get(f"/v1/sessions/{commands[0]['session']}")
    assert (session["state"], session["reason"]) == ("ended", "Remote")
