"""What the demo adds to a run: stations that play, and a screen that shows what the REST API says of them."""

import asyncio
import contextlib
import sys

from rich.console import Console

from chassis import clock
from deploy.local.cast import register
from deploy.local.play import Play
from deploy.local.rest import Refused, Rest
from deploy.local.runner import say, shown
from deploy.local.screen import Happening, Lines, LiveTable, Screen
from deploy.local.system import CannotStart, System
from deploy.local.watch import Watch

LOOK_EVERY_S = 1.0


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
