-- What stations sent and what we called them with, byte for byte; secrets bound for a station are *** already in Kafka.
-- A frame that is no UTF-8 is in the event in base64. `message_type` is OCPP-J's 2, 3 or 4, and 0 where there is none.
CREATE OR REPLACE VIEW frames {on_cluster} AS
SELECT
    tenant,
    station,
    time,
    recorded_time,
    if(type = 'voltstream.CallSent', 'to_station', 'from_station') AS direction,
    if(
        JSONHas(body, 'frame', 'base64'),
        tryBase64Decode(JSONExtractString(body, 'frame', 'base64')),
        JSONExtractString(body, 'frame', 'text')
    ) AS frame,
    JSONExtractUInt(frame, 1) AS message_type,
    if(message_type = 2, JSONExtractString(frame, 3), '') AS action,
    JSONExtract(body, 'violations', 'Array(Tuple(rule String, detail String))') AS violations,
    JSONExtractInt(body, 'epoch') AS epoch,
    type,
    id,
    partition,
    offset,
    traceparent
FROM events
WHERE topic = 'stations' AND JSONHas(body, 'frame');
