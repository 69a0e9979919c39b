"""What every benchmark stands on: a Kafka of its own, child processes whose CPU and memory are read, and runs that alternate.

A benchmark is `async def measure(ground: Ground) -> list[Figure]`, one row of `benchmarks/catalogue.py`. It measures itself and
a floor (`benchmarks/floors.py`) in turns, since no absolute figure means anything on a machine that others use as well.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct

from chassis import broker
from chassis.broker import Broker
from chassis.child import Child

CHECKOUT = Path(__file__).resolve().parent.parent
LATEST = CHECKOUT / "benchmarks" / "latest.json"


class Mark(Struct, frozen=True):
    """What is to be reached: of the ratio where there is a floor, else of the value."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, reached: float) -> bool:
        """Whether this is good enough."""
        return (self.at_least is None or reached >= self.at_least) and (self.at_most is None or reached <= self.at_most)

    def __str__(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


class Figure(Struct, frozen=True):
    """One row of the table. `spread` is (largest - smallest) / median of the runs."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    spread: float | None = None
    mark: Mark | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def verdict(self) -> str:
        """Whether the mark is met; nothing where there is none."""
        if self.mark is None:
            return ""
        reached = self.value if self.ratio is None else self.ratio
        return f"{self.mark} {'met' if self.mark.is_met(reached) else 'MISSED'}"


def spread(values: Sequence[float]) -> float:
    """Return how far the runs lie apart, beside their median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def compared(name: str, unit: str, ours: Sequence[float], floors: Sequence[float], mark: Mark | None = None) -> Figure:
    """Return the figure of runs of ours beside runs of the floor: medians of both."""
    return Figure(name, median(ours), unit, floor=median(floors), spread=spread(ours), mark=mark)


Measure = Callable[["Ground"], Awaitable[list[Figure]]]


class Benchmark(Struct, frozen=True):
    """A row of the catalogue."""

    about: str
    measure: Measure


class Ground:
    """What a benchmark stands on: how often it runs, where it writes, and whom it tells how far it is."""

    def __init__(self, name: str, folder: Path, *, runs: int = 5, say: Callable[[str], None] = print) -> None:
        self.name, self.folder, self.runs, self._say = name, folder, runs, say
        self._began = monotonic()

    def say(self, text: str) -> None:
        """Show how far it is."""
        self._say(f"{self.name:<10}{monotonic() - self._began:>6.0f} s  {text}")

    @asynccontextmanager
    async def kafka(self, **how: Any) -> AsyncIterator[Broker]:
        """Run a Kafka of this benchmark's own while it is entered."""
        with tempfile.TemporaryDirectory(prefix="kafka-", dir=self.folder) as folder:
            async with broker.build(Path(folder), **how) as running:
                yield running

    @asynccontextmanager
    async def process(
        self, command: Sequence[str], until: str, *, environment: Mapping[str, str] | None = None, patience: float = 120
    ) -> AsyncIterator["Process"]:
        """Run a child process while it is entered; it begins when it has printed a line that holds `until`."""
        output = self.folder / f"{Path(command[-1]).name}-{os.urandom(3).hex()}.log"
        child = Child(command, folder=CHECKOUT, output=output, environment=dict(os.environ) | dict(environment or {}))
        try:
            process = Process(child, output)
            await process.said(until, patience)
            yield process
        finally:
            await child.stop(patience=30)

    async def alternate(
        self,
        floor: Callable[[], Awaitable[float]],
        ours: Callable[[], Awaitable[float]],
        unit: str = "",
    ) -> tuple[list[float], list[float]]:
        """Return what the runs of the floor and of ours have measured, run after run in turns."""
        floors: list[float] = []
        measured: list[float] = []
        for run in range(self.runs):
            floors.append(await floor())
            measured.append(await ours())
            self.say(f"run {run + 1} of {self.runs}: {measured[-1]:,.1f} beside {floors[-1]:,.1f} {unit}")
        return floors, measured


class Died(Exception):
    """A child process ended that should run. The message holds the end of what it printed."""


class Process:
    """A child process, and what Linux knows of it."""

    def __init__(self, child: Child, output: Path) -> None:
        self.pid, self._child, self._output = child.pid, child, output

    async def said(self, text: str, patience: float) -> str:
        """Return the first line printed that holds `text`."""
        async with asyncio.timeout(patience):
            while True:
                printed = self._output.read_text(errors="replace")
                for line in printed.splitlines():
                    if text in line:
                        return line
                if self._child.exit_code is not None:
                    raise Died(f"exit code {self._child.exit_code}:\n{printed[-2000:]}")
                await asyncio.sleep(0.05)

    def cpu_seconds(self) -> float:
        """Return how long it has computed, in all its threads, its own time and the kernel's for it."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Return the bytes of memory that it holds."""
        return memory(self.pid)


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Return a process's resident memory in bytes (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentile(values: Sequence[float], of: float) -> float:
    """Return the value below which `of` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(of * len(ordered)))]


# ---- the table -----------------------------------------------------------------------------------------------------


def shown(value: float | None) -> str:
    """Return a number as short as it can be told apart."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"


def table(figures: Sequence[Figure]) -> str:
    """Return all figures, one a line."""
    width = max((len(figure.name) for figure in figures), default=0) + 2
    lines = [f"{'':<{width}}{'value':>12}{'floor':>12}{'ratio':>8}{'spread':>8}  {'mark':<15}unit"]
    for figure in figures:
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        wide = "-" if figure.spread is None else f"{figure.spread:.0%}"
        lines.append(
            f"{figure.name:<{width}}{shown(figure.value):>12}{shown(figure.floor):>12}{ratio:>8}{wide:>8}"
            f"  {figure.verdict:<15}{figure.unit}"
        )
    return "\n".join(lines)


def write(figures: Sequence[Figure], file: Path = LATEST) -> None:
    """Write the figures as {name: {value, floor, ratio, unit, spread}}; those of benchmarks that did not run stay."""
    known: dict[str, Any] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
    for figure in figures:
        known[figure.name] = {
            "value": figure.value,
            "floor": figure.floor,
            "ratio": figure.ratio,
            "unit": figure.unit,
            "spread": figure.spread,
        }
    file.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(known.items()))), indent=2) + b"\n")
