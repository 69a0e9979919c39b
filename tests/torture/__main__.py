"""`make torture`: the last line says what it came to, and the exit code is 1 if anything was lost, doubled or wrong."""

import argparse
import random
import shutil
import sys
import time

import uvloop

from tests.torture.torture import Terms, fresh_folder, torture

SHOWN = 40


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--stations", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="of killing (%(default)s)")
    parser.add_argument("--each", type=int, default=3, help="how often each kind of process is killed (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="any, and said, if not given")
    options = parser.parse_args()
    terms = Terms(stations=options.stations, seconds=options.seconds, each=options.each, seed=options.seed)
    folder, began = fresh_folder(), time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {line}", flush=True)

    say(f"seed {terms.seed}, {terms.stations} stations, {terms.seconds:g} s; logs in {folder}")
    outcome = uvloop.run(torture(terms, folder, say))
    lines = list(outcome.verdict.lines())
    for line in lines[:SHOWN]:
        print(line)
    if len(lines) > SHOWN:
        print(f"... and {len(lines) - SHOWN} more")
    if outcome.verdict:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"seed {terms.seed}; the data and logs of the system stay in {folder}")
    print(outcome)
    return 0 if outcome.verdict else 1


if __name__ == "__main__":
    sys.exit(main())
