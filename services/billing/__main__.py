"""Run billing: `python -m services.billing`. `price FILE` prices a file of cases, `verify FILE` verifies signed meter values."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chassis.service import run
from services.billing import cases, signed, worker
from services.billing.said import read
from services.billing.signed import Judged, judged


def price(path: str) -> int:
    """Print what the cases of a file cost, as JSON; `-` is standard input. Return 1 if one of them has no price."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        said = read(text)
    except (OSError, ValueError, RecursionError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    results = [cases.result(case) for case in cases.each(said)]
    print(json.dumps(results if isinstance(said, list) else results[0], indent=2))
    failed = [
        f"{_name(number, result)}: {result['error']}" for number, result in enumerate(results) if "error" in result
    ]
    for why in failed:
        print(f"{path}: {why}", file=sys.stderr)
    return 1 if failed else 0


def _name(number: int, result: dict[str, Any]) -> str:
    return f"case {number}" + (f" ({result['name']})" if "name" in result else "")


def verify(path: str, key: str | None) -> int:
    """Print what is thought of signed meter values, one a line, as JSON. Return 1 if one is not genuine."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    found = [judged(line, key) for line in text.splitlines() if line]
    for each in found:
        print(json.dumps(_verdict(each)))
    return 0 if all(each.verdict == "genuine" for each in found) else 1


def _verdict(found: Judged) -> dict[str, Any]:
    said: dict[str, Any] = {"verdict": found.verdict, "why": found.why}
    if found.document is None:
        return said
    readings = [
        {
            "at": each.at.isoformat(),
            "time_status": each.time_status,
            "transaction": each.transaction,
            "value": None if each.value is None else str(each.value),
            "unit": each.unit,
        }
        for each in found.document.readings
    ]
    return said | {"meter": found.document.meter, "page": found.document.page, "readings": readings}


def command(arguments: Sequence[str]) -> int:
    """Run `price` or `verify`."""
    parser = argparse.ArgumentParser(prog="python -m services.billing")
    commands = parser.add_subparsers(dest="command", required=True)
    pricing = commands.add_parser("price", description=cases.__doc__)
    pricing.add_argument("file", help='JSON: {"tariff": …, "session": …}, or a list of them; - is standard input')
    verifying = commands.add_parser("verify", description=signed.__doc__)
    verifying.add_argument("file", help="signed meter values, one a line; - is standard input")
    verifying.add_argument("--key", help="the meter's public key, in hex or base64")
    said = parser.parse_args(arguments)
    return price(said.file) if said.command == "price" else verify(said.file, said.key)


if __name__ == "__main__":
    if sys.argv[1:2] in (["price"], ["verify"]):
        raise SystemExit(command(sys.argv[1:]))
    run("billing", "Prices sessions and bills them; `price FILE` and `verify FILE` do so by hand.", worker.serve)
