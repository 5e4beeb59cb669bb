-- Which deletion closed the account: another neither opens nor deletes it.
ALTER TABLE identity.users ADD COLUMN closing_id uuid;
