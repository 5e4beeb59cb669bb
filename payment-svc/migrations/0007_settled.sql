-- Refunds that people ended, because their money reached its customer past the provider.

INSERT INTO payment.accounts (account, meaning) VALUES
    ('outside', 'what was owed to customers and reached them past the provider');

ALTER TABLE payment.refunds
    DROP CONSTRAINT refunds_state_check,
    ADD CONSTRAINT refunds_state CHECK (state IN ('REQUESTED', 'SUCCEEDED', 'SETTLED')),
    -- Who said so of a settled one, and why.
    ADD COLUMN note text,
    ADD CONSTRAINT refunds_note CHECK ((state = 'SETTLED') = (note IS NOT NULL));

ALTER TABLE payment.journal
    DROP CONSTRAINT journal_kind,
    DROP CONSTRAINT journal_of_refund,
    ADD CONSTRAINT journal_kind CHECK (kind IN
        ('CAPTURE', 'SALE', 'REFUND_DUE', 'REFUND', 'REFUND_FAILED', 'SETTLED', 'FEE', 'DISPUTE_LOST',
         'REOPENED')),
    ADD CONSTRAINT journal_of_refund
        CHECK ((kind IN ('REFUND_DUE', 'REFUND', 'REFUND_FAILED', 'SETTLED')) = (refund_id IS NOT NULL));
