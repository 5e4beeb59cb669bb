-- For how many there were lately, and for the sweep of old ones, in the place of the index for that alone. What is
-- written to the trail, sign-ins too, waits while it is made.
CREATE INDEX audit_of_wrong_passwords_by_account ON identity.audit (subject_id, at) WHERE action = 'password_wrong';
DROP INDEX identity.audit_of_wrong_passwords;
