from chassis.service import run
from services.payments import worker

if __name__ == "__main__":
    run(
        "payments",
        "Asks the payment provider for what accounts decide, and carries to accounts what bills say.",
        worker.serve,
    )
