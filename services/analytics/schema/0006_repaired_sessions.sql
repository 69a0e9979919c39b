-- Each session as its newest events leave it, by the order of the log; the states are those of the REST API. As in 0004, and
-- with repairs: an attached stop is another session's, and what is discarded counts for nothing.
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
    parseDateTime64BestEffortOrNull(if(end.5 = '', start.at, end.5), 6, 'UTC') AS started_at,
    parseDateTime64BestEffortOrNull(end.1, 6, 'UTC') AS ended_at,
    start.meter_wh AS meter_start_wh,
    end.2 AS meter_stop_wh,
    multiIf(repair = 'discard', 0, repair = 'attach', NULL, final, end.3, last_energy.1) AS energy_wh,
    end.4 AS reason,
    authorization,
    multiIf(
        repair = 'discard', 'discarded', repair = 'attach', 'attached',
        end_offset > start_offset, end_state, going_on > start_offset, 'charging', 'pending'
    ) AS state,
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
        argMaxIf((said.at, said.meter_wh, said.energy_wh, said.reason, said.started_at), offset, end_of_kind != '') AS end,
        argMaxIf(end_of_kind, offset, end_of_kind != '') AS end_state,
        maxIf(offset + 1, end_of_kind != '') AS end_offset,
        maxIf(offset + 1, kind IN ('SessionAuthorized', 'EnergyDelivered')) AS going_on,
        argMaxIf(tuple(said.energy_wh), offset, said.energy_wh IS NOT NULL) AS last_energy,
        argMaxIf(tuple(said.transaction), offset, said.transaction != '' AND kind IN ('SessionStarted', 'SessionRenamed', 'SessionQuarantined')) AS last_transaction,
        argMaxIf(said.info.status, offset, kind = 'SessionAuthorized') AS authorization,
        argMaxIf(said.action, offset, kind = 'SessionRepaired' AND said.action != 'end') AS repair,
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
                'Tuple(at String, site String, time_zone String, evse Nullable(Int64), connector Nullable(Int64), token String, transaction String, meter_wh Nullable(Int64), energy_wh Nullable(Int64), reason String, started_at String, action String, info Tuple(status String))'
            ) AS said
        FROM events
        WHERE topic = 'sessions' AND session != '' AND kind != 'RepairRefused'
    )
    GROUP BY tenant, session
);
