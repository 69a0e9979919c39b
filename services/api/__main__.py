"""`python -m services.api`: serve the REST interface; `python -m services.api openapi`: write its description."""

import json
import sys

from chassis.service import run
from services.api.app import describe
from services.api.server import serve

if __name__ == "__main__":
    if sys.argv[1:] == ["openapi"]:
        print(json.dumps(describe().openapi(), indent=2, ensure_ascii=False))
    else:
        run("api", "The REST interface, at VOLTSTREAM_API_PORT; `openapi` prints its description.", serve)
