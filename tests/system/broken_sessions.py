"""The service sessions with a rule that raises for one station, whose identity is in the environment variable BROKEN."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chassis.service import run_decider
from chassis.settings import Settings
from chassis.stream import Stream
from contracts.event import Event
from services.sessions import domain, worker
from services.sessions.heard import Heard


class Broken:
    """The rules of sessions, with a defect."""

    initial = domain.initial

    def __init__(self, station: str) -> None:
        self._station = station

    def decide(self, state: Any, heard: Heard[Any]) -> Sequence[Event]:
        if getattr(heard.event, "station", "") == self._station:
            raise ZeroDivisionError("a defect that only this station meets")
        return domain.decide(state, heard)

    def evolve(self, state: Any, event: Event) -> Any:
        return domain.evolve(state, event)


def build(settings: Settings) -> Stream:
    return replace(worker.build(settings), rules=Broken(os.environ["BROKEN"]))


if __name__ == "__main__":
    run_decider("sessions", "Turns reports into sessions, but those of one station.", build)
