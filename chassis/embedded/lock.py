"""One process per folder: chDB itself says only that it could not initialise when there are two."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class NotHeld(Exception):
    """The folder cannot be used, or another process uses it."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` until the block, or the process however it ends, is over. Raises `NotHeld` at once."""
    if "?" in str(folder):
        raise NotHeld(f"{folder}: chDB cannot open a path with a question mark, choose another --folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise NotHeld(f"{folder} cannot be used: {error.strerror}") from error
    with lock:
        _take(folder, lock)
        yield


def _take(folder: Path, lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "(just starting)"
        message = f"{folder} is in use by process {holder}: stop that one first, or choose another --folder"
        raise NotHeld(message) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
