-- What operators run to keep the shows of each month apart and to detach old months: see
-- docs/scale-out.md. Nothing is divided by itself.
--
-- A show's id says when it was made (UUID version 7), so a month is a range of ids. Divided, each table has
-- these partitions:
--   undated  what was there when it was divided, and ids of other kinds (imports)
--   past     the range of months that were detached: empty, but for ids of other kinds
--   yyyy_mm  one for each month that was made
--   later    the range behind them, up to the year 2100
-- A row always has a place, whether or not somebody made its month.

-- Months that were made, from the first on without gaps; the oldest are detached first.
CREATE TABLE booking.months (
    month       date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    detached_at timestamptz
);

-- Both are written when a show is opened, in one transaction.
ALTER TABLE booking.seats DROP CONSTRAINT seats_show_id_fkey;

-- The smallest id that is made in a month or later.
CREATE FUNCTION booking.first_id_of(month date) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM month::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

CREATE FUNCTION booking.divided() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['bookings', 'booking_payments', 'refunds', 'seats', 'tickets', 'timeline']
$$;

-- Nobody else reads or writes them until the transaction ends. A purchase takes them in more than one order,
-- so whoever waits for the other must give way, and that is this: a tenth of a second is shorter than
-- Postgres waits before it looks for a deadlock. What it has is given back, and it tries again.
CREATE FUNCTION booking.lock_divided() RETURNS void
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    FOR try IN 1..100 LOOP
        BEGIN
            LOCK TABLE booking.bookings, booking.seats, booking.tickets, booking.refunds, booking.timeline,
                booking.booking_payments IN ACCESS EXCLUSIVE MODE;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1 * random());
        END;
    END LOOP;
    RAISE EXCEPTION 'somebody is at work on these tables all the time: try again in a quiet hour'
        USING ERRCODE = 'lock_not_available';
END
$$;

-- Makes an empty table as partitions of `of` are.
CREATE FUNCTION booking.make_part(of text, part text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    options text;
BEGIN
    SELECT ' WITH (' || array_to_string(reloptions, ', ') || ')' INTO options
    FROM pg_class WHERE oid = format('booking.%I', of || '_undated')::regclass;
    EXECUTE format('CREATE TABLE booking.%I (LIKE booking.%I INCLUDING ALL)%s', of || part, of, options);
END
$$;

-- Gives a partition another range (none: it is detached), and rows of that range out of `source`. The check
-- on `undated` says that it has none, so that it isn't looked through.
CREATE FUNCTION booking.recut(of text, part text, low uuid, high uuid, source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_inherits
               WHERE inhrelid = format('booking.%I', of || part)::regclass) THEN
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || part);
    END IF;
    IF source IS NOT NULL THEN
        EXECUTE format(
            'WITH moved AS (DELETE FROM booking.%I WHERE show_id >= %L AND show_id < %L RETURNING *)
             INSERT INTO booking.%I SELECT * FROM moved', of || source, low, high, of || part);
    END IF;
    IF low < high THEN
        EXECUTE format('ALTER TABLE booking.%I ATTACH PARTITION booking.%I FOR VALUES FROM (%L) TO (%L)',
            of, of || part, low, high);
    END IF;
END
$$;

-- Divides the tables from a month on, once: the coming one, where none is named, so that what is there
-- stays where it is, as a partition, and isn't rewritten; it is read through once, and nobody else reads or
-- writes meanwhile. From an earlier month on, what was made for sale since is moved.
CREATE FUNCTION booking.divide_by_month(first date DEFAULT NULL) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    coming date := date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month';
    low    uuid;
    high   uuid := booking.first_id_of('2100-01-01');
    of     text;
    old    text;
    steps  text[];
    step   text;
    named  record;
BEGIN
    IF EXISTS (SELECT FROM booking.months) THEN
        RAISE EXCEPTION 'the tables are divided already, from % on', (SELECT min(month) FROM booking.months);
    END IF;
    first := coalesce(first, coming);
    IF first <> date_trunc('month', first) OR first > coming OR first < coming - interval '24 months' THEN
        RAISE EXCEPTION 'first: the first day of a month of the last 24, or of the coming one';
    END IF;
    low := booking.first_id_of(first);
    PERFORM booking.lock_divided();
    FOREACH of IN ARRAY booking.divided() LOOP
        old := of || '_undated';
        EXECUTE format('ALTER TABLE booking.%I RENAME TO %I', of, old);
        -- Keys, indexes and triggers as they are, and under their names, but of the divided table.
        steps := ARRAY[]::text[];
        FOR named IN
            SELECT conname AS name, format('ALTER TABLE booking.%I ADD CONSTRAINT %I %s', of, conname,
                pg_get_constraintdef(oid)) AS step
            FROM pg_constraint WHERE conrelid = format('booking.%I', old)::regclass AND contype IN ('p', 'u')
            UNION ALL
            SELECT c.relname, replace(pg_get_indexdef(i.indexrelid), format(' ON booking.%I ', old),
                format(' ON booking.%I ', of))
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = format('booking.%I', old)::regclass
                AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        LOOP
            steps := steps || named.step;
            EXECUTE format('ALTER INDEX booking.%I RENAME TO %I', named.name, named.name || '_undated');
        END LOOP;
        FOR named IN
            SELECT tgname AS name, replace(pg_get_triggerdef(oid), format(' ON booking.%I ', old),
                format(' ON booking.%I ', of)) AS step
            FROM pg_trigger WHERE tgrelid = format('booking.%I', old)::regclass AND NOT tgisinternal
        LOOP
            steps := steps || named.step;
            EXECUTE format('DROP TRIGGER %I ON booking.%I', named.name, old);
        END LOOP;
        EXECUTE format('CREATE TABLE booking.%I (LIKE booking.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
                        PARTITION BY RANGE (show_id)', of, old);
        FOREACH step IN ARRAY steps LOOP
            EXECUTE step;
        END LOOP;
        PERFORM booking.make_part(of, '_later');
        PERFORM booking.recut(of, '_later', low, high, '_undated');
        EXECUTE format('ALTER TABLE booking.%I ADD CONSTRAINT %I CHECK (show_id < %L OR show_id >= %L)',
            old, old || '_ids', low, high);
        EXECUTE format('ALTER TABLE booking.%I ATTACH PARTITION booking.%I DEFAULT', of, old);
        PERFORM booking.make_part(of, '_past');
    END LOOP;
    PERFORM booking.make_month(first);
    RETURN first;
END
$$;

CREATE FUNCTION booking.part_of(month date) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT '_' || lpad(extract(year FROM month)::text, 4, '0') || '_'
        || lpad(extract(month FROM month)::text, 2, '0')
$$;

-- Cuts a month off what is later.
CREATE FUNCTION booking.make_month(month date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    low  uuid := booking.first_id_of(month);
    high uuid := booking.first_id_of((month + interval '1 month')::date);
    of   text;
BEGIN
    FOREACH of IN ARRAY booking.divided() LOOP
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || '_later');
        PERFORM booking.make_part(of, booking.part_of(month));
        PERFORM booking.recut(of, booking.part_of(month), low, high, '_later');
        PERFORM booking.recut(of, '_later', high, booking.first_id_of('2100-01-01'), NULL);
    END LOOP;
    INSERT INTO booking.months VALUES (make_month.month);
END
$$;

-- Makes the months up to so many behind the current one; returns how many it made.
CREATE FUNCTION booking.add_months(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    last  date := (SELECT max(month) FROM booking.months);
    until date := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
    added integer := 0;
BEGIN
    IF last IS NULL THEN
        RAISE EXCEPTION 'the tables are not divided: run booking.divide_by_month() first';
    END IF;
    IF ahead IS NULL OR ahead NOT BETWEEN 1 AND 24 THEN
        RAISE EXCEPTION 'ahead: 1 to 24 months';
    END IF;
    IF last < until THEN
        PERFORM booking.lock_divided();
    END IF;
    WHILE last < until LOOP
        last := last + interval '1 month';
        PERFORM booking.make_month(last);
        added := added + 1;
    END LOOP;
    RETURN added;
END
$$;

-- Detaches the oldest month: its rows are then in tables of their own, booking.bookings_2026_12 and so on,
-- and the service knows nothing of them. Refused while a show of it hasn't been over for `rest_days`, or
-- anything of it is under way. Returns how many bookings it had.
CREATE FUNCTION booking.detach_month(month date, rest_days integer DEFAULT 180) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    oldest   date := (SELECT min(m.month) FROM booking.months m WHERE m.detached_at IS NULL);
    first    date := (SELECT min(m.month) FROM booking.months m);
    low      uuid := booking.first_id_of(month);
    high     uuid := booking.first_id_of((detach_month.month + interval '1 month')::date);
    of       text;
    blocking uuid;
    bookings bigint;
BEGIN
    IF oldest IS NULL OR month IS DISTINCT FROM oldest THEN
        RAISE EXCEPTION 'month %: months are detached from the oldest on, and that is %', month,
            coalesce(oldest::text, 'none');
    END IF;
    IF rest_days IS NULL OR rest_days < 1 THEN
        RAISE EXCEPTION 'rest_days: 1 at least';
    END IF;
    IF (SELECT max(m.month) FROM booking.months m) = month
       OR month > now() AT TIME ZONE 'UTC' - interval '1 month' THEN
        RAISE EXCEPTION 'month %: shows are still being made in it, or it is the last', month;
    END IF;
    PERFORM booking.lock_divided();
    SELECT s.show_id INTO blocking FROM booking.shows s
    WHERE s.show_id >= low AND s.show_id < high AND s.starts_at > now() - make_interval(days => rest_days)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: show % has not been over for % days', month, blocking, rest_days;
    END IF;
    SELECT b.booking_id INTO blocking FROM booking.bookings b
    WHERE b.show_id >= low AND b.show_id < high AND (b.state = 'PENDING_PAYMENT' OR b.step <> 'IDLE') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: booking % is under way', month, blocking;
    END IF;
    SELECT p.payment_id INTO blocking FROM booking.booking_payments p
    WHERE p.show_id >= low AND p.show_id < high AND p.fate IN ('PENDING', 'REFUNDING') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: money of payment % is under way', month, blocking;
    END IF;
    SELECT r.refund_id INTO blocking FROM booking.refunds r
    WHERE r.show_id >= low AND r.show_id < high AND r.ask_at IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: refund % has not gone', month, blocking;
    END IF;
    SELECT r.show_id INTO blocking FROM booking.show_refunds r
    WHERE r.show_id >= low AND r.show_id < high AND r.finished_at IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: show % is being refunded', month, blocking;
    END IF;
    SELECT b.booking_id INTO blocking FROM booking.bookings b JOIN booking.shows s USING (show_id)
    WHERE b.show_id >= low AND b.show_id < high AND b.state = 'CONFIRMED' AND s.state = 'CANCELLED' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'month %: booking % of a show that was called off is not refunded', month, blocking;
    END IF;
    FOREACH of IN ARRAY booking.divided() LOOP
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || booking.part_of(month));
        PERFORM booking.recut(of, '_past', booking.first_id_of(first), high, NULL);
    END LOOP;
    FOREACH of IN ARRAY ARRAY['show_refunds', 'shows'] LOOP
        EXECUTE format('CREATE TABLE booking.%I (LIKE booking.%I INCLUDING ALL)',
            of || booking.part_of(month), of);
        EXECUTE format(
            'WITH moved AS (DELETE FROM booking.%I WHERE show_id >= %L AND show_id < %L RETURNING *)
             INSERT INTO booking.%I SELECT * FROM moved', of, low, high, of || booking.part_of(month));
    END LOOP;
    UPDATE booking.months m SET detached_at = now() WHERE m.month = detach_month.month;
    EXECUTE format('SELECT count(*) FROM booking.%I', 'bookings' || booking.part_of(month)) INTO bookings;
    RETURN bookings;
END
$$;

-- Takes the newest detached month back.
CREATE FUNCTION booking.attach_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    newest date := (SELECT max(m.month) FROM booking.months m WHERE m.detached_at IS NOT NULL);
    first  date := (SELECT min(m.month) FROM booking.months m);
    low    uuid := booking.first_id_of(month);
    high   uuid := booking.first_id_of((attach_month.month + interval '1 month')::date);
    of     text;
BEGIN
    IF newest IS NULL OR month IS DISTINCT FROM newest THEN
        RAISE EXCEPTION 'month %: months are taken back from the newest that was detached on, and that is %', month,
            coalesce(newest::text, 'none');
    END IF;
    PERFORM booking.lock_divided();
    FOREACH of IN ARRAY booking.divided() LOOP
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || '_past');
        PERFORM booking.recut(of, booking.part_of(month), low, high, '_past');
        PERFORM booking.recut(of, '_past', booking.first_id_of(first), low, NULL);
    END LOOP;
    FOREACH of IN ARRAY ARRAY['shows', 'show_refunds'] LOOP
        EXECUTE format('INSERT INTO booking.%I SELECT * FROM booking.%I', of, of || booking.part_of(month));
        EXECUTE format('DROP TABLE booking.%I', of || booking.part_of(month));
    END LOOP;
    UPDATE booking.months m SET detached_at = NULL WHERE m.month = attach_month.month;
END
$$;

-- These run as the owner of the tables, whoever of the operators calls them, so that all that is made is his.
REVOKE EXECUTE ON FUNCTION booking.divide_by_month(date), booking.add_months(integer),
    booking.detach_month(date, integer), booking.attach_month(date) FROM PUBLIC;
