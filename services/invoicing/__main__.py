"""Run invoicing: `python -m services.invoicing`. See what an invoice looks like: `python -m services.invoicing example FOLDER`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chassis.service import run
from chassis.settings import BrokenSetting
from services.invoicing import example, worker
from services.invoicing.parties import read


def command(arguments: Sequence[str]) -> int:
    """Run `example`."""
    parser = argparse.ArgumentParser(prog="python -m services.invoicing example", description=example.__doc__)
    parser.add_argument("folder", type=Path, help="where invoice.pdf and invoice.xml are written")
    parser.add_argument("--sellers", default="", help="a file as VOLTSTREAM_SELLERS names it; none: an example")
    parser.add_argument("--tenant", default="default", help="whose seller")
    parser.add_argument("--fonts", default="", help="a folder as VOLTSTREAM_FONTS names it")
    asked = parser.parse_args(arguments)
    try:
        seller = read(asked.sellers).get(asked.tenant, example.SELLER)
        paths = example.written(asked.folder, seller, asked.fonts)
    except (BrokenSetting, OSError) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(*paths, sep="\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["example"]:
        raise SystemExit(command(sys.argv[2:]))
    about = "Gives invoices and credit notes their numbers, and writes them as PDF and XML. `example FOLDER` writes one to look at."
    run("invoicing", about, worker.serve)
