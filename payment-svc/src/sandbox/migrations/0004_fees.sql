-- What the provider keeps of a charge, and what it is asked of what it told.
ALTER TABLE sandbox.charges ADD COLUMN fee bigint NOT NULL DEFAULT 0 CHECK (fee >= 0);
ALTER TABLE sandbox.webhook_deliveries ADD COLUMN tells_of_dispute boolean NOT NULL DEFAULT false;
CREATE INDEX webhook_deliveries_disputes ON sandbox.webhook_deliveries (created_at)
    WHERE tells_of_dispute;
