-- The version before this one runs beside it, and comes back: it infers the uniqueness of references without a predicate,
-- and takes every row of a reference for a known document. So a document that is deleted leaves its numbers to others
-- by giving them up, and what is unique is unique among all rows again.

CREATE FUNCTION sales_leave_numbers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- No client can write a tilde into a reference.
    NEW.reference := OLD.reference || '~' || OLD.id;
    NEW.receipt_number := OLD.receipt_number || '~' || OLD.id;
    RETURN NEW;
END
$$;
UPDATE sales SET reference = reference || '~' || id, receipt_number = receipt_number || '~' || id WHERE deleted;
CREATE TRIGGER sales_leave_numbers BEFORE UPDATE ON sales FOR EACH ROW
    WHEN (NEW.deleted AND NOT OLD.deleted) EXECUTE FUNCTION sales_leave_numbers();
COMMENT ON COLUMN sales.reference IS 'What Inventory knows this document by: the key of its stock movements. Of a deleted document with a tilde and its id, so that another may have it.';
DROP INDEX sales_reference_key, sales_receipt_key;
ALTER TABLE sales
    ADD CONSTRAINT sales_reference_key UNIQUE (reference),
    ADD CONSTRAINT sales_receipt_key UNIQUE (receipt_number);

-- Who is served by the indexes of the facts, which cost more than half of what a line takes to write:
--   sales_pkey, sale_lines_pkey         lists in the order of ids; a document's lines; the feed's pages
--   sales_change                        the feed
--   sales_reference_key, _receipt_key   uniqueness; imports, and lists by either
--   sales_idempotency_key               one document per key
--   sales_store_day                     a store's day, in lists
--   sales_original                      returns of a sale
--   sales_import                        withdrawals
-- These served nobody: a list by product walks sales in the order of ids and looks at the lines of each by their key,
-- which is no slower; and overrides are read from the lake.
DROP INDEX sale_lines_product, sale_lines_overridden;
