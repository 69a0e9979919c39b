from chassis.service import run_decider
from services.operations import worker

if __name__ == "__main__":
    run_decider("operations", "Follows stations and carries out commands.", worker.build)
