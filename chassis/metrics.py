"""Every metric of Voltstream. No label ever names a station, session or token: there may be a million."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# Every service
EVENTS_PRODUCED = Counter("voltstream_events_produced_total", "Records appended", ["topic"])
EVENTS_CONSUMED = Counter("voltstream_events_consumed_total", "Records read", ["topic"])
EVENT_AGE = Histogram(
    "voltstream_event_age_seconds", "From our learning of an event to what followed from it", ["topic"], buckets=SECONDS
)
UNREADABLE = Counter("voltstream_unreadable_total", "Records that nobody could decode", ["topic"])
LOOP_LAG = Gauge("voltstream_event_loop_lag_seconds", "How late the event loop runs")

# Deciders
TRANSACTIONS = Counter(
    "voltstream_transactions_total", "Kafka transactions of the exactly-once loop", ["service", "result"]
)
STATES = Gauge("voltstream_states", "Keys with a state", ["service"])
STATE_BYTES = Gauge("voltstream_state_bytes_max", "The largest state record written", ["service"])
PARKED_KEYS = Gauge("voltstream_parked_keys", "Keys whose records wait for a repair", ["service"])
PARKED_RECORDS = Counter("voltstream_parked_records_total", "Records put aside for a parked key", ["service"])

# Gateway
GATEWAY_CONNECTIONS = Gauge("voltstream_gateway_connections", "Open connections", ["protocol", "security_profile"])
GATEWAY_CONNECTS = Counter("voltstream_gateway_connects_total", "Opening handshakes", ["result"])
GATEWAY_DISCONNECTS = Counter("voltstream_gateway_disconnects_total", "Connections that ended", ["code", "reason"])
GATEWAY_THROTTLED = Counter("voltstream_gateway_throttled_total", "Messages that waited: their station sent too many")
GATEWAY_ACKNOWLEDGED = Gauge("voltstream_gateway_acknowledged", "Whether Kafka acknowledges what stations say (0 or 1)")
GATEWAY_DROPPED = Counter("voltstream_gateway_dropped_total", "Answers that came for nobody", ["reason"])
GATEWAY_UNDECIDED = Counter("voltstream_gateway_undecided_total", "Calls answered because nobody decided", ["action"])
OCPP_MESSAGES = Counter(
    "voltstream_ocpp_messages_total", "Calls, the stations' and ours", ["direction", "action", "version"]
)
OCPP_CALL_DURATION = Histogram(
    "voltstream_ocpp_call_duration_seconds", "From a call to its answer", ["action", "outcome"], buckets=SECONDS
)
OCPP_ERRORS = Counter("voltstream_ocpp_errors_total", "Calls of stations answered with an error", ["code"])

# Analytics
CLICKHOUSE_ROWS = Counter("voltstream_clickhouse_insert_rows_total", "Records stored in ClickHouse")
CLICKHOUSE_DURATION = Histogram(
    "voltstream_clickhouse_insert_duration_seconds", "From a batch's plan to its end in ClickHouse", buckets=SECONDS
)

# API
API_REQUESTS = Counter("voltstream_api_requests_total", "Requests answered", ["operation", "status"])
API_DURATION = Histogram(
    "voltstream_api_request_duration_seconds",
    "From a request to its answer, waits included",
    ["operation"],
    buckets=SECONDS,
)
STREAMS = Gauge("voltstream_api_streams", "Live streams that are open")
STREAM_EVENTS = Counter("voltstream_api_stream_events_total", "Events sent to live streams")
STREAM_ENDS = Counter("voltstream_api_stream_ends_total", "Live streams that ended", ["why"])
STREAM_LOG_READS = Counter("voltstream_api_stream_log_reads_total", "Reads of the log for streams that were behind")

RECONCILIATION = Gauge(
    "voltstream_reconciliation_unexplained", "Differences without an explanation in the last reconciliation of a day"
)


def exposition(registry: CollectorRegistry = REGISTRY) -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(registry)
