"""docs/ocpp-coverage.md says what the tests show."""

import re
import subprocess
import sys

from deploy.local.part import CHECKOUT
from tests.ocpp_catalogue import OCTT, OWN, QUIRKS


def test_the_coverage_is_what_the_tests_say() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "tests.ocpp_coverage", "--check"],
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr[-2000:]
    counts = re.findall(r": (\d+)/(\d+)", checked.stdout)
    assert [int(of) for _, of in counts] == [len(OCTT), len(OWN), len(QUIRKS)]
