from chassis.service import run
from services.rerating.worker import serve

if __name__ == "__main__":
    run(
        "rerating",
        "Says what past sessions come to by another tariff, and has billing correct what is to be corrected.",
        serve,
    )
