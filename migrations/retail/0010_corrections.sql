-- A file that is withdrawn is as if it had never come: the documents that it had corrected are again what they were before.

-- Neither is scanned for it: the column is new, and empty.
ALTER TABLE sales ADD COLUMN replaces bigint CONSTRAINT sales_replaces_fkey REFERENCES sales (id);
COMMENT ON COLUMN sales.replaces IS 'The deleted document whose place this one took, and to which it goes back when its import is withdrawn.';
CREATE INDEX sales_replaces ON sales (replaces) WHERE replaces IS NOT NULL;

-- A document that comes back takes its numbers again, which whoever took its place has given up by then.
CREATE FUNCTION sales_take_numbers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.reference := split_part(OLD.reference, '~', 1);
    NEW.receipt_number := split_part(OLD.receipt_number, '~', 1);
    RETURN NEW;
END
$$;
CREATE TRIGGER sales_take_numbers BEFORE UPDATE ON sales FOR EACH ROW
    WHEN (OLD.deleted AND NOT NEW.deleted) EXECUTE FUNCTION sales_take_numbers();

COMMENT ON TABLE imports IS
    'One row per file that was sent. Counts are rows of the file. The import that runs is the one whose process holds the advisory lock; each of its transactions commits only while its state here is as it left it.';
