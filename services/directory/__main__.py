"""Run directory: `python -m services.directory`."""

from chassis.service import run_decider
from services.directory import worker

if __name__ == "__main__":
    run_decider(
        "directory", "Keeps sites, stations, id tokens, accounts and API keys, each with its version.", worker.build
    )
