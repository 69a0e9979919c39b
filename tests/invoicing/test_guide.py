"""docs/invoices.md says what is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.part import CHECKOUT
from deploy.local.plan import SELLERS
from services.api.app import describe
from services.invoicing.__main__ import command
from services.invoicing.parties import NO_RULES, read
from services.invoicing.pdf import embedded
from tests.invoicing.validity import broken_rules

GUIDE = (CHECKOUT / "docs" / "invoices.md").read_text("utf-8")


def block(kind: str) -> str:
    (text,) = re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)
    return str(text)


def test_its_command_writes_a_valid_invoice(tmp_path: Path) -> None:
    (line,) = block("sh").splitlines()
    arguments = line.replace(".venv/bin/python", sys.executable).split()
    said = subprocess.run([*arguments[:-1], str(tmp_path)], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    assert said.stdout.split() == [str(tmp_path / "invoice.pdf"), str(tmp_path / "invoice.xml")]
    xml = (tmp_path / "invoice.xml").read_bytes()
    assert embedded((tmp_path / "invoice.pdf").read_bytes()) == xml
    assert broken_rules(xml) == []


def test_its_seller_is_one_and_its_last_rules_are_those_that_count_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "sellers.json"
    path.write_text(block("json"), "utf-8")
    assert read(str(path))["default"].vat[1:] == NO_RULES
    assert command([str(tmp_path), "--sellers", str(path)]) == 0
    assert "Acme Lade GmbH" in (tmp_path / "invoice.xml").read_text("utf-8")


def test_the_local_system_has_a_seller() -> None:
    assert read(str(SELLERS))["default"].country == "NO"


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([str(tmp_path), "--sellers", "/nowhere.json"]) == 1
    assert "/nowhere.json" in capsys.readouterr().err
    assert command([str(tmp_path / "nothing")]) == 1


def test_what_it_says_of_rest_is_there() -> None:
    known = {(method.upper(), path) for path, each in describe().openapi()["paths"].items() for method in each}
    asked = {(method, path) for method, path in re.findall(r"`(GET|POST) (/v1/[\w/{}]*)`", GUIDE)}
    assert len(asked) == 5
    assert asked <= known
