WITH ended AS (
    UPDATE sandbox.sessions SET status = $2, settles_at = NULL, settles_as = NULL
    WHERE session_id = $1
    RETURNING session_id
), charge AS (
    INSERT INTO sandbox.charges (session_id, charge_id, amount, fee)
    SELECT session_id, $4::text, $3::bigint, $5::bigint FROM ended WHERE $4::text IS NOT NULL
)
INSERT INTO sandbox.webhook_deliveries (event_id, body, tells_of_dispute, next_at)
SELECT $6, $7, $9, now() + make_interval(secs => $10) FROM ended, generate_series(1, $8)
