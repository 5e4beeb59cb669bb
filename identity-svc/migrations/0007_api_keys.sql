-- Keys of organisers' systems.

CREATE TABLE identity.api_keys (
    key_id          uuid PRIMARY KEY,
    -- Whose it is; it may do no more than they may.
    user_id         uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    -- Whose things it is for; null: the account's own.
    organisation_id uuid REFERENCES identity.organisations ON DELETE CASCADE,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the key, which is 32 random bytes: who reads this table has no key.
    key_hash        bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    scopes          text[] NOT NULL CHECK (scopes <@ ARRAY['catalogue:read', 'catalogue:write', 'sales:read']),
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- To about a minute.
    last_used_at    timestamptz
);
CREATE INDEX api_keys_by_user ON identity.api_keys (user_id, created_at);

ALTER TABLE identity.audit
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made',
        'organisation_made', 'member_invited', 'member_added', 'member_changed', 'member_removed',
        'api_key_made', 'api_key_revoked'));
