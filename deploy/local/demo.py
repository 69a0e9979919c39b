"""`make demo`: Voltstream on this machine, and simulated stations that charge against it."""

import argparse
import sys

from deploy.local import early  # noqa: F401 - first, since the imports below take a moment
from deploy.local.play import FEWEST
from deploy.local.runner import parser_of, run
from deploy.local.scene import show
from deploy.local.system import System


def main() -> int:
    """Run until Ctrl-C, or for `--seconds`; returns the exit code."""
    options = _options()

    async def scene(system: System) -> None:
        await show(system, number=options.stations, seed=options.seed, seconds=options.seconds)

    return run(options.folder, scene)


def _options() -> argparse.Namespace:
    parser = parser_of(".demo", "Run everything, and let simulated stations charge against it, until Ctrl-C.")
    parser.add_argument("--stations", type=_number, default=20, help=f"how many, at least {FEWEST} (%(default)s)")
    parser.add_argument("--seconds", type=float, default=None, help="end by itself so long after it is ready (never)")
    parser.add_argument("--seed", type=int, default=1, help="another number is another play (%(default)s)")
    return parser.parse_args()


def _number(text: str) -> int:
    if not text.isdecimal() or not FEWEST <= int(text) <= 99:
        raise argparse.ArgumentTypeError(f"{text} is not a number of stations ({FEWEST} to 99)")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
