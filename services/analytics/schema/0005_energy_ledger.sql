-- One row per event that moves energy in the ledger (contracts.sessions.Account), kept for ever. Corrections are rows of
-- their own, below 0 where they take something back. The sorting key is of the event alone: see 0001.
CREATE TABLE IF NOT EXISTS energy_accounts {on_cluster} (
    tenant LowCardinality(String),
    site String,
    time_zone LowCardinality(String),
    station String,
    session String CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    delivered_wh Int64 CODEC(ZSTD(1)),
    attributed_wh Int64 CODEC(ZSTD(1)),
    quarantined_wh Int64 CODEC(ZSTD(1)),
    unattributed_wh Int64 CODEC(ZSTD(1)),
    type LowCardinality(String),
    recorded_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event String CODEC(ZSTD(1)),
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(recorded_time)
ORDER BY (tenant, site, at, event)
SETTINGS
    index_granularity = 2048,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS energy_accounts_of_events {on_cluster} TO energy_accounts AS
SELECT
    tenant,
    account.site AS site,
    if(account.time_zone = '', 'UTC', account.time_zone) AS time_zone,
    station,
    session,
    time AS at,
    account.delivered_wh AS delivered_wh,
    account.attributed_wh AS attributed_wh,
    account.quarantined_wh AS quarantined_wh,
    account.unattributed_wh AS unattributed_wh,
    type,
    recorded_time,
    id AS event
FROM (
    SELECT
        tenant,
        station,
        session,
        time,
        type,
        recorded_time,
        id,
        JSONExtract(
            body,
            'account',
            'Tuple(delivered_wh Int64, attributed_wh Int64, quarantined_wh Int64, unattributed_wh Int64, site String, time_zone String)'
        ) AS account
    FROM events
    WHERE topic = 'sessions' AND NOT deleted AND JSONHas(body, 'account')
);

-- Energy by site and by the day, in the site's time zone, on which the meter showed it. Always exactly
-- delivered_wh = attributed_wh + quarantined_wh + unattributed_wh.
CREATE OR REPLACE VIEW energy_ledger {on_cluster} AS
SELECT
    tenant,
    site,
    toDate(toString(at, zone)) AS day,
    sum(accounts.delivered_wh) AS delivered_wh,
    sum(accounts.attributed_wh) AS attributed_wh,
    sum(accounts.quarantined_wh) AS quarantined_wh,
    sum(accounts.unattributed_wh) AS unattributed_wh
FROM (
    SELECT
        *,
        if(time_zone IN (SELECT time_zone FROM system.time_zones), time_zone, 'UTC') AS zone
    FROM energy_accounts FINAL
) AS accounts
GROUP BY tenant, site, day
SETTINGS allow_nonconst_timezone_arguments = 1;
