-- Mail that this service sends: what was decided to be sent, in the transaction of what it tells.

CREATE TABLE identity.mail (
    mail_id    uuid PRIMARY KEY,
    -- Whom it is for. It may be nobody's address: whether somebody has it is looked up when it is sent, so
    -- that asking for mail is the same work for every address.
    recipient  text NOT NULL CHECK (octet_length(recipient) <= 254),
    -- What it says (`src/mail/letter.rs`). Tokens aren't in it: each attempt makes its own.
    kind       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it may be taken up (again).
    due_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer NOT NULL DEFAULT 0,
    -- When it was sent or given up; null as long as it waits.
    ended_at   timestamptz,
    sent       boolean NOT NULL DEFAULT false,
    -- What the last attempt came to, for operators.
    last_error text
);
CREATE INDEX mail_due ON identity.mail (due_at) WHERE ended_at IS NULL;
-- For how many there were lately.
CREATE INDEX mail_by_recipient ON identity.mail (recipient, kind, created_at);
CREATE INDEX mail_by_age ON identity.mail (created_at);
