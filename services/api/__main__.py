"""`python -m services.api`: serve the REST interface; `python -m services.api openapi`: write its description."""

import sys

from chassis.service import run
from services.api import description
from services.api.server import serve

if __name__ == "__main__":
    if sys.argv[1:] == ["openapi"]:
        description.write()
    else:
        run(
            "api",
            "The REST interface, at VOLTSTREAM_API_PORT. With the word `openapi` it only describes itself.",
            serve,
        )
