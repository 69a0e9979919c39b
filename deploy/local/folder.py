"""What stays on this machine: data, logs, and secrets that only their owner can read. One system at a time holds it."""

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path


class InUse(Exception):
    """Another system holds the folder. The message says which process."""


class Folder:
    """A folder and everything that Voltstream keeps in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self._lock: int | None = None
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
        """Return the secret in this file; make it the first time. Nobody but its owner can read it."""
        file = self.path / name
        if not file.exists():
            self._write(file, make())
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
        return file.read_text().strip()

    def _write(self, file: Path, text: str) -> None:
        """Write beside the final place: whoever is interrupted leaves no empty secret."""
        fresh = file.with_name(f"{file.name}.new")
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(opened, text.encode() + b"\n")
        finally:
            os.close(opened)
        fresh.replace(file)

    def hold(self) -> bool:
        """Hold the folder, until `release` or the end of this process; returns whether the last holder released it.

        Raises `InUse` if another process holds it.
        """
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode().strip() or "just starting"
            os.close(lock)
            raise InUse(
                f"{self.path} is in use: Voltstream runs on it already (process {holder}). "
                "Stop that one first, or choose another folder with --folder"
            ) from None
        released = not os.pread(lock, 20, 0)
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        return released

    def release(self) -> None:
        """Let the folder go. Does nothing if it is not held."""
        if self._lock is not None:
            os.truncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None
