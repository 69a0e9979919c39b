"""`python -m services.api`: serve the REST interface; `python -m services.api openapi`: write its description."""

from chassis import service
from services.api import description
from services.api.server import serve

DESCRIPTION = "The REST interface, at VOLTSTREAM_API_PORT. With the word `openapi` it only describes itself."


def main() -> None:
    parser = service.parser_of("api", DESCRIPTION)
    parser.add_argument("task", nargs="?", choices=["openapi"], help="write contracts/schema/openapi.json, and end")
    if parser.parse_args().task is None:
        service.launch("api", serve)
    else:
        description.write()


if __name__ == "__main__":
    main()
