-- Accounts that are about to be deleted, or were: no booking is made for them. The release before makes bookings
-- without asking, so while it runs, too, what it makes for such an account is as it was before there was this.
CREATE TABLE booking.closing_accounts (
    user_id   uuid        PRIMARY KEY,
    -- Another each time that the account is marked: whoever ends a mark ends the one that they have read.
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Said by identity-svc: it is deleted. Before that nobody knows yet.
    is_gone   boolean     NOT NULL DEFAULT false,
    -- When identity-svc is asked what became of the account, or, of one that is gone, when no token of it counts
    -- any more.
    due_at    timestamptz NOT NULL
);
CREATE INDEX closing_accounts_due ON booking.closing_accounts (due_at);

-- The advisory lock of an account: who makes a booking shares it, who marks the account takes it alone. The seed is
-- any fixed value; "hfaccoun" in ASCII.
CREATE FUNCTION booking.lock_of_account(account uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended(account::text, 7522807307066897774)
$$;

-- Whether an account is marked; that then stays so until the transaction ends. A function, because its second
-- statement sees what was committed while the first waited.
CREATE FUNCTION booking.is_closing(account uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(booking.lock_of_account(account));
    RETURN EXISTS (SELECT FROM booking.closing_accounts c WHERE c.user_id = account);
END
$$;
