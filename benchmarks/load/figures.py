"""How long stations waited for answers, and what went wrong meanwhile."""

from array import array
from collections import Counter

from benchmarks.harness import percentile


class Figures:
    """Latencies by action, in seconds, and counts."""

    def __init__(self) -> None:
        self.latencies: dict[str, array[float]] = {}
        self.errors: Counter[str] = Counter()
        """By action and what came instead of an answer: silent, an error, or an unreadable frame."""
        self.messages = 0
        """Calls of OCPP that were answered; what is timed besides is none."""
        self.reconnects = self.refused = 0
        self.connected = 0
        """How many stations are now."""
        self.is_over = False
        """Whether what is answered from now on counts no more."""
        self._seen: set[str] = set()

    def joined(self, station: str) -> None:
        """A station has connected: for the first time, or again."""
        self.connected += 1
        self.reconnects += station in self._seen
        self._seen.add(station)

    def left(self) -> None:
        self.connected -= 1

    def time(self, action: str, seconds: float) -> None:
        """Note how long something took."""
        if self.is_over:
            return
        self.latencies.setdefault(action, array("d")).append(seconds)

    def answered(self, action: str, seconds: float) -> None:
        """Note an answer, and how long it was waited for."""
        self.messages += not self.is_over
        self.time(action, seconds)

    def failed(self, action: str, how: str) -> None:
        self.errors[f"{action} {how}"] += 1

    def forget(self) -> None:
        """Begin to measure anew: what was before was warming up."""
        self.latencies.clear()
        self.errors.clear()
        self.messages = 0

    def p(self, action: str, of: float) -> float:
        """Return a percentile (0 to 1) of an action's latencies, in seconds."""
        return percentile(self.latencies[action], of)

    def table(self, seconds: float) -> str:
        """Return a line per action, in milliseconds, and what else there was."""
        lines = [f"{'':<18}{'number':>9}{'/s':>9}{'p50 ms':>10}{'p90':>10}{'p99':>10}{'max':>10}"]
        lines += [self._row(action, seconds) for action in sorted(self.latencies)]
        lines.append(f"{self.messages:,} messages in {seconds:.1f} s, {self.messages / max(seconds, 0.001):,.0f}/s")
        lines.append(f"{self.reconnects:,} reconnects, {self.refused:,} refused handshakes, {self._errors()}")
        return "\n".join(lines)

    def _row(self, action: str, seconds: float) -> str:
        found = self.latencies[action]
        shown = "".join(f"{1000 * self.p(action, of):>10,.1f}" for of in (0.5, 0.9, 0.99, 1))
        return f"{action:<18}{len(found):>9,}{len(found) / max(seconds, 0.001):>9,.1f}{shown}"

    def _errors(self) -> str:
        if not self.errors:
            return "0 errors"
        return f"{self.errors.total():,} errors: " + ", ".join(f"{what} {n}" for what, n in self.errors.most_common())
