"""`make mutation`: change the rules in small ways, one at a time, and see whether their tests notice.

Each mutant is served instead of its module to a forked child, which runs the module's tests and stops at the first that fails.
A child that fails, crashes or hangs has killed its mutant; what survives is shown at the end. docs/mutation.md tells what came of it.
"""

import argparse
import ast
import importlib
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

import hypothesis
import pytest

CHECKOUT = Path(__file__).parent.parent
GATEWAY, SESSIONS, BILLING = "services.gateway", "services.sessions", "services.billing"
WHOLE_SESSIONS = (
    "domain",
    "starts",
    "stops",
    "decisions",
    "fold",
    "clocks",
    "ghosts",
    "ledger",
    "repairs",
    "meter",
    "samples",
)
WHOLE_BILLING = ("tariff", "properties", "vectors", "usage", "domain")


def tests_of(folder: str, first: str, *others: str) -> list[str]:
    """Return test files, those first that should know best."""
    return [f"tests/{folder}/test_{each}.py" for each in dict.fromkeys((first, *others))]


TESTS = {
    f"{GATEWAY}.normalise": tests_of("gateway", "normalise", "v16", "quirks"),
    f"{GATEWAY}.mend": tests_of("gateway", "mend", "normalise", "quirks"),
    f"{SESSIONS}.meter": tests_of("sessions", "meter", *WHOLE_SESSIONS),
    f"{SESSIONS}.samples": tests_of("sessions", "samples", "meter", *WHOLE_SESSIONS),
    f"{SESSIONS}.domain": tests_of("sessions", *WHOLE_SESSIONS),
    f"{SESSIONS}.starts": tests_of("sessions", "starts", *WHOLE_SESSIONS),
    f"{SESSIONS}.stops": tests_of("sessions", "stops", *WHOLE_SESSIONS),
    f"{SESSIONS}.readings": tests_of("sessions", *WHOLE_SESSIONS),
    f"{SESSIONS}.fold": tests_of("sessions", "fold", "past", *WHOLE_SESSIONS),
    f"{SESSIONS}.decisions": tests_of("sessions", "decisions", *WHOLE_SESSIONS),
    f"{SESSIONS}.clocks": tests_of("sessions", "clocks", *WHOLE_SESSIONS),
    f"{SESSIONS}.ghosts": tests_of("sessions", "ghosts", *WHOLE_SESSIONS),
    f"{SESSIONS}.ledger": tests_of("sessions", "ledger", *WHOLE_SESSIONS),
    f"{SESSIONS}.repairs": tests_of("sessions", "repairs", *WHOLE_SESSIONS),
    f"{SESSIONS}.past": tests_of("sessions", "past", *WHOLE_SESSIONS),
    f"{BILLING}.tariff": tests_of("billing", *WHOLE_BILLING),
    f"{BILLING}.meter": tests_of("billing", "meter", *WHOLE_BILLING),
    f"{BILLING}.restrictions": tests_of("billing", "restrictions", *WHOLE_BILLING),
}
"""The smallest set of test files that should kill a module's mutants."""

SLOW = "tests/sessions/test_domain.py::test_after_ten_thousand_sessions_the_state_is_still_small"
"""Asks about size alone; it would be most of the time that a survivor takes."""

PATIENCE = 6
"""A mutant hangs when its tests take so many times what they take without one."""
LEAST = 20.0
"""But never less than so many seconds: the machine may be busy."""
ROOM = 2 << 30
"""Bytes a child may take beyond what it has: an endless loop may also be an endless list."""
UNABLE = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
"""What an operator becomes."""


@dataclass(frozen=True)
class Mutant:
    """A module's source with one small change."""

    line: int
    was: str
    now: str
    source: str

    def __str__(self) -> str:
        """Say what was changed, on one line."""
        return f"{self.was} → {self.now}"


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """Return a copy of a node with other fields."""
    other = copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def without(items: Sequence[ast.AST], index: int) -> list[ast.AST]:
    """Return the items but for one."""
    return [*items[:index], *items[index + 1 :]]


def constants(value: object) -> Sequence[str | bytes | int]:
    """Return what stands for a constant in a mutant."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return ["" if value else "mutant"]
        case bytes():
            return [b"" if value else b"mutant"]
        case _:
            return []


def conditions(node: ast.AST) -> Iterator[ast.expr]:
    """Find what a node decides by."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.match_case(guard=ast.expr() as test):
            yield test
        case ast.comprehension(ifs=tests):
            yield from tests
        case _:
            pass


def alternatives(node: ast.AST, imported: set[str]) -> Iterator[ast.AST]:
    """Return what may stand for a node, each of them one small mistake."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                yield changed(node, ops=[*ops[:index], SWAPS[type(op)](), *ops[index + 1 :]])
        case ast.BoolOp(op=op):
            yield changed(node, op=SWAPS[type(op)]())
        case ast.BinOp(op=ast.BitOr(), left=left):
            yield left
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            yield changed(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=value):
            yield from (ast.Constant(each) for each in constants(value))
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.List(elts=parts, ctx=ast.Load()) | ast.Tuple(elts=[_, _, *_] as parts, ctx=ast.Load()):
            yield from (changed(node, elts=without(parts, index)) for index in range(len(parts)))
        case ast.Call(func=func, keywords=named):
            yield from (changed(node, keywords=without(named, index)) for index in range(len(named)))
            match func:
                case ast.Attribute(value=ast.Name(id=name)) if name in imported:
                    pass
                case ast.Attribute(value=of):
                    yield of
                case _:
                    pass
        case _:
            pass


def left_alone(node: ast.AST) -> Iterator[ast.AST | None]:
    """Find the parts of a node that do nothing when it runs, or whose place in the source Python does not know."""
    match node:
        case ast.AnnAssign(annotation=said) | ast.arg(annotation=said):
            yield said
        case ast.FunctionDef(returns=said, decorator_list=others):
            yield from (said, *others)
        case ast.ClassDef(keywords=named, decorator_list=others):
            yield from (*named, *others)
        case ast.JoinedStr(values=parts):
            yield from parts
        case ast.Expr(value=ast.Constant() as text):
            yield text
        case ast.Subscript(value=ast.Name(id="Annotated" | "dict" | "list" | "tuple" | "Callable"), slice=said):
            yield said
        case ast.Call(func=ast.Name(id="TypeVar")):
            yield from ast.iter_child_nodes(node)
        case _:
            pass


def walked(node: ast.AST) -> Iterator[ast.AST]:
    """Go through what may be changed, in the order of the source."""
    yield node
    quiet = list(left_alone(node))
    for child in ast.iter_child_nodes(node):
        if child not in quiet:
            yield from walked(child)


def compiles(source: str) -> bool:
    """Return whether Python takes a mutant at all."""
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree, text = ast.parse(source), source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    found: dict[str, Mutant] = {}

    def note(node: ast.expr | ast.stmt, other: ast.AST) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        now = ast.unparse(ast.fix_missing_locations(other))
        placed = now if isinstance(other, ast.stmt) else f"({now})"
        mutated = (text[:start] + placed.encode() + text[end:]).decode()
        if compiles(mutated):
            found.setdefault(mutated, Mutant(node.lineno, ast.unparse(node), now, mutated))

    for node in walked(tree):
        for test in conditions(node):
            note(test, ast.Constant(True))
            note(test, ast.Constant(False))
        if isinstance(node, ast.expr | ast.stmt):
            for other in alternatives(node, imported):
                note(node, other)
    return sorted(found.values(), key=lambda each: each.line)


@dataclass(frozen=True)
class Instead(MetaPathFinder, Loader):
    """Serves other source for one module."""

    name: str
    path: str
    code: CodeType

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Answer for this one module."""
        return ModuleSpec(fullname, self, origin=self.path) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant as that module."""
        module.__file__ = self.path
        exec(self.code, module.__dict__)


def warm(tests: Sequence[str]) -> None:
    """Import what the tests need, and forget of it what can have hold of the mutant's module."""
    for test in tests:
        if not Path(test).is_absolute():
            importlib.import_module(test.removesuffix(".py").replace("/", "."))
    for name in [*sys.modules]:
        if name.partition(".")[0] in {"services", "tests"} and name not in {"tests", __name__}:
            del sys.modules[name]


def child(module: str, path: str, source: str, tests: Sequence[str], said: int) -> int:
    """Run the tests with other source; returns pytest's exit code. It is called in a process of its own."""
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.setsid()
    taken = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Instead(module, path, compile(source, path, "exec")))
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutation")
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:cov",
        "--assert=plain",
        "--import-mode=importlib",
    ]
    return int(pytest.main([*options, f"--deselect={SLOW}", *tests]))


def ended(process: int, patience: float) -> int | None:
    """Wait for a child; returns its exit code, or nothing if it hung and was ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def trial(module: str, path: str, source: str, tests: Sequence[str], patience: float) -> int | None:
    """Run the tests with other source in a forked child; returns its exit code, or nothing if it hung."""
    sys.stdout.flush()
    with Path(os.devnull).open("wb") as nowhere:
        process = os.fork()
        if process == 0:
            code = 70
            try:
                code = child(module, path, source, tests, nowhere.fileno())
            finally:
                os._exit(code)
        return ended(process, patience)


@dataclass(frozen=True)
class Tally:
    """What became of a module's mutants."""

    module: str
    possible: int
    tried: int
    hung: int
    survivors: list[Mutant]


def tried(module: str, tests: Sequence[str], sample: int, seed: int) -> Tally:
    """Try a sample of a module's mutants."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    path = spec.origin
    source = Path(path).read_text("utf-8")
    warm(tests)
    run = partial(trial, module, path, tests=tests)
    began = time.monotonic()
    if code := run(source=source, patience=600):
        raise SystemExit(
            f"the tests of {module} fail without any mutant (pytest's exit code {code}): {' '.join(tests)}"
        )
    took = time.monotonic() - began
    every = mutants(source)
    chosen = sorted(
        random.Random(f"{seed} {module}").sample(every, min(sample, len(every))), key=lambda each: each.line
    )
    print(f"{module}: {len(chosen)} of {len(every)} mutants; its tests take {took:.1f} s", flush=True)
    hung, survivors = 0, []
    for number, mutant in enumerate(chosen, 1):
        code = run(source=mutant.source, patience=max(LEAST, PATIENCE * took))
        if code in UNABLE:
            raise SystemExit(f"pytest could not run {' '.join(tests)}")
        hung += code is None
        if code == 0:
            survivors.append(mutant)
            print(f"  survived {Path(path).name}:{mutant.line}  {mutant}", flush=True)
        if number % 10 == 0:
            print(f"  {number} tried, {number - len(survivors)} killed, {time.monotonic() - began:.0f} s", flush=True)
    return Tally(module, len(every), len(chosen), hung, survivors)


def main() -> int:
    """Try mutants and print a table; returns 1 if any survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--module", default="services", help="one module, or all whose names begin so (%(default)s)")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each module (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses them (%(default)s)")
    parser.add_argument("--tests", nargs="+", help="test files, for a module that the table here does not name")
    options = parser.parse_args()
    os.chdir(CHECKOUT)
    wanted = (
        {options.module: options.tests}
        if options.tests
        else {name: tests for name, tests in TESTS.items() if f"{name}.".startswith(f"{options.module}.")}
    )
    if not wanted:
        parser.error(f"no tests are known for {options.module}; there are {', '.join(TESTS)}")
    tallies = [tried(module, tests, options.sample, options.seed) for module, tests in wanted.items()]
    print(f"\n{'module':32} {'mutants':>8} {'tried':>6} {'killed':>7} {'hung':>5} {'survived':>9}")
    for tally in tallies:
        lived = len(tally.survivors)
        print(f"{tally.module:32} {tally.possible:8} {tally.tried:6} {tally.tried - lived:7} {tally.hung:5} {lived:9}")
    for tally in tallies:
        for mutant in tally.survivors:
            print(f"survived  {tally.module.replace('.', '/')}.py:{mutant.line}  {mutant}")
    return 1 if any(tally.survivors for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
