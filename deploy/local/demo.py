"""`make demo`: Voltstream on this machine, and simulated stations that charge against it."""

import argparse
import asyncio
import contextlib
import sys

from rich.console import Console

from chassis import clock
from deploy.local import early  # noqa: F401 - first of ours, since the imports below take a moment
from deploy.local.cast import register
from deploy.local.play import FEWEST, Play
from deploy.local.rest import Refused, Rest
from deploy.local.runner import parser_of, run, say, shown
from deploy.local.screen import Happening, Lines, LiveTable, Screen
from deploy.local.system import CannotStart, System
from deploy.local.watch import Watch

LOOK_EVERY_S = 1.0


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


async def show(system: System, *, number: int, seed: int, seconds: float | None) -> None:
    """Play against a system that is ready, until cancelled or for so many seconds."""
    key = shown(system.folder / "admin.key")
    see = f'see() {{ curl -sH "Authorization: Bearer $(cat {key})" "{system.api_url}$1"; }}'
    print(f"In another terminal, to look at what is told here:\n\n  {see}\n", flush=True)
    screen: Screen = LiveTable(Console(), see) if sys.stdout.isatty() else Lines()
    rest = Rest(system.api_url, system.admin_key)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _play(rest, screen, number, seed)
    except Refused as refusal:
        raise CannotStart(f"the demo is refused something: {refusal}") from refusal
    finally:
        await rest.close()


async def _play(rest: Rest, screen: Screen, number: int, seed: int) -> None:
    def tell(station: str, what: str, see: str) -> None:
        screen.happened(Happening(_clock(), station, what, see))

    say(f"registering 2 sites, {number} stations and their cards by REST")
    begin = clock.now()
    play = Play(await register(rest, number, seed, tell), rest, seed, tell)
    try:
        with screen.shown():
            await _both(play, Watch(rest, begin, tell), screen)
    finally:
        for complaint in play.complaints:
            print(f"  {complaint}", flush=True)
        if not play.complaints:
            say("every frame that the stations were sent is valid OCPP, says the package `ocpp`")


def _clock() -> str:
    return f"{clock.now().astimezone():%H:%M:%S}"


async def _both(play: Play, watch: Watch, screen: Screen) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play.run())
        tasks.create_task(_look_for_ever(watch, screen))


async def _look_for_ever(watch: Watch, screen: Screen) -> None:
    while True:
        try:
            await watch.look()
            screen.show(watch.rows, watch.energy_wh)
        except Refused as refusal:
            screen.happened(Happening(_clock(), "REST", f"does not answer: {refusal}", ""))
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
