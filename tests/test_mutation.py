"""The mutator finds a planted gap, and kills what is watched."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.__main__ import CHECKOUT, TESTS
from tests.mutation.bench import home, living
from tests.mutation.mutants import mutants

PLANTED = '''"""Watched, but for its last line."""


def fee(hours: int) -> int:
    if hours > 2:
        return 5
    return 7


def spared(hours: int) -> bool:
    return hours == 0
'''
WATCHING = """from planted import fee


def test_a_fee_rises_after_two_hours() -> None:
    assert [fee(1), fee(2), fee(3)] == [7, 7, 5]
"""


def test_a_gap_survives_and_a_watched_line_is_killed(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, "utf-8")
    watching = tmp_path / "test_planted.py"
    watching.write_text(WATCHING, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--module", "planted", "--sample", "100", "--tests", str(watching)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    survived = [line for line in done.stdout.splitlines() if line.startswith("survived")]
    assert survived, done.stdout + done.stderr
    assert {line.split()[1] for line in survived} == {"planted.py:11"}
    assert "survived  planted.py:11  hours == 0 → hours != 0" in survived
    assert done.returncode == 1


def test_tests_that_fail_by_themselves_prove_nothing(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, "utf-8")
    failing = tmp_path / "test_failing.py"
    failing.write_text("def test_never() -> None:\n    assert False\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--module", "planted", "--tests", str(failing)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "fail without any mutant" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("x = a < b", "a <= b"),
        ("x = a and b", "a or b"),
        ("x = not a", "a"),
        ("x = a + b", "a - b"),
        ("x = 5", "6"),
        ("x = 5", "4"),
        ("x = True", "False"),
        ("x = 'word'", "''"),
        ("x = a.upper()", "a"),
        ("x = f(a, b=c)", "f(a)"),
        ("x = [a, b]", "[b]"),
        ("def f():\n    return a", "return None"),
        ("if a:\n    b", "True"),
        ("x = [a for a in b if c]", "False"),
        ("f(a)", "pass"),
    ],
)
def test_each_small_mistake_is_made(source: str, becomes: str) -> None:
    assert becomes in [mutant.now for mutant in mutants(source)]


@pytest.mark.parametrize(
    "source", ['"""What a module says of itself."""', "x: Annotated[int, 5]", "def f(a: 'A') -> 'B': ..."]
)
def test_what_does_nothing_when_it_runs_is_left_alone(source: str) -> None:
    assert [mutant.was for mutant in mutants(source) if mutant.was != "..."] == []


@pytest.mark.parametrize("module", ["services.sessions.decisions", "services.payments.domain"])
def test_a_mutant_is_its_module_with_one_change_and_python_reads_it(module: str) -> None:
    source = (CHECKOUT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    every = mutants(source)
    assert every
    assert all(each.source != source for each in every)
    assert ast.parse(every[0].source).body


@pytest.mark.parametrize("module", TESTS)
def test_each_module_and_the_tests_that_know_it_are_there(module: str) -> None:
    assert (CHECKOUT / f"{module.replace('.', '/')}.py").is_file()
    assert all((CHECKOUT / test).is_file() for test in TESTS[module])


IN_PLACE = '''"""Says hello."""

LIMIT = 3


class Guest:
    @property
    def name(self) -> str:
        return "guest"


def fee(hours: int) -> int:
    return hours
'''


@pytest.mark.parametrize(
    ("line", "column", "function"), [(3, 0, None), (6, 0, None), (9, 8, "Guest.name"), (12, 0, None), (13, 4, "fee")]
)
def test_a_change_in_a_body_is_made_where_the_function_lives_and_any_other_by_importing_afresh(
    line: int, column: int, function: str | None
) -> None:
    assert home(ast.parse(IN_PLACE), (line, column)) == function


def test_a_method_and_a_property_live_in_their_class() -> None:
    module = ModuleType("planted")
    exec(compile(IN_PLACE, "planted", "exec"), module.__dict__)
    assert living(module, "Guest.name") is vars(module.Guest)["name"].fget
    assert living(module, "fee") is module.fee
    assert living(module, "LIMIT") is None


def test_of_a_long_expression_is_shown_what_differs() -> None:
    (shown,) = (str(each) for each in mutants(f"x = f({'a, ' * 100}b=1)") if each.now.endswith("a)"))
    assert len(shown) < 250
    assert "b=1" in shown
