-- Organisations: accounts that organise together. What they make in the catalogue is the organisation's.

CREATE TABLE identity.organisations (
    organisation_id uuid PRIMARY KEY,
    name            text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    -- Who made it; whoever asks with the same id again is answered with it.
    made_by         uuid NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- Each organisation has an owner: whoever changes its members has its row locked.
CREATE TABLE identity.members (
    organisation_id uuid NOT NULL REFERENCES identity.organisations ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('owner', 'manager', 'viewer')),
    since           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organisation_id, user_id)
);
CREATE INDEX members_by_user ON identity.members (user_id);

CREATE TABLE identity.invitations (
    invitation_id   uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES identity.organisations ON DELETE CASCADE,
    -- Whom: whoever has this address when it is accepted.
    email           text NOT NULL CHECK (octet_length(email) <= 254),
    role            text NOT NULL CHECK (role IN ('owner', 'manager', 'viewer')),
    invited_by      uuid NOT NULL,
    -- SHA-256 of the token in the letter, once that was written.
    token_hash      bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    expires_at      timestamptz NOT NULL,
    UNIQUE (organisation_id, email)
);
CREATE INDEX invitations_by_end ON identity.invitations (expires_at);

-- What a letter is about, where its recipient doesn't say it.
ALTER TABLE identity.mail ADD COLUMN about_id uuid;

ALTER TABLE identity.audit
    ADD COLUMN organisation_id uuid,
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made',
        'organisation_made', 'member_invited', 'member_added', 'member_changed', 'member_removed'));
