-- The version before this one runs beside it, and comes back: it infers the uniqueness of references without a predicate,
-- and takes every row of a reference for a known order. So an order that is deleted leaves its reference to others by
-- giving it up, and references are unique among all rows again.

CREATE FUNCTION orders_leave_reference() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- No client can write a tilde into a reference.
    NEW.reference := OLD.reference || '~' || OLD.id;
    RETURN NEW;
END
$$;
UPDATE orders SET reference = reference || '~' || id WHERE deleted;
CREATE TRIGGER orders_leave_reference BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (NEW.deleted AND NOT OLD.deleted) EXECUTE FUNCTION orders_leave_reference();
COMMENT ON COLUMN orders.reference IS 'What Inventory knows this order by: the key of its stock movements. Of a deleted order with a tilde and its id, so that another may have it.';
DROP INDEX orders_reference_key;
ALTER TABLE orders ADD CONSTRAINT orders_reference_key UNIQUE (reference);

-- Who is served by the indexes of the facts, which cost more than half of what a line takes to write:
--   orders_pkey, order_lines_pkey   lists in the order of ids; an order's lines; the feed's pages
--   orders_change                   the feed
--   orders_reference_key            uniqueness; imports, and lists by reference
--   orders_idempotency_key          one order per key
--   orders_customer                 a customer's orders
--   orders_day                      a day's orders
--   orders_import                   withdrawals
-- This one served nobody: a list by product walks orders in the order of ids and looks at the lines of each by their key,
-- which is no slower.
DROP INDEX order_lines_product;
