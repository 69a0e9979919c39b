from io import StringIO
from typing import Any

from rich.console import Console

from deploy.local.screen import Happening, Lines, LiveTable, summary
from deploy.local.watch import Row

STATION: dict[str, Any] = {
    "id": "DEMO-01",
    "site": "demo-harbour",
    "online": True,
    "evses": [{"id": 1, "connectors": [{"id": 1, "status": {"status": "Charging"}}]}],
}
SESSION: dict[str, Any] = {
    "state": "charging",
    "masked_uid": "04…F7",
    "energy_wh": 8330,
    "started_at": "2026-03-01T08:00:00Z",
    "ended_at": None,
    "updated_at": "2026-03-01T08:00:30Z",
    "flags": ["refused"],
}


def drawn(*rows: Row, height: int = 50, happenings: int = 1) -> str:
    """What a terminal of this height shows."""
    out = StringIO()
    table = LiveTable(Console(file=out, width=120, height=height, force_terminal=True, color_system=None), "see()")
    with table.shown():
        for number in range(happenings):
            table.happened(Happening("08:00:00", "DEMO-01", f"does thing {number:02}", "/v1/stations/DEMO-01"))
        table.show(rows, 8330)
    return out.getvalue()


def test_a_station_and_its_newest_session_are_a_row() -> None:
    last = drawn(Row(STATION, SESSION)).split("station")[-1]
    for part in ("DEMO-01", "harbour", "online", "Charging", "04…F7", "8.33", "16.7", "0:30", "refused"):
        assert part in drawn(Row(STATION, SESSION)), (part, last)


def test_a_station_without_a_session_is_a_row_without_numbers() -> None:
    row = Row(STATION | {"online": False, "evses": []}, None)
    assert "offline" in drawn(row)
    assert (row.status, row.seconds, row.kilowatts) == ("", None, None)


def test_what_nobody_knows_is_no_number() -> None:
    quarantined = SESSION | {"state": "quarantined", "energy_wh": None, "started_at": None}
    assert Row(STATION, quarantined).kilowatts is None
    assert "0.00" not in drawn(Row(STATION, quarantined))


def test_a_charge_of_former_times_went_at_the_pace_of_the_clock() -> None:
    offline = SESSION | {"flags": ["offline"], "ended_at": "2026-03-01T08:30:00Z"}
    assert Row(STATION, offline).kilowatts == 8330 * 3.6 / 1800


def test_what_happens_says_where_to_look() -> None:
    assert "08:00:00 DEMO-01 does thing 00   see '/v1/stations/DEMO-01'" in drawn(Row(STATION, SESSION))


def test_a_narrow_terminal_shows_the_whole_path_and_less_of_the_sentence() -> None:
    happening = Happening("08:00:00", "DEMO-01", "does what takes many words to tell", "/v1/stations/DEMO-01")
    assert happening.within(60) == "08:00:00 DEMO-01 does what tak…   see '/v1/stations/DEMO-01'"
    assert happening.within(200) == str(happening)


def test_a_low_terminal_shows_what_fits_and_says_so() -> None:
    rows = [Row(STATION | {"id": f"DEMO-{number:02}"}, None) for number in range(20)]
    low = drawn(*rows, height=24, happenings=9)
    assert "6 more stations do not fit" in low
    assert "does thing 08" in low


def test_elsewhere_than_on_a_terminal_there_are_lines(capsys: Any) -> None:
    lines = Lines()
    lines.happened(Happening("08:00:00", "DEMO-01", "is offline", ""))
    for _ in range(5):
        lines.show([Row(STATION, SESSION)], 8330)
    assert capsys.readouterr().out == (
        "  08:00:00 DEMO-01 is offline\n  1 of 1 stations online, 1 charging, 8.3 kWh so far\n"
    )


def test_the_whole_is_a_line() -> None:
    assert summary([], 0) == "0 of 0 stations online, 0 charging, 0.0 kWh so far"
