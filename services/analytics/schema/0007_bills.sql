-- Every CDR and every credit of one, a row each, kept for ever: a correction is two more rows. `net` and `gross` are null where
-- nobody says the taxes; `net_said` and `gross_said` are the amounts as they were written. See 0001 for the sorting key.
CREATE TABLE IF NOT EXISTS documents {on_cluster} (
    tenant LowCardinality(String),
    station String,
    session String CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    credits String CODEC(ZSTD(1)),
    corrects String CODEC(ZSTD(1)),
    number UInt32,
    tariff LowCardinality(String),
    tariff_version UInt32,
    token String CODEC(ZSTD(1)),
    account String CODEC(ZSTD(1)),
    site String,
    started_at Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    ended_at Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    issued_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    currency LowCardinality(String),
    net Nullable(Decimal(38, 4)) CODEC(ZSTD(1)),
    gross Nullable(Decimal(38, 4)) CODEC(ZSTD(1)),
    net_said String CODEC(ZSTD(1)),
    gross_said String CODEC(ZSTD(1)),
    energy_wh Nullable(Int64) CODEC(ZSTD(1)),
    recorded_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event String CODEC(ZSTD(1)),
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(recorded_time)
ORDER BY (tenant, issued_at, id, event)
SETTINGS
    index_granularity = 2048,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS documents_of_events {on_cluster} TO documents AS
SELECT
    tenant,
    station,
    session,
    said.cdr AS id,
    said.credits AS credits,
    said.corrects AS corrects,
    said.number AS number,
    said.tariff AS tariff,
    said.tariff_version AS tariff_version,
    said.token AS token,
    said.account AS account,
    said.site AS site,
    parseDateTime64BestEffortOrNull(said.started_at, 6, 'UTC') AS started_at,
    parseDateTime64BestEffortOrNull(said.ended_at, 6, 'UTC') AS ended_at,
    time AS issued_at,
    if(is_credit, said.currency, said.priced.currency) AS currency,
    toDecimal128OrNull(net_said, 4) AS net,
    toDecimal128OrNull(gross_said, 4) AS gross,
    if(is_credit, said.total_excl, said.priced.total_excl) AS net_said,
    if(is_credit, said.total_incl, said.priced.total_incl) AS gross_said,
    if(is_credit, NULL, said.priced.energy_wh) AS energy_wh,
    recorded_time,
    event
FROM (
    SELECT
        tenant,
        station,
        session,
        time,
        recorded_time,
        id AS event,
        type = 'voltstream.CdrCredited' AS is_credit,
        JSONExtract(
            body,
            'Tuple(cdr String, credits String, corrects String, number UInt32, tariff String, tariff_version UInt32, token String, account String, site String, started_at String, ended_at String, currency String, total_excl String, total_incl String, priced Tuple(currency String, total_excl String, total_incl String, energy_wh Nullable(Int64)))'
        ) AS said
    FROM events
    WHERE topic = 'bills' AND NOT deleted AND type IN ('voltstream.CdrIssued', 'voltstream.CdrCredited')
);

-- What a deployment has had until now. Rows that are there already become one with these.
INSERT INTO documents
SELECT
    tenant, station, session, JSONExtractString(body, 'cdr'), JSONExtractString(body, 'credits'), JSONExtractString(body, 'corrects'),
    JSONExtractUInt(body, 'number'), JSONExtractString(body, 'tariff'), JSONExtractUInt(body, 'tariff_version'),
    JSONExtractString(body, 'token'), JSONExtractString(body, 'account'), JSONExtractString(body, 'site'),
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'started_at'), 6, 'UTC'),
    parseDateTime64BestEffortOrNull(JSONExtractString(body, 'ended_at'), 6, 'UTC'),
    time,
    if(type = 'voltstream.CdrCredited', JSONExtractString(body, 'currency'), JSONExtractString(body, 'priced', 'currency')),
    toDecimal128OrNull(net_said, 4),
    toDecimal128OrNull(gross_said, 4),
    if(type = 'voltstream.CdrCredited', JSONExtractString(body, 'total_excl'), JSONExtractString(body, 'priced', 'total_excl')) AS net_said,
    if(type = 'voltstream.CdrCredited', JSONExtractString(body, 'total_incl'), JSONExtractString(body, 'priced', 'total_incl')) AS gross_said,
    if(type = 'voltstream.CdrCredited', NULL, JSONExtract(body, 'priced', 'energy_wh', 'Nullable(Int64)')),
    recorded_time,
    id
FROM events FINAL
WHERE topic = 'bills' AND NOT deleted AND type IN ('voltstream.CdrIssued', 'voltstream.CdrCredited')
SETTINGS max_partitions_per_insert_block = 0;

-- The time zone of each site, as it was said last; one that ClickHouse does not know is taken for UTC.
CREATE OR REPLACE VIEW site_zones {on_cluster} AS
SELECT
    tenant,
    site,
    if(said IN (SELECT time_zone FROM system.time_zones), said, 'UTC') AS zone
FROM (
    SELECT tenant, JSONExtractString(body, 'id') AS site, argMax(JSONExtractString(body, 'time_zone'), (version, recorded_time)) AS said
    FROM (SELECT *, JSONExtractUInt(body, 'version') AS version FROM events WHERE topic = 'sites' AND station = '' AND NOT deleted)
    GROUP BY tenant, site
);

-- Documents by the local day on which their session ended. A credit is of the day, the tariff and the site of what it takes back.
CREATE OR REPLACE VIEW booked {on_cluster} AS
SELECT
    document.*,
    toDate(toString(assumeNotNull(document.ended_at), if(zones.zone = '', 'UTC', zones.zone))) AS day
FROM (
    SELECT tenant, station, session, id, '' AS credits, tariff, account, site, ended_at, currency, net, gross, energy_wh
    FROM documents FINAL
    WHERE credits = '' AND ended_at IS NOT NULL
    UNION ALL
    SELECT
        taken.tenant, taken.station, taken.session, taken.id, taken.credits, cdr.tariff, taken.account, cdr.site, cdr.ended_at,
        taken.currency, taken.net, taken.gross, -cdr.energy_wh AS energy_wh
    FROM (SELECT * FROM documents FINAL WHERE credits != '') AS taken
    INNER JOIN (
        SELECT * FROM documents FINAL WHERE credits = '' AND (tenant, id) IN (SELECT tenant, credits FROM documents WHERE credits != '')
    ) AS cdr ON cdr.tenant = taken.tenant AND cdr.id = taken.credits
    WHERE cdr.ended_at IS NOT NULL
) AS document
LEFT JOIN site_zones AS zones ON zones.tenant = document.tenant AND zones.site = document.site
SETTINGS allow_nonconst_timezone_arguments = 1;

-- Revenue by local day, site and tariff: what counts after all corrections. `credited` is the part of gross that was taken back.
CREATE OR REPLACE VIEW revenue {on_cluster} AS
SELECT
    tenant,
    day,
    site,
    tariff,
    currency,
    countIf(document.credits = '') - countIf(document.credits != '') AS sessions,
    sum(document.energy_wh) AS energy_wh,
    sum(document.net) AS net,
    sum(document.gross) AS gross,
    sumIf(document.gross, document.credits != '') AS credited,
    countIf(document.credits = '' AND (document.net IS NULL OR document.gross IS NULL)) AS without_total
FROM booked AS document
GROUP BY tenant, day, site, tariff, currency
SETTINGS allow_nonconst_timezone_arguments = 1;

-- Every movement of money in accounts, a row each, kept for ever. The amount is below 0 where something is given or taken back.
CREATE TABLE IF NOT EXISTS money {on_cluster} (
    tenant LowCardinality(String),
    account String CODEC(ZSTD(1)),
    entry UInt64,
    type LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    session String CODEC(ZSTD(1)),
    cdr String CODEC(ZSTD(1)),
    payment String CODEC(ZSTD(1)),
    currency LowCardinality(String),
    amount Decimal(38, 4) CODEC(ZSTD(1)),
    recorded_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event String CODEC(ZSTD(1)),
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(recorded_time)
ORDER BY (tenant, account, entry, event)
SETTINGS
    index_granularity = 2048,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 2592000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS money_of_events {on_cluster} TO money AS
SELECT
    tenant,
    JSONExtractString(body, 'account') AS account,
    JSONExtractUInt(body, 'entry') AS entry,
    splitByChar('.', events.type)[2] AS type,
    time AS at,
    JSONExtractString(body, 'session') AS session,
    JSONExtractString(body, 'cdr') AS cdr,
    JSONExtractString(body, 'payment') AS payment,
    JSONExtractString(body, 'currency') AS currency,
    ifNull(toDecimal128OrNull(multiIf(
        events.type IN ('voltstream.SessionCharged', 'voltstream.SessionCredited'), JSONExtractString(body, 'gross'),
        events.type = 'voltstream.MoneyReturned', concat('-', JSONExtractString(body, 'movement', 'amount')),
        JSONExtractString(body, 'movement', 'amount')
    ), 4), 0) AS amount,
    recorded_time,
    id AS event
FROM events
WHERE topic = 'ledger' AND NOT deleted AND events.type IN (
    'voltstream.SessionCharged', 'voltstream.SessionCredited', 'voltstream.MoneyTaken', 'voltstream.MoneyReturned',
    'voltstream.Adjusted', 'voltstream.WrittenOff'
);
