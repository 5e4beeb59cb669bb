-- How a payment's dispute stands, if its customer went to the bank.
ALTER TABLE payment.payments
    ADD COLUMN dispute     text CHECK (dispute IN ('OPEN', 'WON', 'LOST')),
    ADD COLUMN disputed_at timestamptz;
