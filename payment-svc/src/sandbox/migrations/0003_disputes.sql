-- Asked for by the tester: the payer disputes the charge, and how that ended.
ALTER TABLE sandbox.sessions
    ADD COLUMN dispute text CHECK (dispute IN ('OPEN', 'WON', 'LOST')),
    ADD CONSTRAINT sessions_disputed CHECK (dispute IS NULL OR status = 'PAID');
