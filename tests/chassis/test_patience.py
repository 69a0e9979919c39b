"""Work that is done again while what it needs is away."""

import asyncio
from collections.abc import Iterator
from itertools import repeat

import pytest
from structlog.testing import capture_logs

from chassis.patience import Interrupted, Patience, is_set_within


class Away(Exception):
    """It will be back."""


class Gone(Away):
    """It will not."""


def shelf(delay_s: float = 0) -> Patience:
    def delays() -> Iterator[float]:
        return repeat(delay_s)

    return Patience("reading", "the shelf", (Away,), delays, lambda error: not isinstance(error, Gone))


class Book:
    """It is there at the third try."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def read(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "once"


async def test_what_is_away_is_waited_for_and_told_of() -> None:
    with capture_logs() as logs:
        assert await shelf().attempt(Book(Away("lent"), Away("lost")).read, asyncio.Event()) == "once"
    assert [(line["event"], line.get("why")) for line in logs] == [
        ("not ready", None),
        ("waiting for the shelf", "lent"),
        ("waiting for the shelf", "lost"),
        ("answers again", None),
    ]


@pytest.mark.parametrize("error", [Gone("burnt"), ValueError("blind")])
async def test_what_waiting_cannot_cure_is_raised(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await shelf().attempt(Book(error).read, asyncio.Event())


async def test_who_is_asked_to_stop_waits_no_longer() -> None:
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(Interrupted):
        await shelf(60).attempt(Book(Away("lent")).read, stopping)
    assert await shelf(60).attempt(Book().read, stopping) == "once", "what can be done at once is done"


async def test_an_event_is_waited_for_no_longer_than_wanted() -> None:
    event = asyncio.Event()
    assert not await is_set_within(event, 0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await is_set_within(event, 60)
