"""Every benchmark there is, in the order in which they run."""

from benchmarks import gateway
from benchmarks.harness import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    "gateway": Benchmark(
        "acknowledged MeterValues per CPU-second of a gateway, beside an echo server's", gateway.measure
    ),
}
