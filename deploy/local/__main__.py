"""`make run`: Voltstream on this machine, until Ctrl-C."""

import sys

from deploy.local import early  # noqa: F401 - first, since the imports below take a moment
from deploy.local.runner import parser_of, run


def main() -> int:
    """Run until Ctrl-C; returns the exit code."""
    options = parser_of("", "Run a real Kafka, an embedded ClickHouse and every service, until Ctrl-C.").parse_args()
    return run(options.folder)


if __name__ == "__main__":
    sys.exit(main())
