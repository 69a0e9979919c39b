"""`python -m services.api`: serve the REST interface. `openapi` writes its description, `reconcile` reconciles a day."""

import sys

from chassis import service
from services.api import description, nightly
from services.api.server import serve

DESCRIPTION = """The REST interface, at VOLTSTREAM_API_PORT.

With the word `openapi` it only describes itself, in contracts/schema/openapi.json. `reconcile` reconciles a day, and has a --help of its own.
"""


def main() -> None:
    if sys.argv[1:2] == ["reconcile"]:
        raise SystemExit(nightly.main(sys.argv[2:]))
    parser = service.parser_of("api", DESCRIPTION)
    parser.add_argument("task", nargs="?", choices=["openapi", "reconcile"])
    if parser.parse_args().task is None:
        service.launch("api", serve)
    else:
        description.write()


if __name__ == "__main__":
    main()
