from chassis.service import run
from services.monitoring import worker

if __name__ == "__main__":
    run("monitoring", "Raises and clears alerts: what happens too often in too short a time.", worker.serve)
