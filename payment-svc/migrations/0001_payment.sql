-- Attempts to collect money, what went back, what providers said, and the ledger.

CREATE TABLE payment.payments (
    -- Also the idempotency key at the provider, so it is chosen before the provider is asked.
    payment_id  uuid PRIMARY KEY,
    booking_id  uuid        NOT NULL,
    attempt     integer     NOT NULL CHECK (attempt > 0),
    user_id     uuid        NOT NULL,
    show_id     uuid        NOT NULL,
    state       text        NOT NULL CHECK (state IN
        ('CREATING_SESSION', 'SESSION_CREATED', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    -- Minor units.
    amount      bigint      NOT NULL CHECK (amount >= 0),
    currency    text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    description text        NOT NULL,
    pay_until   timestamptz NOT NULL,
    provider    text        NOT NULL,
    session_id  text,
    payment_url text,
    -- Why there will be no money, for people.
    failure     text,
    -- When the provider is next asked how an open session stands, and how often it was.
    ask_at      timestamptz,
    asks        integer     NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (booking_id, attempt),
    CHECK (state <> 'SESSION_CREATED' OR (session_id IS NOT NULL AND payment_url IS NOT NULL))
);
CREATE UNIQUE INDEX payments_one_open ON payment.payments (booking_id)
    WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED');
CREATE UNIQUE INDEX payments_session ON payment.payments (provider, session_id);
CREATE INDEX payments_silent ON payment.payments (ask_at) WHERE state = 'SESSION_CREATED';

CREATE TABLE payment.refunds (
    -- Given by whoever asks for it; also the idempotency key at the provider.
    refund_id          uuid PRIMARY KEY,
    payment_id         uuid        NOT NULL REFERENCES payment.payments (payment_id),
    amount             bigint      NOT NULL CHECK (amount > 0),
    reason             text        NOT NULL,
    state              text        NOT NULL CHECK (state IN ('REQUESTED', 'SUCCEEDED')),
    provider_refund_id text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_payment ON payment.refunds (payment_id);

CREATE TABLE payment.webhook_events (
    provider    text        NOT NULL,
    event_id    text        NOT NULL,
    event_type  text        NOT NULL,
    payment_id  uuid,
    body        bytea       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);

-- Double entry. An account's balance is the sum of its entries: debits positive, credits negative.
CREATE TABLE payment.accounts (
    account text PRIMARY KEY,
    meaning text NOT NULL
);
INSERT INTO payment.accounts (account, meaning) VALUES
    ('provider:sandbox', 'money that the sandbox provider holds for us'),
    ('bookings', 'what customers paid for bookings and did not get back');

CREATE TABLE payment.journal (
    journal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('CAPTURE', 'REFUND')),
    payment_id uuid        NOT NULL REFERENCES payment.payments (payment_id),
    refund_id  uuid REFERENCES payment.refunds (refund_id),
    posted_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'REFUND') = (refund_id IS NOT NULL))
);
CREATE UNIQUE INDEX journal_capture_once ON payment.journal (payment_id) WHERE kind = 'CAPTURE';
CREATE UNIQUE INDEX journal_refund_once ON payment.journal (refund_id);
CREATE INDEX journal_payment ON payment.journal (payment_id);

CREATE TABLE payment.entries (
    entry_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id bigint NOT NULL REFERENCES payment.journal (journal_id),
    account    text   NOT NULL REFERENCES payment.accounts (account),
    amount     bigint NOT NULL CHECK (amount <> 0),
    currency   text   NOT NULL
);
CREATE INDEX entries_journal ON payment.entries (journal_id);

-- No transaction commits a journal that doesn't balance, whoever wrote it.
CREATE FUNCTION payment.entries_balance() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payment.entries WHERE journal_id = NEW.journal_id
               GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'journal % does not balance', NEW.journal_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER entries_balance AFTER INSERT OR UPDATE ON payment.entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payment.entries_balance();

-- Written in the transaction of the change; moved into the event stream within milliseconds.
CREATE TABLE payment.outbox (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    event_type  text        NOT NULL,
    payload     bytea       NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000
);
