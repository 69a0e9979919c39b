"""A child process that cannot outlive its parent, and that a terminal's Ctrl-C does not reach."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Reads the child's id, then waits: a second line means that the child has ended, the end of the pipe that the parent has.
# The pipe closes however the parent ends, on every Unix, and whatever thread started the child.
_WATCH = """
read -r child && [ -n "$child" ] || exit
read -r _ && exit
kill -TERM "$child" 2>/dev/null
tenths=0
while [ $tenths -lt 50 ] && kill -0 "$child" 2>/dev/null; do sleep 0.1; tenths=$((tenths + 1)); done
kill -KILL "$child" 2>/dev/null
"""


class Child:
    """A running process. Should the parent die, even by SIGKILL, it gets SIGTERM at once and SIGKILL 5 s later.

    It belongs to no event loop: it may be started in one and awaited in another.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        output: Path,
        keep: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` in `folder`, write what it prints to `output`; it inherits the descriptors in `keep`.

        `environment` is all that it knows of ours; None: the same.
        """
        self._watch = subprocess.Popen(  # noqa: S603 - the script above
            ["/bin/sh", "-c", _WATCH],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with output.open("wb") as out:
                self._process = subprocess.Popen(  # noqa: S603 - the caller's command, without a shell
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=keep,
                    env=environment,
                )
        except OSError:
            self._release()
            raise
        self._tell_watch(f"{self._process.pid}\n".encode())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        code = self._process.poll()
        if code is not None:
            self._release()
        return code

    async def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        while (code := self.exit_code) is None:
            await asyncio.sleep(0.05)
        return code

    async def stop(self, *, patience: float) -> int:
        """SIGTERM, and SIGKILL when `patience` seconds have not been enough; returns the exit code."""
        self._process.terminate()
        try:
            async with asyncio.timeout(patience):
                return await self.ended()
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL, and wait for the end; returns the exit code."""
        self._process.kill()
        code = self._process.wait()
        self._release()
        return code

    def _release(self) -> None:
        """Let the watch go. A child's id is not reused before we have seen its end, and we see it here first."""
        if self._watch.stdin is not None and not self._watch.stdin.closed:
            self._tell_watch(b"\n")
            self._watch.stdin.close()
            self._watch.wait()

    def _tell_watch(self, line: bytes) -> None:
        if self._watch.stdin is not None:
            with suppress(BrokenPipeError):  # somebody has killed the watch: the child is merely no longer watched
                self._watch.stdin.write(line)
