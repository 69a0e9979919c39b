import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.child import Child

STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
PARENT = """
import sys
from pathlib import Path
from chassis.child import Child
folder = Path(sys.argv[1])
print(Child(["/bin/sleep", "600"], folder=folder, output=folder / "out").pid, flush=True)
input()
"""


def child(folder: Path, *command: str) -> Child:
    return Child(command, folder=folder, output=folder / "out")


def said(folder: Path) -> str:
    return (folder / "out").read_text()


async def test_a_child_writes_to_its_output_and_says_how_it_ended(tmp_path: Path) -> None:
    assert await child(tmp_path, "/bin/sh", "-c", "echo hello; echo sorry >&2; exit 3").ended() == 3
    assert said(tmp_path) == "hello\nsorry\n"


async def test_stop_ends_a_child_in_order(tmp_path: Path) -> None:
    running = child(tmp_path, "/bin/sleep", "600")
    assert running.exit_code is None
    assert await running.stop(patience=20) == -15
    assert running.exit_code == -15


async def test_stop_ends_a_child_by_force_that_does_not_listen(tmp_path: Path) -> None:
    stubborn = child(tmp_path, *STUBBORN)
    async with asyncio.timeout(20):
        while "ready" not in said(tmp_path):
            await asyncio.sleep(0.01)
    assert await stubborn.stop(patience=0.1) == -9


async def test_stopping_and_killing_a_child_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    ended = child(tmp_path, "/bin/true")
    assert await ended.ended() == 0
    assert await ended.stop(patience=1) == 0
    assert ended.kill() == 0


def test_what_cannot_be_started_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        child(tmp_path, "/no/such/program")


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    running = child(tmp_path, "/bin/sleep", "600")
    assert os.getsid(running.pid) != os.getsid(0)
    assert running.kill() == -9


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="sees the end of a stranger's child as Linux shows it")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        end = os.pidfd_open(int(parent.stdout.readline()))
        assert select.select([end], [], [], 0)[0] == []
        parent.kill()
    assert select.select([end], [], [], 20)[0] == [end]
    os.close(end)
