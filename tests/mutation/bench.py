"""One pytest session in which many mutants are tried, each in a fork of the moment after the tests were collected.

A function is changed where it lives: its code is replaced, so that whatever has imported it runs the mutant. Only the tests that
reach the function are run, the quickest first. What runs as its module is imported must be tried otherwise (`trials.trial`).
"""

import ast
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType, ModuleType

import pytest

from tests.mutation.mutants import Mutant
from tests.mutation.trials import Subject, confined, ended, forked, served

PATIENCE = 6
"""A mutant hangs when its tests take so many times what they take without one."""
LEAST = 20.0
"""But never less than so many seconds: the machine may be busy."""

Reach = dict[str, tuple[set[str], float]]
"""What functions each test reaches, and how many seconds it takes."""
Verdicts = dict[str, int | None]
"""By a mutant's source: how its tests ended, 0 if all passed, nothing if they hung."""


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Return the functions of a module, and of its classes, by their qualified names."""
    found: dict[str, list[ast.FunctionDef]] = {}

    def within(body: Sequence[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name):
                    found.setdefault(prefix + name, []).append(node)
                case ast.ClassDef(name=name, body=inner):
                    within(inner, f"{prefix}{name}.")
                case _:
                    pass

    within(tree.body, "")
    return {name: nodes[0] for name, nodes in found.items() if len(nodes) == 1}


def home(tree: ast.Module, at: tuple[int, int]) -> str | None:
    """Return the function in whose body a place in the source is."""
    for name, node in functions(tree).items():
        begin, end = node.body[0], node.body[-1]
        if (begin.lineno, begin.col_offset) <= at < (end.end_lineno or 0, end.end_col_offset or 0):
            return name
    return None


def marked(source: str) -> ast.Module:
    """Return a module in which every function notes in `__reached__` that it was called."""
    tree = ast.parse(source)
    for name, node in functions(tree).items():
        node.body[:0] = ast.parse(f"__reached__.add({name!r})").body
    return tree


def code_within(code: CodeType, name: str) -> CodeType | None:
    """Return the code of a function, wherever it is in that of its module."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    here = next((each for each in inner if each.co_qualname == name), None)
    return here or next((found for each in inner if (found := code_within(each, name))), None)


def living(module: ModuleType, name: str) -> FunctionType | None:
    """Return a function of an imported module, if that is what its name leads to."""
    found: object = module
    for part in name.split("."):
        found = vars(found).get(part)
    match found:
        case property(fget=inner) | staticmethod(__func__=inner) | classmethod(__func__=inner):
            found = inner
        case _:
            pass
    return found if isinstance(found, FunctionType) and found.__code__.co_qualname == name else None


class Bench:
    """A plugin for pytest: instead of running the tests once, it runs those that reach a mutant, for each mutant."""

    def __init__(self, subject: Subject, chosen: Sequence[Mutant], tell: Callable[[str], None]) -> None:
        self.reached: set[str] = set()
        self.verdicts: Verdicts | None = None
        self.failed = False
        self._subject, self._chosen, self._tell = subject, chosen, tell

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure."""
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Try every mutant that can be tried here."""
        if session.testsfailed or not session.items:
            return None
        at_import = set(self.reached)
        reach = self._watched(session.items)
        if reach is not None:
            self.verdicts = dict(self._tried(session.items, reach, at_import))
        return True

    def _watched(self, items: Sequence[pytest.Item]) -> Reach | None:
        """Run every test once without a mutant; returns nothing if one fails."""
        with TemporaryDirectory() as folder:
            kept = Path(folder) / "reach"

            def work() -> int:
                confined()
                reach: Reach = {}
                for item in items:
                    self.reached.clear()
                    began = time.monotonic()
                    _ = self._passes([item])
                    reach[item.nodeid] = set(self.reached), time.monotonic() - began
                kept.write_bytes(pickle.dumps(reach))
                return int(self.failed)

            if ended(forked(work), 600) != 0:
                return None
            reach: Reach = pickle.loads(kept.read_bytes())
            return reach

    def _passes(self, items: Sequence[pytest.Item]) -> bool:
        """Run tests until one fails; returns whether none did."""
        for item, after in zip(items, [*items, None][1:], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                return False
        return True

    def _tried(
        self, items: Sequence[pytest.Item], reach: Reach, at_import: set[str]
    ) -> Iterator[tuple[str, int | None]]:
        module, tree = sys.modules[self._subject.name], ast.parse(self._subject.source)
        lived = tried = 0
        for mutant in self._chosen:
            name = home(tree, mutant.at)
            function = None if name is None or name in at_import else living(module, name)
            code = None if name is None else code_within(compile(mutant.source, self._subject.path, "exec"), name)
            if function is None or code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
                continue
            watching = [item for item in items if name in reach[item.nodeid][0]]
            watching.sort(key=lambda item: reach[item.nodeid][1])
            verdict = self._one(function, code, watching, sum(reach[item.nodeid][1] for item in watching))
            tried, lived = tried + 1, lived + (verdict == 0)
            if verdict == 0:
                self._tell(f"  survived {len(watching)} tests {Path(self._subject.path).name}:{mutant.line}  {mutant}")
            if tried % 10 == 0:
                self._tell(f"  {tried} tried, {tried - lived} killed")
            yield mutant.source, verdict

    def _one(self, function: FunctionType, code: CodeType, watching: Sequence[pytest.Item], took: float) -> int | None:
        def work() -> int:
            confined()
            function.__code__ = code
            return 0 if self._passes(watching) else 1

        return ended(forked(work), max(LEAST, PATIENCE * took))


def benched(subject: Subject, chosen: Sequence[Mutant]) -> Verdicts | None:
    """Try the mutants that are changes of functions; returns nothing if the tests fail by themselves."""
    with TemporaryDirectory() as folder:
        kept, said = Path(folder) / "verdicts", os.dup(1)

        def tell(line: str) -> None:
            os.write(said, f"{line}\n".encode())

        def work() -> int:
            confined()
            bench = Bench(subject, chosen, tell)
            code = compile(marked(subject.source), subject.path, "exec")
            served(subject, code, bench, __reached__=bench.reached)
            kept.write_bytes(pickle.dumps(bench.verdicts))
            return 0

        process = forked(work)
        os.waitpid(process, 0)
        os.close(said)
        verdicts: Verdicts | None = pickle.loads(kept.read_bytes()) if kept.exists() else None
        return verdicts
