-- For finding the webhooks that are over and old.
CREATE INDEX webhook_deliveries_over ON sandbox.webhook_deliveries (created_at)
    WHERE next_at IS NULL;
