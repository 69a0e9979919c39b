"""Run with `python -m services.sessions`."""

from chassis.service import run_decider
from services.sessions import worker

if __name__ == "__main__":
    run_decider("sessions", "Turns reports and decisions into charging sessions.", worker.build)
