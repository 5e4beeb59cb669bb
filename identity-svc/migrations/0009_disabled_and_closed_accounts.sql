-- Accounts that an administrator disabled, and those that are being deleted; invitations of several letters;
-- letters to nobody.

ALTER TABLE identity.users
    -- Since then nobody signs in as it.
    ADD COLUMN disabled_at timestamptz,
    -- Until then it is being deleted and gets no new token; after it, it is open as before.
    ADD COLUMN closed_until timestamptz;

-- Each letter of an invitation has a token of its own; all are good for as long as the invitation is. What the
-- release before sent is in `identity.invitations.token_hash`.
CREATE TABLE identity.invitation_tokens (
    -- SHA-256 of the token, which is 32 random bytes.
    token_hash    bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    invitation_id uuid NOT NULL REFERENCES identity.invitations ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX invitation_tokens_by_invitation ON identity.invitation_tokens (invitation_id);

-- Letters that nobody was there for; they count for how many there may be, and for nothing else.
ALTER TABLE identity.mail ADD COLUMN to_nobody boolean NOT NULL DEFAULT false;
CREATE INDEX mail_to_nobody ON identity.mail (created_at) WHERE to_nobody;

CREATE INDEX api_keys_by_organisation ON identity.api_keys (organisation_id, created_at)
    WHERE organisation_id IS NOT NULL;

ALTER TABLE identity.audit
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made',
        'organisation_made', 'member_invited', 'member_added', 'member_changed', 'member_removed',
        'api_key_made', 'api_key_revoked', 'account_deleted',
        'role_revoked', 'account_disabled', 'account_enabled', 'invitation_withdrawn'));
