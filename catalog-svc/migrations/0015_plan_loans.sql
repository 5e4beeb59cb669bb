-- Plans that somebody lent to others, who may make shows with them. The previous release knows only
-- owners.
CREATE TABLE catalog.plan_loans (
    plan_id uuid        NOT NULL REFERENCES catalog.plans,
    -- An account of the identity service.
    user_id uuid        NOT NULL,
    lent_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plan_id, user_id)
);
CREATE INDEX plan_loans_of_user ON catalog.plan_loans (user_id, plan_id);
CREATE INDEX plans_of_owner ON catalog.plans (owner_id, plan_id);
