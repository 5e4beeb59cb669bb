-- When a key begins to sign: after whoever checks tokens has had the time to fetch it.

ALTER TABLE identity.signing_keys ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now();
UPDATE identity.signing_keys SET signs_from = created_at;

ALTER TABLE identity.audit
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made'));
