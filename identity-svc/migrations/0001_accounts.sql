-- Accounts, their roles, sign-ins that can be renewed, keys that sign access tokens, and who
-- changed what an account may do.

CREATE TABLE identity.users (
    user_id       uuid PRIMARY KEY,
    -- As compared: without case.
    email         text NOT NULL UNIQUE CHECK (email = lower(email) AND octet_length(email) <= 254),
    -- PHC string (argon2id); parameters and salt are in it.
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE identity.user_roles (
    user_id    uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('customer', 'organiser', 'venue_owner', 'staff', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role)
);

-- One sign-in and everything renewed from it.
CREATE TABLE identity.refresh_families (
    family_id  uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX refresh_families_by_end ON identity.refresh_families (expires_at);
CREATE INDEX refresh_families_by_user ON identity.refresh_families (user_id);

-- Only hashes: who reads this table can't sign in.
CREATE TABLE identity.refresh_tokens (
    -- SHA-256 of the token, which is 32 random bytes.
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    family_id  uuid NOT NULL REFERENCES identity.refresh_families ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it was traded for the next one; using it again ends the family.
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_by_family ON identity.refresh_tokens (family_id);

CREATE TABLE identity.signing_keys (
    -- RFC 7638 thumbprint of the public key.
    key_id     text PRIMARY KEY,
    -- Ed25519 seed. Nobody but this service's role reads this schema.
    seed       bytea NOT NULL CHECK (octet_length(seed) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE identity.audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    -- Who did it; nil for an operator.
    actor_id   uuid NOT NULL,
    action     text NOT NULL CHECK (action IN ('account_made', 'role_granted', 'operator_token_exchanged')),
    -- To whom; nil for an operator's own token.
    subject_id uuid NOT NULL,
    -- The role, where there is one.
    role       text
);
CREATE INDEX audit_by_subject ON identity.audit (subject_id, audit_id);
