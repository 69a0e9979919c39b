"""Signals that come before a service listens to them.

Process 1 of a container ignores a signal that it has no handler for, and importing everything takes a second or two. So
`chassis.service` calls `end_early` before it imports anything else.
"""

import os
import signal
import sys
from types import FrameType

ASKED = (signal.SIGTERM, signal.SIGINT)

_kept: list[int] = []


def end_early() -> None:
    """Let a signal end this process, if it is a service: it has not begun anything yet."""
    if is_a_service():
        for number in ASKED:
            signal.signal(number, _end)


def is_a_service() -> bool:
    """Whether this process was started as `python -m services.x`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name.startswith("services.")


def keep() -> None:
    """From now on keep a signal for `kept`, until the event loop listens itself."""
    for number in ASKED:
        signal.signal(number, _keep)


def kept() -> bool:
    """Whether one has come."""
    return bool(_kept)


def ignore() -> None:
    """The process is about to end anyway."""
    for number in ASKED:
        signal.signal(number, signal.SIG_IGN)


def _end(_: int, __: FrameType | None) -> None:
    os._exit(0)  # SystemExit could be caught by whatever is being imported


def _keep(number: int, _: FrameType | None) -> None:
    _kept.append(number)
