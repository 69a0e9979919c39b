"""`python -m services.gateway`."""

from chassis.service import run
from services.gateway.server import serve

if __name__ == "__main__":
    run("gateway", "Where charging stations connect: OCPP in, events out, answers back.", serve)
