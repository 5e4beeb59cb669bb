-- Checks of the books by statement: a journal's entries are written by one, and so are looked at once and not
-- once each, nor are those that were there before. That an account is known is looked up and no longer a
-- foreign key, which locked the few rows of payment.accounts for every entry, so that all who posted met there.
ALTER TABLE payment.entries DROP CONSTRAINT entries_account_fkey;
DROP TRIGGER entries_balance ON payment.entries;

CREATE OR REPLACE FUNCTION payment.entries_balance() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT p.journal_id INTO wrong FROM posted p
    GROUP BY p.journal_id, p.currency HAVING sum(p.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % does not balance', wrong.journal_id;
    END IF;
    SELECT p.account INTO wrong FROM posted p
    WHERE NOT EXISTS (SELECT FROM payment.accounts a WHERE a.account = p.account) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no account %', wrong.account;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER entries_balance AFTER INSERT ON payment.entries
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION payment.entries_balance();

-- What is posted stands: another entry puts it right.
CREATE FUNCTION payment.entries_stand() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries are not changed';
END
$$;
CREATE TRIGGER entries_stand BEFORE UPDATE ON payment.entries
    FOR EACH STATEMENT EXECUTE FUNCTION payment.entries_stand();
