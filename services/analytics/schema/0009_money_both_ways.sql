-- Movements of money as in 0008, but below 0 whenever the account gives: also what was adjusted downwards, and above 0 what had been
-- given back and has come back.
ALTER TABLE money_of_events {on_cluster} MODIFY QUERY
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
        events.type IN (
            'voltstream.SessionCharged', 'voltstream.SessionCredited', 'voltstream.SubscriptionCharged',
            'voltstream.AllowanceConsumed', 'voltstream.AllowanceReturned'
        ), JSONExtractString(body, 'gross'),
        JSONExtractString(body, 'movement', 'source') = 'customer', concat('-', JSONExtractString(body, 'movement', 'amount')),
        JSONExtractString(body, 'movement', 'amount')
    ), 4), 0) AS amount,
    recorded_time,
    id AS event
FROM events
WHERE topic = 'ledger' AND NOT deleted AND events.type IN (
    'voltstream.SessionCharged', 'voltstream.SessionCredited', 'voltstream.SubscriptionCharged',
    'voltstream.AllowanceConsumed', 'voltstream.AllowanceReturned', 'voltstream.MoneyTaken', 'voltstream.MoneyReturned',
    'voltstream.Adjusted', 'voltstream.WrittenOff'
);
