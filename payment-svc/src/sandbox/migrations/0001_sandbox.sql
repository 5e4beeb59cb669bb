-- What the sandbox provider remembers. Nobody but it reads this.

CREATE TABLE sandbox.sessions (
    session_id      text PRIMARY KEY,
    idempotency_key text        NOT NULL UNIQUE,
    amount          bigint      NOT NULL CHECK (amount > 0),
    currency        text        NOT NULL,
    description     text        NOT NULL,
    -- The merchant's own id for it.
    reference       text        NOT NULL,
    status          text        NOT NULL CHECK (status IN
        ('OPEN', 'PROCESSING', 'PAID', 'FAILED', 'CANCELLED', 'EXPIRED')),
    -- Cut to milliseconds, as the API carries it: a replayed request compares equal.
    expires_at      timestamptz NOT NULL,
    -- While PROCESSING: when it ends, and as what.
    settles_at      timestamptz,
    settles_as      text CHECK (settles_as IN ('PAID', 'FAILED')),
    -- Asked for by the tester: every later webhook of this session goes out twice.
    duplicate       boolean     NOT NULL DEFAULT false,
    declines        integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'PROCESSING') = (settles_at IS NOT NULL)),
    CHECK ((status = 'PROCESSING') = (settles_as IS NOT NULL))
);
CREATE INDEX sessions_expiring ON sandbox.sessions (expires_at) WHERE status = 'OPEN';
CREATE INDEX sessions_settling ON sandbox.sessions (settles_at) WHERE status = 'PROCESSING';

CREATE TABLE sandbox.charges (
    session_id  text PRIMARY KEY REFERENCES sandbox.sessions (session_id),
    charge_id   text        NOT NULL UNIQUE,
    amount      bigint      NOT NULL,
    captured_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sandbox.refunds (
    refund_id       text PRIMARY KEY,
    idempotency_key text        NOT NULL UNIQUE,
    session_id      text        NOT NULL REFERENCES sandbox.charges (session_id),
    amount          bigint      NOT NULL CHECK (amount > 0),
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_session ON sandbox.refunds (session_id);

CREATE TABLE sandbox.webhook_deliveries (
    delivery_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     text        NOT NULL,
    body         bytea       NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    -- None once delivered or given up.
    next_at      timestamptz DEFAULT now(),
    delivered_at timestamptz,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_deliveries_due ON sandbox.webhook_deliveries (next_at) WHERE next_at IS NOT NULL;
