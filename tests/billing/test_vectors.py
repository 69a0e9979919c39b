"""Worked examples, to the last digit of every line: OCPI's own, and ours where it says nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.billing import cases

VECTORS = Path(__file__).with_name("vectors.json")
TOLD = {"if_each_line_and_vat_group_were_rounded", "note"}
"""What a vector says besides, for people."""


def vectors() -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))
    return said


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"].split()[0])
def test_a_vector_comes_to_what_it_says(vector: dict[str, Any]) -> None:
    wanted = {name: value for name, value in vector["expected"].items() if name not in TOLD}
    found = cases.priced(vector)
    assert {name: found[name] for name in wanted} == wanted


def test_the_command_prices_a_file_of_them() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "services.billing", "price", str(VECTORS)], check=True, capture_output=True, text=True
    ).stdout
    for vector, found in zip(vectors(), json.loads(said), strict=True):
        assert found["name"] == vector["name"]
        assert all(found[name] == value for name, value in vector["expected"].items() if name not in TOLD)
