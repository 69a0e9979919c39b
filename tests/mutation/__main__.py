"""`make mutation`: change the rules in small ways, one at a time, and see whether their tests notice.

Each mutant is served instead of its module to a forked child, which runs the module's tests and stops at the first that fails.
A child that fails, crashes or hangs has killed its mutant; what survives is shown at the end. docs/mutation.md tells what came of it.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.mutation.bench import LEAST, PATIENCE, benched
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trials import Subject, trial, warm

CHECKOUT = Path(__file__).parent.parent.parent
GATEWAY = "services.gateway"
WHOLE_SESSIONS = (
    "domain",
    "starts",
    "stops",
    "decisions",
    "fold",
    "clocks",
    "ghosts",
    "ledger",
    "repairs",
    "meter",
    "samples",
    "adopted",
    "silence",
    "readings",
    "past",
    "signed",
    "records",
)
WHOLE_BILLING = (
    "tariff",
    "said",
    "properties",
    "vectors",
    "usage",
    "domain",
    "meter",
    "restrictions",
    "taxes",
    "shown",
)
WHOLE_ACCOUNTS = ("domain", "holds", "prepaid", "drafts", "dunning", "corrections", "properties")
WHOLE_PAYMENTS = ("domain", "meaning", "stripe")
WHOLE_INVOICING = ("domain", "vat", "document", "parties", "books")
WHOLE_RERATING = ("prices", "piece", "past", "jobs")


def tests_of(folder: str, first: str, *others: str) -> list[str]:
    """Return test files, those first that should know best."""
    return [f"tests/{folder}/test_{each}.py" for each in dict.fromkeys((first, *others))]


def of(service: str, whole: Sequence[str], **first: str) -> dict[str, list[str]]:
    """Return the tests of a service's modules, by the file that should know each best."""
    return {f"services.{service}.{module}": tests_of(service, known_by, *whole) for module, known_by in first.items()}


TESTS = {
    f"{GATEWAY}.normalise": tests_of("gateway", "normalise", "v16", "quirks"),
    f"{GATEWAY}.mend": tests_of("gateway", "mend", "normalise", "quirks"),
    f"{GATEWAY}.costs": tests_of("gateway", "costs"),
    **of(
        "sessions",
        WHOLE_SESSIONS,
        meter="meter",
        samples="samples",
        domain="domain",
        starts="starts",
        stops="stops",
        readings="readings",
        fold="fold",
        decisions="decisions",
        clocks="clocks",
        ghosts="ghosts",
        ledger="ledger",
        repairs="repairs",
        past="past",
        adopted="adopted",
        strangers="adopted",
        silence="silence",
    ),
    **of(
        "billing",
        WHOLE_BILLING,
        tariff="tariff",
        meter="meter",
        restrictions="restrictions",
        usage="usage",
        said="said",
        lint="lint",
    ),
    **of(
        "accounts",
        WHOLE_ACCOUNTS,
        domain="domain",
        bills="holds",
        asking="holds",
        answers="holds",
        opening="holds",
        balance="prepaid",
        funds="prepaid",
        payments="holds",
        settling="holds",
        drafts="drafts",
        dunning="dunning",
    ),
    **of("payments", WHOLE_PAYMENTS, domain="domain", meaning="meaning"),
    **of("invoicing", WHOLE_INVOICING, domain="domain", vat="vat", document="document", parties="parties"),
    **of("rerating", WHOLE_RERATING, prices="prices", piece="piece", past="past", jobs="jobs"),
}
"""The smallest set of test files that should kill a module's mutants."""


@dataclass(frozen=True)
class Tally:
    """What became of a module's mutants."""

    module: str
    possible: int
    tried: int
    hung: int
    survivors: list[Mutant]


def tried(module: str, tests: Sequence[str], sample: int, seed: int) -> Tally:
    """Try a sample of a module's mutants."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    subject = Subject(module, spec.origin, tests)
    every = mutants(subject.source)
    chosen = random.Random(f"{seed} {module}").sample(every, min(sample, len(every)))
    chosen.sort(key=lambda each: each.at)
    print(f"{module}: {len(chosen)} of {len(every)} mutants", flush=True)
    warm(tests)
    began = time.monotonic()
    verdicts = benched(subject, chosen)
    if verdicts is None:
        raise SystemExit(f"the tests of {module} fail without any mutant: {' '.join(tests)}")
    patience = max(LEAST, PATIENCE * (time.monotonic() - began))
    for mutant in chosen:
        if mutant.source not in verdicts:
            verdicts[mutant.source] = trial(subject, mutant.source, patience)
    survivors = [mutant for mutant in chosen if verdicts[mutant.source] == 0]
    hung = sum(verdict is None for verdict in verdicts.values())
    return Tally(module, len(every), len(chosen), hung, survivors)


def main() -> int:
    """Try mutants and print a table; returns 1 if any survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--module", default="services", help="one module, or all whose names begin so (%(default)s)")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each module (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses them (%(default)s)")
    parser.add_argument("--tests", nargs="+", help="test files, for a module that the table here does not name")
    options = parser.parse_args()
    os.chdir(CHECKOUT)
    wanted = (
        {options.module: options.tests}
        if options.tests
        else {name: tests for name, tests in TESTS.items() if f"{name}.".startswith(f"{options.module}.")}
    )
    if not wanted:
        parser.error(f"no tests are known for {options.module}; there are {', '.join(TESTS)}")
    tallies = [tried(module, tests, options.sample, options.seed) for module, tests in wanted.items()]
    print(f"\n{'module':32} {'mutants':>8} {'tried':>6} {'killed':>7} {'hung':>5} {'survived':>9}")
    for tally in tallies:
        lived = len(tally.survivors)
        print(f"{tally.module:32} {tally.possible:8} {tally.tried:6} {tally.tried - lived:7} {tally.hung:5} {lived:9}")
    for tally in tallies:
        for mutant in tally.survivors:
            print(f"survived  {tally.module.replace('.', '/')}.py:{mutant.line}  {mutant}")
    return 1 if any(tally.survivors for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
