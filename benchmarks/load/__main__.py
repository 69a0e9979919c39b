"""`make load`: simulated stations charge against the system that runs on this machine."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from benchmarks.load import roster
from benchmarks.load.profiles import PROFILES
from benchmarks.load.run import Load, Plan
from benchmarks.load.station import Member
from deploy.local.rest import Refused, Rest

MOST_STATIONS, MOST_PER_S, MOST_S, MOST_CHARGES = 5_000, 20_000, 600, 200


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    profiles = "\n".join(f"  {name:<11}{profile.about}" for name, profile in PROFILES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description="Let simulated stations charge against the Voltstream that runs on this machine, and no other.",
        epilog=f"profiles:\n{profiles}\n\nCtrl-C ends it early; stations finish what they have begun, and the table is printed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole, real = _between(1, MOST_STATIONS, int), _between(0, MOST_PER_S, float)
    parser.add_argument("--stations", type=whole, default=50, help=f"at most {MOST_STATIONS} (%(default)s)")
    parser.add_argument(
        "--rate", type=real, default=0, help="messages per second of all stations together, for profiles with a pace"
    )
    parser.add_argument("--profile", choices=list(PROFILES), help="paced if there is a rate, else closed")
    parser.add_argument(
        "--seconds", type=_between(1, MOST_S, float), default=30, help=f"at most {MOST_S} (%(default)s)"
    )
    parser.add_argument(
        "--charges",
        type=_between(1, MOST_CHARGES, int),
        default=12,
        help="of each station's day, for backlog (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same charges (%(default)s)")
    parser.add_argument(
        "--url", action="append", help="where stations connect; may be given again (ws://127.0.0.1:9000/ocpp)"
    )
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="where stations are registered (%(default)s)")
    parser.add_argument(
        "--key-file", type=Path, default=Path(".voltstream/admin.key"), help="holds an API key (%(default)s)"
    )
    parser.add_argument(
        "--passwords", action="store_true", help="give each station one, as most networks do; takes longer"
    )
    parser.add_argument(
        "--roster", type=Path, help="JSON: the stations to use, if it is there; else those registered are written to it"
    )
    parser.add_argument(
        "--ledger", type=Path, help="where to write each transaction as its station knows it, a line each"
    )
    return parser


def _between(least: float, most: float, kind: type[int] | type[float]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:,} and {most:,}")
        return value

    read.__name__ = "number"
    return read


def say(line: str) -> None:
    print(line, flush=True)


async def members_of(options: argparse.Namespace) -> list[Member]:
    """Return who takes part; register them if no file names them."""
    if options.roster is not None and options.roster.exists():
        return roster.read(options.roster)[: options.stations]
    key = options.key_file.read_text().strip()
    rest = Rest(roster.listening(options.api), key)
    say(f"registering {options.stations} stations at {options.api}")
    try:
        members = await roster.register(rest, options.stations, passwords=options.passwords, say=say)
    finally:
        await rest.close()
    if options.roster is not None:
        roster.write(options.roster, members)
    return members


async def main(options: argparse.Namespace) -> int:
    """Run the load; returns the exit code."""
    profile = options.profile or ("paced" if options.rate else "closed")
    urls = [roster.listening(url) for url in options.url or ["ws://127.0.0.1:9000/ocpp"]]
    members = await members_of(options)
    plan = Plan(
        profile=profile,
        urls=urls,
        seconds=options.seconds,
        rate=options.rate,
        charges=options.charges,
        seed=options.seed,
    )
    load = Load(plan, members, say=say)
    _listen_for_ctrl_c(load)
    say(f"{len(members)} stations, profile {profile}, {options.seconds:g} s, seed {options.seed}")
    await load.run()
    say(load.result())
    if options.ledger is not None:
        load.ledger.write(options.ledger)
    return 1 if load.ledger.lost or load.unfinished else 0


def _listen_for_ctrl_c(load: Load) -> None:
    def asked() -> None:
        if load.is_stopping:
            os._exit(130)
        say("finishing what has begun; once more to end at once")
        load.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked)


def run() -> int:
    """Read the command line and run; returns the exit code."""
    options = parser().parse_args()
    try:
        return uvloop.run(main(options))
    except (roster.NotHere, Refused) as trouble:
        print(trouble, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(run())
