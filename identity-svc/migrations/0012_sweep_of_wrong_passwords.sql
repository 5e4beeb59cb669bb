-- For the sweep of old ones. Apart from the rest: what is written to the trail waits while it is made, and who
-- waits for an account doesn't wait for this.
CREATE INDEX audit_of_wrong_passwords ON identity.audit (at) WHERE action = 'password_wrong';
