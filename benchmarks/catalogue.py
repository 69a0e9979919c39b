"""Every benchmark there is, in the order in which they run."""

from benchmarks import gateway, loop, memory, pricing, records, rerating, rest, storm, system, views
from benchmarks.harness import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    # The first: it measures the memory of this process, which later ones fill.
    "rerating": Benchmark("1,000,000 past sessions rated by another tariff, and the memory for it", rerating.measure),
    "gateway": Benchmark(
        "acknowledged MeterValues per CPU-second of a gateway, beside an echo server's", gateway.measure
    ),
    "system": Benchmark(
        "CPU-seconds per 1,000 messages over all processes, and how long a card and a start wait", system.measure
    ),
    "memory": Benchmark("memory of idle stations, and of a large registry", memory.measure),
    "storm": Benchmark("2,000 stations that connect and boot at once, beside bare handshakes", storm.measure),
    "loop": Benchmark(
        "records through the exactly-once loop per CPU-second, beside a bare transactional copy", loop.measure
    ),
    "views": Benchmark("events that views takes in per second, beside bare SQLAlchemy upserts", views.measure),
    "rest": Benchmark("answers of the API per CPU-second, beside a bare route with the same bytes", rest.measure),
    "records": Benchmark("what the state of a station with a long history takes in the log", records.measure),
    "pricing": Benchmark("CDRs and running costs per CPU-second, beside a bare JSON decode", pricing.measure),
}
