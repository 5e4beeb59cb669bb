-- What is made for an Idempotency-Key has an id that is chosen here, and the key finds it again. The previous
-- release made the id of the key; what it made is found by that.
ALTER TABLE catalog.asked
    ADD COLUMN user_id uuid,
    ADD COLUMN kind    text,
    ADD COLUMN key     text,
    ADD CONSTRAINT asked_key_whole CHECK (num_nulls(user_id, kind, key) IN (0, 3));
CREATE UNIQUE INDEX asked_by_key ON catalog.asked (user_id, kind, key) WHERE key IS NOT NULL;
