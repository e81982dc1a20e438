-- The version before this one runs beside it, and comes back: its import names the constraint that holds a movement to
-- be written once, which a partial unique index is not. An exclusion constraint may be partial, and be named.
DROP INDEX stock_movements_once;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_once
    EXCLUDE USING btree (reference WITH =, product_id WITH =, location_id WITH =, reversal WITH =) WHERE (NOT deleted);

-- Who is served by the indexes of the facts: stock_movements_pkey lists and the feed's pages, _once documents by reference
-- beside its rule, _change the feed, _product and _location lists by either; movement_documents_pkey everything that is
-- done by reference, _import withdrawals. None is left that serves nobody.
