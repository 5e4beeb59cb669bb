-- Who tried wrong passwords, and from where accounts were signed in to lately.

CREATE TABLE identity.sign_in_failures (
    -- SHA-256 of the e-mail address that was tried, as it is compared; whether it has an account or not.
    account_hash bytea NOT NULL CHECK (octet_length(account_hash) = 32),
    -- The client (of IPv6 its /64), or '*' for all together.
    client       text NOT NULL,
    -- Since the last success or the last hour without any.
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL DEFAULT now(),
    -- Until then no password is looked at.
    waits_until  timestamptz,
    PRIMARY KEY (account_hash, client)
);
CREATE INDEX sign_in_failures_by_age ON identity.sign_in_failures (last_at);

CREATE TABLE identity.known_clients (
    user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    client  text NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, client)
);
CREATE INDEX known_clients_by_age ON identity.known_clients (last_at);
