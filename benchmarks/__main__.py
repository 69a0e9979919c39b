"""`python -m benchmarks [--only gateway,memory]`: measure, print one table, and write benchmarks/latest.json."""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness import LATEST, Figure, Ground, table, write
from chassis import logs


async def run(name: str, folder: Path, runs: int) -> list[Figure]:
    """Return what one benchmark has found."""
    ground = Ground(name, folder, runs=runs, say=lambda line: print(line, file=sys.stderr, flush=True))
    ground.say(BENCHMARKS[name].about)
    return await BENCHMARKS[name].measure(ground)


def main() -> None:
    listed = "\n".join(f"  {name:<12}{benchmark.about}" for name, benchmark in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure, each beside a floor taken in the same run.\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="names with commas between; none: all")
    parser.add_argument("--runs", type=int, default=5, help="of each, alternating with the floor's")
    parser.add_argument("--output", type=Path, default=LATEST, help="the JSON file that is written")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name] or list(BENCHMARKS)
    if strangers := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {strangers[0]}; there are {', '.join(BENCHMARKS)}")
    logs.setup("benchmark", level="error")
    figures: list[Figure] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"voltstream-{name}-") as folder:
            figures += uvloop.run(run(name, Path(folder), options.runs))
        write(figures, options.output)  # after each, so that what breaks later costs nothing
    print(table(figures))


if __name__ == "__main__":
    main()
