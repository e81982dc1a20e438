-- A file that is withdrawn is as if it had never come: the documents that it had corrected are again what they were before.

-- Neither table is scanned for it: the columns are new, and empty.
ALTER TABLE orders ADD COLUMN replaces bigint CONSTRAINT orders_replaces_fkey REFERENCES orders (id);
COMMENT ON COLUMN orders.replaces IS 'The deleted order whose place this one took, and to which it goes back when its import is withdrawn.';
CREATE INDEX orders_replaces ON orders (replaces) WHERE replaces IS NOT NULL;

ALTER TABLE refunds ADD COLUMN replaces bigint CONSTRAINT refunds_replaces_fkey REFERENCES refunds (id);
COMMENT ON COLUMN refunds.replaces IS 'The deleted refund whose place this one took, and to which it goes back when its import is withdrawn.';
CREATE INDEX refunds_replaces ON refunds (replaces) WHERE replaces IS NOT NULL;

-- An order that comes back takes its reference again, which whoever took its place has given up by then.
CREATE FUNCTION orders_take_reference() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.reference := split_part(OLD.reference, '~', 1);
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_take_reference BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (OLD.deleted AND NOT NEW.deleted) EXECUTE FUNCTION orders_take_reference();

COMMENT ON TABLE imports IS
    'One row per file that was sent. Counts are rows of the file. The import that runs is the one whose process holds the advisory lock; each of its transactions commits only while its state here is as it left it.';
