-- Checks of the books by statement: a journal's entries are written by one, and so are looked at once and not
-- once each. That an account is known is looked up and no longer a foreign key, which locked the few rows of
-- payment.accounts for every entry, so that all who posted met there.
ALTER TABLE payment.entries DROP CONSTRAINT entries_account_fkey;
DROP TRIGGER entries_balance ON payment.entries;

CREATE OR REPLACE FUNCTION payment.entries_balance() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT e.journal_id INTO wrong FROM payment.entries e
    WHERE e.journal_id IN (SELECT journal_id FROM posted)
    GROUP BY e.journal_id, e.currency HAVING sum(e.amount) <> 0 LIMIT 1;
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
CREATE TRIGGER entries_balance_still AFTER UPDATE ON payment.entries
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION payment.entries_balance();
