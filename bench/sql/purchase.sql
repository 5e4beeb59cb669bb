-- One purchase of four tickets as Postgres sees it: the same writes, in as many transactions, of
-- booking-svc, payment-svc, the event stream and the sandbox provider. What they read besides, and what
-- they ask each other and the lock store, is left out. (A colon in a text would name a variable.)
SELECT n, ('00000000-0000-7000-8000-' || lpad(to_hex(n / 12500), 12, '0'))::uuid AS show,
    n % 12500 * 4 AS seat,
    ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS booking,
    ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid AS payment,
    '01900000-0000-7000-a000-000000000001'::uuid AS customer,
    'cs_' || n AS session
FROM (SELECT nextval('public.purchases') AS n) AS next \gset

-- POST bookings
WITH locked AS MATERIALIZED (
    SELECT seat_no FROM booking.seats
    WHERE show_id = :show::uuid AND seat_no = ANY (ARRAY[:seat, :seat + 1, :seat + 2, :seat + 3]::int[])
    ORDER BY seat_no FOR NO KEY UPDATE
), seats AS (
    UPDATE booking.seats s SET state = 'HELD', booking_id = :booking::uuid, fence = :n + 1,
        expires_at = now() + interval '15 minutes'
    FROM locked l WHERE s.show_id = :show::uuid AND s.seat_no = l.seat_no
), outbox AS (
    INSERT INTO booking.outbox (id, topic, key, event_type, payload)
    VALUES (gen_random_uuid(), 'booking', :booking, 'BookingCreated', convert_to(repeat('a', 160), 'UTF8'))
), request AS (
    INSERT INTO booking.requests (user_id, idempotency_key, route, body_hash, answer)
    VALUES (:customer::uuid, 'key-' || :n, 'CREATE_BOOKING', sha256('hold'), convert_to(repeat('a', 160), 'UTF8'))
), directory AS (
    INSERT INTO booking.directory (user_id, booking_id, show_id, idempotency_key, body_hash)
    VALUES (:customer::uuid, :booking::uuid, :show::uuid, 'key-' || :n, sha256('hold'))
), timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, revision, fence)
    VALUES (:show::uuid, :booking::uuid, 1, 'HOLD_EXTENDED', :n + 1, :n + 1),
        (:show::uuid, :booking::uuid, 2, 'CREATED', :n + 1, :n + 1)
)
INSERT INTO booking.bookings (booking_id, user_id, show_id, seat_nos, amount, currency, price_version, state,
    hold_id, fence, expires_at, pay_until)
VALUES (:booking::uuid, :customer::uuid, :show::uuid, ARRAY[:seat, :seat + 1, :seat + 2, :seat + 3]::int[], 6000,
    'EUR', 1, 'PENDING_PAYMENT', :booking::uuid, :n + 1, now() + interval '15 minutes', now() + interval '15 minutes');
{move booking}

-- A session is opened
INSERT INTO payment.payments (payment_id, booking_id, attempt, user_id, show_id, state, amount, currency,
    description, pay_until, provider, ask_at)
VALUES (:payment::uuid, :booking::uuid, 1, :customer::uuid, :show::uuid, 'CREATING_SESSION', 6000, 'EUR', 'A show',
    now() + interval '15 minutes', 'sandbox', now() + interval '15 seconds');
INSERT INTO sandbox.sessions (session_id, idempotency_key, amount, currency, description, reference, status,
    expires_at)
VALUES (:session, :payment, 6000, 'EUR', 'A show', :payment, 'OPEN', now() + interval '15 minutes');
WITH created AS (
    UPDATE payment.payments SET state = 'SESSION_CREATED', session_id = :session, payment_url = 'http://pay/',
        ask_at = now() + interval '15 seconds', updated_at = now() WHERE payment_id = :payment::uuid
    RETURNING booking_id)
INSERT INTO payment.outbox (id, topic, key, event_type, payload)
SELECT gen_random_uuid(), 'payment', booking_id::text, 'PaymentSessionCreated', convert_to(repeat('a', 160), 'UTF8')
FROM created;
{move payment}
WITH timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, fence, payment_id)
    VALUES (:show::uuid, :booking::uuid, 3, 'SESSION_CREATED', :n + 1, :payment::uuid)
)
UPDATE booking.bookings SET session_payment_id = :payment::uuid, payment_url = 'http://pay/', updated_at = now()
WHERE show_id = :show::uuid AND booking_id = :booking::uuid;

-- The customer pays, and a webhook tells of it
BEGIN;
WITH ended AS (
    UPDATE sandbox.sessions SET status = 'PAID' WHERE session_id = :session RETURNING session_id
), charge AS (
    INSERT INTO sandbox.charges (session_id, charge_id, amount, fee)
    SELECT session_id, 'ch_' || :n, 6000, 0 FROM ended)
INSERT INTO sandbox.webhook_deliveries (event_id, body)
SELECT 'ev_' || :n, convert_to(repeat('a', 300), 'UTF8') FROM ended
RETURNING delivery_id \gset
COMMIT;
UPDATE sandbox.webhook_deliveries SET attempts = 1, next_at = now() + interval '60 seconds'
WHERE delivery_id = :delivery_id;
BEGIN;
INSERT INTO payment.webhook_events (provider, event_id, event_type, payment_id, body)
VALUES ('sandbox', 'ev_' || :n, 'session.paid', :payment::uuid, convert_to(repeat('a', 300), 'UTF8'));
WITH ended AS (
    UPDATE payment.payments SET state = 'SUCCEEDED', ask_at = NULL, captured_amount = 6000, captured_currency = 'EUR',
        fee_amount = 0, fee_currency = 'EUR', updated_at = now(), tell_at = now() + interval '45 seconds'
    WHERE payment_id = :payment::uuid RETURNING booking_id
), journal AS (
    INSERT INTO payment.journal (kind, payment_id) VALUES ('CAPTURE', :payment::uuid) RETURNING journal_id
), entries AS (
    INSERT INTO payment.entries (journal_id, account, amount, currency)
    SELECT journal_id, account, amount, 'EUR'
    FROM journal, (VALUES ('provider' || chr(58) || 'sandbox', 6000), ('undecided', -6000)) AS e (account, amount))
INSERT INTO payment.outbox (id, topic, key, event_type, payload)
SELECT gen_random_uuid(), 'payment', booking_id::text, 'PaymentSucceeded', convert_to(repeat('a', 120), 'UTF8') FROM ended;
COMMIT;
{move payment}

UPDATE sandbox.webhook_deliveries SET next_at = NULL, delivered_at = now() WHERE delivery_id = :delivery_id;

-- Confirmed
WITH timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, fence, payment_id, amount, currency)
    VALUES (:show::uuid, :booking::uuid, 4, 'PAID', :n + 1, :payment::uuid, 6000, 'EUR')
), payment AS (
    INSERT INTO booking.booking_payments (show_id, payment_id, booking_id, position, amount, currency, fate)
    VALUES (:show::uuid, :payment::uuid, :booking::uuid, 0, 6000, 'EUR', 'PENDING'))
UPDATE booking.bookings SET step = 'COMMITTING', step_due_at = now() + interval '8 seconds', updated_at = now()
WHERE show_id = :show::uuid AND booking_id = :booking::uuid;
WITH locked AS MATERIALIZED (
    SELECT seat_no FROM booking.seats
    WHERE show_id = :show::uuid AND seat_no = ANY (ARRAY[:seat, :seat + 1, :seat + 2, :seat + 3]::int[])
    ORDER BY seat_no FOR NO KEY UPDATE
), seats AS (
    UPDATE booking.seats s SET state = 'SOLD', expires_at = NULL
    FROM locked l WHERE s.show_id = :show::uuid AND s.seat_no = l.seat_no
), tickets AS (
    INSERT INTO booking.tickets (ticket_id, booking_id, show_id, seat_no, qr_payload)
    SELECT gen_random_uuid(), :booking::uuid, :show::uuid, :seat + nth, repeat('a', 150)
    FROM generate_series(0, 3) AS nth
), outbox AS (
    INSERT INTO booking.outbox (id, topic, key, event_type, payload)
    VALUES (gen_random_uuid(), 'booking', :booking, 'BookingConfirmed', convert_to(repeat('a', 160), 'UTF8'))
), timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, revision, fence)
    VALUES (:show::uuid, :booking::uuid, 5, 'COMMITTED', :n + 1, :n + 1),
        (:show::uuid, :booking::uuid, 6, 'TICKETS_ISSUED', :n + 1, :n + 1),
        (:show::uuid, :booking::uuid, 7, 'CONFIRMED', :n + 1, :n + 1)
), payment AS (
    UPDATE booking.booking_payments SET fate = 'KEPT', fate_since = now()
    WHERE show_id = :show::uuid AND payment_id = :payment::uuid)
UPDATE booking.bookings SET state = 'CONFIRMED', step = 'IDLE', step_due_at = now(), updated_at = now()
WHERE show_id = :show::uuid AND booking_id = :booking::uuid;
{move booking}

-- The books
BEGIN;
WITH journal AS (
    INSERT INTO payment.journal (kind, payment_id) VALUES ('SALE', :payment::uuid) RETURNING journal_id
), entries AS (
    INSERT INTO payment.entries (journal_id, account, amount, currency)
    SELECT journal_id, account, amount, 'EUR'
    FROM journal, (VALUES ('undecided', 6000), ('bookings', -6000)) AS e (account, amount))
UPDATE payment.payments SET tell_at = NULL WHERE payment_id = :payment::uuid;
COMMIT;
