"""Every document points at what is there, and names programs that run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.part import CHECKOUT
from deploy.local.system import SERVICES

DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "CHANGELOG.md"]
DOCUMENTS += sorted(CHECKOUT.glob("docs/**/*.md"))
FUTURE = {"architecture.md"}
"""Tells also of what is not there yet."""
FOLDERS = tuple(sorted(f"{each.parent.name}/" for each in CHECKOUT.glob("*/*") if each.parent.name.isalpha()))


def name_of(document: Path) -> str:
    return str(document.relative_to(CHECKOUT))


def anchors(document: Path) -> set[str]:
    """Return what a link can point at in a document."""
    titles = re.findall(r"(?m)^#+ (.*)$", document.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path) if path else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each.name not in FUTURE], ids=name_of)
def test_every_file_that_is_named_exists(document: Path) -> None:
    """Paths between backticks that begin with a folder of ours; `x` and `*` stand for any name."""
    for path in re.findall(r"`([\w./*-]+/[\w./*-]*)`", document.read_text("utf-8")):
        if path.startswith(FOLDERS):
            pattern = re.sub(r"(?<![a-z])x(?![a-z])|test_y|(?<=/)y(?=\.)", "*", path)
            assert any(CHECKOUT.glob(pattern.rstrip("/"))), path


def programs() -> set[str]:
    return {
        program
        for document in DOCUMENTS
        if document.name not in FUTURE
        for program in re.findall(r"python -m ([\w.]+)", document.read_text("utf-8"))
    }


@pytest.mark.parametrize("program", sorted(programs()))
def test_every_program_that_is_named_says_what_it_does(program: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", program, "--help"], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout
    assert said.startswith(f"usage: python -m {program}")


def test_a_local_run_starts_every_service() -> None:
    assert set(SERVICES) == {each.parent.name for each in CHECKOUT.glob("services/*/__main__.py")}


def test_every_service_has_a_manifest() -> None:
    named = set(re.findall(r"python -m services\.(\w+)", "".join(each.read_text("utf-8") for each in DOCUMENTS)))
    manifests = {each.stem for each in CHECKOUT.glob("deploy/k8s/base/*.yaml")}
    assert named <= manifests
