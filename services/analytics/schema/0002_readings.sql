-- One row per sample of every ReadingsTaken, kept for ever. `said` is the value as it was said; `value` is null where
-- that is signed, or no number that fits. The sorting key is of the event alone: see 0001.
CREATE TABLE IF NOT EXISTS readings {on_cluster} (
    tenant LowCardinality(String),
    station String,
    evse Int64,
    connector Int64,
    session String CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    measurand LowCardinality(String),
    phase LowCardinality(String),
    context LowCardinality(String),
    location LowCardinality(String),
    unit LowCardinality(String),
    value Nullable(Decimal(38, 9)) CODEC(ZSTD(1)),
    said String CODEC(ZSTD(1)),
    signed Bool,
    recorded_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event String CODEC(ZSTD(1)),
    number UInt32,
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(recorded_time)
ORDER BY (tenant, station, session, at, event, number)
SETTINGS
    index_granularity = 2048,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

-- What an event leaves out has its default: those of contracts.stations.Sample are repeated here, and a test compares.
CREATE MATERIALIZED VIEW IF NOT EXISTS readings_of_events {on_cluster} TO readings AS
SELECT
    tenant,
    station,
    taken.evse AS evse,
    taken.connector AS connector,
    taken.session AS session,
    ifNull(parseDateTime64BestEffortOrNull(sample.1, 6, 'UTC'), time) AS at,
    if(sample.2.measurand = '', 'Energy.Active.Import.Register', sample.2.measurand) AS measurand,
    sample.2.phase AS phase,
    if(sample.2.context = '', 'Sample.Periodic', sample.2.context) AS context,
    if(sample.2.location = '', 'Outlet', sample.2.location) AS location,
    sample.2.unit AS unit,
    if(sample.2.signed, NULL, toDecimal128OrNull(sample.2.value, 9)) AS value,
    sample.2.value AS said,
    sample.2.signed AS signed,
    recorded_time,
    id AS event,
    number
FROM (
    SELECT
        tenant,
        station,
        time,
        recorded_time,
        id,
        JSONExtract(
            body,
            'Tuple(evse Int64, connector Int64, session String, readings Array(Tuple(at String, samples Array(Tuple(value String, measurand String, unit String, phase String, context String, location String, signed Bool)))))'
        ) AS taken,
        arrayFlatten(arrayMap(reading -> arrayMap(one -> (reading.at, one), reading.samples), taken.readings)) AS samples
    FROM events
    WHERE topic = 'readings' AND NOT deleted
)
ARRAY JOIN samples AS sample, arrayEnumerate(samples) AS number;
