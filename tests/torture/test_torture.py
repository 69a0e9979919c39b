"""Torture in short: `make torture` has more stations, more kills, and another seed each time."""

from pathlib import Path

import pytest

from tests.torture.torture import Terms, torture

TERMS = Terms(stations=48, seconds=20, each=1, seed=4)


@pytest.mark.timeout(900)
async def test_no_kill_of_anything_loses_doubles_or_falsifies_a_transaction(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = await torture(TERMS, tmp_path / "system", said.append)
    found = list(outcome.verdict.lines())
    assert found == [], f"seed {TERMS.seed}: {outcome}\n" + "\n".join([*found[:20], *said])
    assert outcome.offered == outcome.acknowledged >= TERMS.stations * TERMS.sessions
