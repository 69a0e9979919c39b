"""chDB behind ClickHouse's HTTP protocol: `python -m chassis.embedded_clickhouse`."""
