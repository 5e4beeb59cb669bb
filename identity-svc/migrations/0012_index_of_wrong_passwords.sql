-- For how many there were lately, and for the sweep of old ones. What is written to the trail, sign-ins too, waits
-- while it is made; of a long trail it is to be made beforehand, CONCURRENTLY.
CREATE INDEX IF NOT EXISTS audit_of_wrong_passwords ON identity.audit (subject_id, at) WHERE action = 'password_wrong';
