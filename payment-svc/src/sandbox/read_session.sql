SELECT s.session_id, s.amount, s.currency, s.description, s.reference, s.status, s.expires_at,
       s.settles_as, s.duplicate, s.declines, s.dispute,
       (SELECT c.fee FROM sandbox.charges c WHERE c.session_id = s.session_id) AS fee,
       0::float8 AS "webhook_delay_s!",
       (CASE s.status WHEN 'OPEN' THEN s.expires_at <= now()
                      WHEN 'PROCESSING' THEN s.settles_at <= now()
                      ELSE false END) AS "due!"
FROM sandbox.sessions s
WHERE s.session_id = $1
