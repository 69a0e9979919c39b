"""Tests that run with other source for one module, in a process of their own."""

import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import hypothesis
import pytest

SLOW = "tests/sessions/test_domain.py::test_after_ten_thousand_sessions_the_state_is_still_small"
"""Asks about size alone; it would be most of the time that a survivor takes."""
ROOM = 2 << 30
"""Bytes a child may take beyond what it has: an endless loop may also be an endless list."""


@dataclass(frozen=True)
class Subject:
    """A module whose mutants are tried, and the test files that should notice."""

    name: str
    path: str
    tests: Sequence[str]

    @property
    def source(self) -> str:
        return Path(self.path).read_text("utf-8")


@dataclass(frozen=True)
class Instead(MetaPathFinder, Loader):
    """Serves other code for one module."""

    name: str
    path: str
    code: CodeType
    names: dict[str, object]

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Answer for this one module."""
        return ModuleSpec(fullname, self, origin=self.path) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the other code as that module."""
        module.__file__ = self.path
        module.__dict__.update(self.names)
        exec(self.code, module.__dict__)


def warm(tests: Sequence[str]) -> None:
    """Import what the tests need, and forget of it what can have hold of the mutant's module."""
    for test in tests:
        if not Path(test).is_absolute():
            importlib.import_module(test.removesuffix(".py").replace("/", "."))
    for name in [*sys.modules]:
        ours = name == "tests" or name.startswith("tests.mutation")
        if name.partition(".")[0] in {"services", "tests"} and not ours:
            del sys.modules[name]


def served(subject: Subject, code: CodeType, *plugins: object, **names: object) -> int:
    """Run pytest with other code for a module; returns its exit code. It is called in a process of its own."""
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Instead(subject.name, subject.path, code, names))
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutation")
    options = ["-x", "-q", "-s", "--tb=no", "-p", "no:cacheprovider", "-p", "no:cov"]
    options += ["--assert=plain", "--import-mode=importlib", f"--deselect={SLOW}"]
    return int(pytest.main([*options, *subject.tests], plugins=plugins))


def confined() -> None:
    """Keep what a mutant may do wrong within its process: what it prints, what it starts and what it takes."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.setsid()
    taken = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM if most == resource.RLIM_INFINITY else most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forked(work: Callable[[], int]) -> int:
    """Do something in a forked child; returns its process id."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 70
        try:
            code = work()
        finally:
            os._exit(code)
    return process


def ended(process: int, patience: float) -> int | None:
    """Wait for a child; returns its exit code, or nothing if it hung and was ended."""
    deadline, pause = time.monotonic() + patience, 0.002
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause := min(2 * pause, 0.05))
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def trial(subject: Subject, source: str, patience: float) -> int | None:
    """Run all the tests with other source, imported afresh; returns pytest's exit code, or nothing if it hung."""

    def work() -> int:
        confined()
        return served(subject, compile(source, subject.path, "exec"))

    return ended(forked(work), patience)
