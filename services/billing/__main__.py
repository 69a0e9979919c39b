"""Run billing: `python -m services.billing`. Price a file of cases: `python -m services.billing price FILE`."""

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from chassis.service import run_decider
from services.billing import cases, worker
from services.billing.tariff import Unpriceable


def price(path: str) -> int:
    """Print what the cases of a file cost, as JSON; `-` is standard input. Return 1 if one of them has no price."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        said = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    results = [_result(case) for case in cases.each(said)]
    print(json.dumps(results if isinstance(said, list) else results[0], indent=2))
    failed = [result["error"] for result in results if "error" in result]
    for why in failed:
        print(why, file=sys.stderr)
    return 1 if failed else 0


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _result(case: Any) -> dict[str, Any]:
    named = {"name": case["name"]} if isinstance(case, dict) and "name" in case else {}
    try:
        return {**named, **cases.priced(case)}
    except Unpriceable as error:
        return {**named, "error": str(error)}


def command(arguments: Sequence[str]) -> int:
    """Run `price`."""
    parser = argparse.ArgumentParser(prog="python -m services.billing price", description=cases.__doc__)
    parser.add_argument("file", help='JSON: {"tariff": …, "session": …}, or a list of them; - is standard input')
    return price(parser.parse_args(arguments).file)


if __name__ == "__main__":
    if sys.argv[1:2] == ["price"]:
        raise SystemExit(command(sys.argv[2:]))
    run_decider("billing", "Prices sessions and bills them. `price FILE` prices a file of cases instead.", worker.build)
