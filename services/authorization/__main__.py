"""Run authorization: `python -m services.authorization`."""

from chassis.service import run_decider
from services.authorization import worker

if __name__ == "__main__":
    run_decider("authorization", "Decides whether an id token may charge.", worker.build)
