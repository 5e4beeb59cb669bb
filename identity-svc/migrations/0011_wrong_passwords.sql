-- Wrong passwords of accounts are among what happened to them. All that is there is allowed as it was, and
-- isn't looked at again: sign-ins would wait for that.

ALTER TABLE identity.audit
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made',
        'organisation_made', 'member_invited', 'member_added', 'member_changed', 'member_removed',
        'api_key_made', 'api_key_revoked', 'account_deleted',
        'role_revoked', 'account_disabled', 'account_enabled', 'invitation_withdrawn',
        'password_wrong')) NOT VALID;
