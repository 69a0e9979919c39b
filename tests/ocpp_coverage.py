"""Which cases of the OCPP catalogue the tests show: `python -m tests.ocpp_coverage` writes docs/ocpp-coverage.md.

A test shows a case by a mark, `@pytest.mark.covers("C-035", "Q-20")`, by its name, `test_c_035_…`, or by naming it in its docstring.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ocpp_catalogue import ABSENT, OCTT, OWN, QUIRKS, own_id, quirk_id

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "ocpp-coverage.md"
MISSING = "not there yet"
SHOWN = 3
"""Tests that are named for a case; the others are counted."""

_NAMED = re.compile(r"^test_(tc_\d{3}(?:_\d)?|c_\d{3}|q_\d{2,3})(?=_|\[|$)")
_TOLD = re.compile(r"\b(TC_\d{3}(?:_\d)?|C-\d{3}|Q-\d{2,3})\b")


class Kind(NamedTuple):
    """One list of the catalogue."""

    title: str
    ids: dict[str, str]


KINDS = (
    Kind("OCTT numbering 1.6", dict(OCTT)),
    Kind("own cases", {own_id(number): "" for number in OWN}),
    Kind("quirks", {quirk_id(number): "" for number in QUIRKS}),
)


class Collector:
    """A pytest plugin that takes down what each collected test shows."""

    def __init__(self) -> None:
        self.shown: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("[")[0]
            for id in shown_by(item):
                self.shown[id].add(test)


def shown_by(item: pytest.Item) -> set[str]:
    """Return the ids that a test shows."""
    ids = {str(id) for mark in item.iter_markers("covers") for id in mark.args}
    if named := _NAMED.match(item.name):
        ids.add(_spelt(named.group(1)))
    ids |= set(_TOLD.findall(getattr(getattr(item, "obj", None), "__doc__", None) or ""))
    return {_whole(id) for id in ids}


def _spelt(name: str) -> str:
    return name.upper() if name.startswith("tc_") else name.upper().replace("_", "-")


def _whole(id: str) -> str:
    """Return the case that is meant: where a number has one variant only, the number says it."""
    variants = [each for each in OCTT if each.startswith(f"{id}_")]
    return variants[0] if len(variants) == 1 else id


def collected() -> dict[str, set[str]]:
    """Return, by case, the tests that show it; nothing is run."""
    collector = Collector()
    with redirect_stdout(sys.stderr):
        code = pytest.main(["--collect-only", "-qq", "--no-header", str(ROOT / "tests")], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise SystemExit("the tests cannot be collected: run `pytest --collect-only`")
    return collector.shown


def document(shown: dict[str, set[str]]) -> str:
    """Return docs/ocpp-coverage.md."""
    counts = [f"{kind.title}: {sum(id in shown for id in kind.ids)}/{len(kind.ids)}" for kind in KINDS]
    lines = [
        "# OCPP coverage",
        "",
        *(f"{count}  " for count in counts),
        "",
        "These are own tests, by the public numbering of the Open Charge Alliance's test tool and by our own lists; nothing here is a",
        "certificate. The file is generated from the tests (`make contracts`): a case counts when a test in CI shows it. What has no test",
        "has a reason. Titles are ours.",
        "",
    ]
    for kind in KINDS:
        lines += [f"## {kind.title}", "", "| case | shown by |", "| --- | --- |"]
        lines += [f"| {id}{': ' + title if title else ''} | {_by(id, shown)} |" for id, title in kind.ids.items()]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _by(id: str, shown: dict[str, set[str]]) -> str:
    tests = sorted(shown.get(id, ()))
    if not tests:
        return f"- ({ABSENT.get(id, MISSING)})"
    named = ", ".join(f"`{_short(test)}`" for test in tests[:SHOWN])
    return named if len(tests) <= SHOWN else f"{named} and {len(tests) - SHOWN} more"


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{path.removeprefix('tests/')}::{name.rpartition('::')[2]}"


def strangers(shown: Iterable[str]) -> list[str]:
    """Return the ids that are marked and that no list has: misspelt ones. Rules (T-, M-, X-) are not counted here."""
    known = {id for kind in KINDS for id in kind.ids}
    counted = (id for id in shown if id.startswith(("TC_", "C-", "Q-")))
    return sorted(id for id in counted if id not in known and not any(each.startswith(f"{id}_") for each in known))


def excused(shown: Iterable[str]) -> list[str]:
    """Return the cases that have a test, and a reason why they have none."""
    return sorted(set(ABSENT) & set(shown))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.ocpp_coverage", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the document is not what the tests say"
    )
    check = parser.parse_args().check
    shown = collected()
    if unknown := strangers(shown):
        raise SystemExit(f"no such case: {', '.join(unknown)}")
    if both := excused(shown):
        raise SystemExit(f"tested, and yet excused in tests/ocpp_catalogue.py: {', '.join(both)}")
    text = document(shown)
    if not check:
        DOCUMENT.write_text(text, "utf-8")
    elif DOCUMENT.read_text("utf-8") != text:
        raise SystemExit("docs/ocpp-coverage.md is not what the tests say: run `make contracts`")
    print("\n".join(text.splitlines()[2:5]))


if __name__ == "__main__":
    main()
