"""Run accounts: `python -m services.accounts`."""

from chassis.service import run_decider
from services.accounts import worker

if __name__ == "__main__":
    run_decider("accounts", "Keeps accounts' money: entries, payments, what is owed, and invoices due.", worker.build)
