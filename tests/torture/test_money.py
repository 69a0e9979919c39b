"""Torture of money in short: `make torture-money` has more sessions, more kills, and another seed each time."""

import logging
from pathlib import Path

import pytest

from tests.torture.money import Terms, money

TERMS = Terms(sessions=150, seconds=20, each=1, stations=50, seed=7)


@pytest.mark.timeout(900)
async def test_no_kill_of_anything_loses_or_doubles_money(tmp_path: Path) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says that Kafka is away
    said: list[str] = []
    outcome = await money(TERMS, tmp_path, said.append)
    found = list(outcome.verdict.lines())
    assert found == [], f"seed {TERMS.seed}: {outcome}\n" + "\n".join([*found[:20], *said])
    assert (outcome.sessions, outcome.sums.cdrs) == (TERMS.sessions, TERMS.sessions)
    assert outcome.sums.captured + outcome.sums.owed == outcome.sums.billed > 0
