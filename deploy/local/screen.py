"""How the demo shows itself: a live table on a terminal, plain lines anywhere else."""

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.local.watch import Row

EVENTS_SHOWN = 14
FEW_EVENTS, ROOMY = 5, 42
"""How many are shown on a terminal that is less high than this."""
EVERY = 5
"""How many looks make a line for the whole, where there is no table."""
AROUND = 5
"""Lines of the screen that are neither stations nor events."""
COLOURS = {"charging": "green", "quarantined": "magenta", "pending": "yellow", "presumed_ended": "yellow"}


@dataclass(frozen=True)
class Happening:
    """Something that has just happened."""

    at: str
    """As a clock shows it."""
    station: str
    what: str
    see: str
    """The path of the REST API that shows it; empty if none does."""

    def __str__(self) -> str:
        return self._told + self._pointer

    @property
    def _told(self) -> str:
        return f"{self.at} {self.station} {self.what}"

    @property
    def _pointer(self) -> str:
        return f"   see '{self.see}'" if self.see else ""

    def within(self, width: int) -> str:
        """Return it in a line of this width: what is told gives way, for a path is there to be copied whole."""
        room = max(width - len(self._pointer), len(self.at))
        return (self._told if len(self._told) <= room else f"{self._told[: room - 1]}…") + self._pointer


class Screen(Protocol):
    """Shows what happens."""

    def shown(self) -> AbstractContextManager[object]: ...
    def happened(self, happening: Happening) -> None: ...
    def show(self, rows: Sequence[Row], energy_wh: int) -> None: ...


class Lines:
    """For pipes and files: a line for each happening, and now and then one for the whole."""

    def __init__(self) -> None:
        self._looks = 0

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def happened(self, happening: Happening) -> None:
        print(f"  {happening}", flush=True)

    def show(self, rows: Sequence[Row], energy_wh: int) -> None:
        self._looks += 1
        if self._looks % EVERY == 0:
            print(f"  {summary(rows, energy_wh)}", flush=True)


class LiveTable:
    """For people: a table that lives."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console, self._hint = console, hint
        self._rows: Sequence[Row] = ()
        self._energy_wh = 0
        self._events: deque[Happening] = deque(maxlen=EVENTS_SHOWN)
        self._live = Live(self._picture(), console=console, refresh_per_second=4)

    def shown(self) -> AbstractContextManager[object]:
        return self._live

    def happened(self, happening: Happening) -> None:
        self._events.append(happening)
        self._live.update(self._picture())

    def show(self, rows: Sequence[Row], energy_wh: int) -> None:
        self._rows, self._energy_wh = rows, energy_wh
        self._live.update(self._picture())

    def _picture(self) -> Group:
        newest = list(self._events)[-(EVENTS_SHOWN if self._console.height >= ROOMY else FEW_EVENTS) :]
        room = max(3, self._console.height - AROUND - len(newest))
        left_out = len(self._rows) - room
        more = f"; {left_out} more stations do not fit on this terminal" if left_out > 0 else ""
        events = [Text(event.within(self._console.width), no_wrap=True, overflow="ellipsis") for event in newest]
        below = Text(f"{summary(self._rows, self._energy_wh)}{more}", style="bold")
        return Group(table(self._rows[:room]), below, Text(self._hint, style="dim", overflow="fold"), *events)


def summary(rows: Sequence[Row], energy_wh: int) -> str:
    """Return the whole in a line."""
    sessions = [row.session for row in rows if row.session is not None]
    charging = [session for session in sessions if session["state"] in {"pending", "charging"}]
    online = sum(row.station["online"] for row in rows)
    return f"{online} of {len(rows)} stations online, {len(charging)} charging, {energy_wh / 1000:.1f} kWh so far"


def table(rows: Sequence[Row]) -> Table:
    """Return the stations and what they do."""
    drawn = Table(pad_edge=False, box=None, header_style="bold")
    for name in ("station", "site", "", "connector", "session", "card"):
        drawn.add_column(name, no_wrap=True)
    for name in ("kWh", "kW", "time"):
        drawn.add_column(name, no_wrap=True, justify="right")
    drawn.add_column("flags")
    for row in rows:
        drawn.add_row(*_cells(row))
    return drawn


def _cells(row: Row) -> list[Text]:
    station, session = row.station, row.session or {}
    state, energy = session.get("state", ""), session.get("energy_wh")
    online = Text("online", style="green") if station["online"] else Text("offline", style="red")
    return [
        Text(station["id"]),
        Text((station["site"] or "").removeprefix("demo-")),
        online,
        Text(row.status),
        Text(state.replace("_", " "), style=COLOURS.get(state, "")),
        Text(session.get("masked_uid") or ""),
        Text(f"{energy / 1000:.2f}" if energy is not None else ""),
        Text(f"{row.kilowatts:.1f}" if row.kilowatts is not None else ""),
        Text(f"{row.seconds // 60:.0f}:{row.seconds % 60:02.0f}" if row.seconds is not None else ""),
        Text(", ".join(session.get("flags", ())), style="red"),
    ]
