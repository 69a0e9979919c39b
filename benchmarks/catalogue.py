"""Every benchmark there is, in the order in which they run."""

from benchmarks import gateway, system
from benchmarks.harness import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    "gateway": Benchmark(
        "acknowledged MeterValues per CPU-second of a gateway, beside an echo server's", gateway.measure
    ),
    "system": Benchmark(
        "CPU-seconds per 1,000 messages over all processes, and how long a card and a start wait", system.measure
    ),
}
