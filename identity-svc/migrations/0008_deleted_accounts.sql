-- Accounts that were deleted: the row stays, because bookings name it, and says nothing of anybody.

ALTER TABLE identity.users ADD COLUMN deleted_at timestamptz;

ALTER TABLE identity.audit
    DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN (
        'account_made', 'role_granted', 'operator_token_exchanged',
        'registered', 'signed_in', 'signed_out', 'signed_out_everywhere', 'refresh_reused',
        'email_verified', 'password_changed', 'password_reset', 'signing_key_made',
        'organisation_made', 'member_invited', 'member_added', 'member_changed', 'member_removed',
        'api_key_made', 'api_key_revoked', 'account_deleted'));

-- For the sweep of old sign-ins, instead of one over everything.
DROP INDEX identity.audit_by_age;
CREATE INDEX audit_of_sign_ins ON identity.audit (at) WHERE action IN ('signed_in', 'signed_out');
