-- Every record of every topic. Nothing here is ever deleted: what Kafka no longer keeps is only here.
--
-- The sorting key is of what a record says of itself, so that the same record twice becomes one row, at the latest when
-- it is read with FINAL. `offset` and `partition` say where it lies, or lay, in Kafka.
CREATE TABLE IF NOT EXISTS events {on_cluster} (
    tenant LowCardinality(String),
    station String,
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64 CODEC(Delta, ZSTD(1)),
    key String CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    type LowCardinality(String),
    source LowCardinality(String),
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    recorded_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    sequence Nullable(UInt64) CODEC(ZSTD(1)),
    traceparent String CODEC(ZSTD(1)),
    deleted Bool,
    body String CODEC(ZSTD(3)),
    session String DEFAULT JSONExtractString(body, 'session') CODEC(ZSTD(1)),
    unread String,
    headers Map(String, String),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(recorded_time)
ORDER BY (tenant, station, topic, recorded_time, id)
SETTINGS
    index_granularity = 2048,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

-- How far each partition of each topic has been taken in: the newest batch that reached it, and whether it is stored.
CREATE TABLE IF NOT EXISTS positions {on_cluster} (
    topic LowCardinality(String),
    partition UInt32,
    first UInt64,
    after UInt64,
    batch String,
    done Bool,
    version UInt64 MATERIALIZED after * 2 + done
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (topic, partition)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
