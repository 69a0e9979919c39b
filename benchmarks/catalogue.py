"""Every benchmark there is, in the order in which they run."""

from benchmarks import gateway, memory, storm
from benchmarks.harness import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    "gateway": Benchmark(
        "acknowledged MeterValues per CPU-second of a gateway, beside an echo server's", gateway.measure
    ),
    "memory": Benchmark("memory of idle stations, and of a large registry", memory.measure),
    "storm": Benchmark("2,000 stations that connect and boot at once, beside bare handshakes", storm.measure),
}
