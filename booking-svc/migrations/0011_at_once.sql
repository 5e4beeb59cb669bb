-- Whether a lineage is the current one and its store loaded; it then stays so until the transaction ends. A
-- function, because its second statement sees what was committed while the first waited, which parts of one
-- statement wouldn't. The lock is that of `store/lineage.rs`.
CREATE FUNCTION booking.is_current(answered smallint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7522819427648495975);
    RETURN EXISTS (SELECT FROM booking.lineage l WHERE l.lineage = answered AND NOT l.rebuilding);
END
$$;
