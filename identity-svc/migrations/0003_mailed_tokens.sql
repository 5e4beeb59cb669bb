-- Verified addresses, tokens that were mailed, and where sign-ins came from.

ALTER TABLE identity.users ADD COLUMN email_verified_at timestamptz;

-- Only hashes: who reads this table can't use one.
CREATE TABLE identity.mailed_tokens (
    -- SHA-256 of the token, which is 32 random bytes.
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id    uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_tokens_by_user ON identity.mailed_tokens (user_id, purpose);
CREATE INDEX mailed_tokens_by_end ON identity.mailed_tokens (expires_at);

ALTER TABLE identity.refresh_families
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    -- The client's address at the last use, where the gateway told it.
    ADD COLUMN client_address text;

-- What it was traded for: found when it is used a second time.
ALTER TABLE identity.refresh_tokens ADD COLUMN parent_hash bytea;
CREATE INDEX refresh_tokens_by_parent ON identity.refresh_tokens (parent_hash) WHERE parent_hash IS NOT NULL;

ALTER TABLE identity.audit
    -- Where it was asked from, where that is known.
    ADD COLUMN client_address text,
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset'));
CREATE INDEX audit_by_age ON identity.audit (at);
