-- Each session as its newest events leave it, by the order of the log; the states are those of the REST API.
CREATE OR REPLACE VIEW sessions {on_cluster} AS
SELECT
    tenant,
    session,
    station,
    start.site AS site,
    if(start.time_zone = '', 'UTC', start.time_zone) AS time_zone,
    start.evse AS evse,
    start.connector AS connector,
    start.token AS token,
    last_transaction.1 AS transaction,
    parseDateTime64BestEffortOrNull(start.at, 6, 'UTC') AS started_at,
    parseDateTime64BestEffortOrNull(end.1, 6, 'UTC') AS ended_at,
    start.meter_wh AS meter_start_wh,
    end.2 AS meter_stop_wh,
    if(final, end.3, last_energy.1) AS energy_wh,
    end.4 AS reason,
    authorization,
    multiIf(end_offset > start_offset, end_state, going_on > start_offset, 'charging', 'pending') AS state,
    state = 'ended' AND end.3 IS NOT NULL AS final,
    events,
    updated_at
FROM (
    SELECT
        tenant,
        session,
        argMax(station, offset) AS station,
        argMaxIf(said, offset, kind = 'SessionStarted') AS start,
        maxIf(offset + 1, kind = 'SessionStarted') AS start_offset,
        argMaxIf((said.at, said.meter_wh, said.energy_wh, said.reason), offset, end_of_kind != '') AS end,
        argMaxIf(end_of_kind, offset, end_of_kind != '') AS end_state,
        maxIf(offset + 1, end_of_kind != '') AS end_offset,
        maxIf(offset + 1, kind IN ('SessionAuthorized', 'EnergyDelivered')) AS going_on,
        argMaxIf(tuple(said.energy_wh), offset, said.energy_wh IS NOT NULL) AS last_energy,
        argMaxIf(tuple(said.transaction), offset, said.transaction != '' AND kind IN ('SessionStarted', 'SessionRenamed', 'SessionQuarantined')) AS last_transaction,
        argMaxIf(said.info.status, offset, kind = 'SessionAuthorized') AS authorization,
        uniqExact(id) AS events,
        max(recorded_time) AS updated_at
    FROM (
        SELECT
            tenant,
            session,
            station,
            offset,
            id,
            recorded_time,
            splitByChar('.', type)[2] AS kind,
            transform(
                kind,
                ['SessionEnded', 'SessionCorrected', 'SessionPresumedEnded', 'SessionQuarantined'],
                ['ended', 'ended', 'presumed_ended', 'quarantined'],
                ''
            ) AS end_of_kind,
            JSONExtract(
                body,
                'Tuple(at String, site String, time_zone String, evse Nullable(Int64), connector Nullable(Int64), token String, transaction String, meter_wh Nullable(Int64), energy_wh Nullable(Int64), reason String, info Tuple(status String))'
            ) AS said
        FROM events
        WHERE topic = 'sessions' AND session != ''
    )
    GROUP BY tenant, session
);

-- Energy of the sessions that are over, by site and by the day, in the site's time zone, on which they ended.
-- Sessions whose energy nobody knows are counted, not taken for 0.
CREATE OR REPLACE VIEW energy_by_day {on_cluster} AS
SELECT
    tenant,
    site,
    toDate(toString(assumeNotNull(ended_at), zone)) AS day,
    count() AS sessions,
    sum(ended.energy_wh) AS energy_wh,
    countIf(ended.energy_wh IS NULL) AS without_energy
FROM (
    SELECT
        tenant,
        site,
        ended_at,
        energy_wh,
        if(time_zone IN (SELECT time_zone FROM system.time_zones), time_zone, 'UTC') AS zone
    FROM sessions
    WHERE state IN ('ended', 'presumed_ended') AND ended_at IS NOT NULL
) AS ended
GROUP BY tenant, site, day
SETTINGS allow_nonconst_timezone_arguments = 1;
