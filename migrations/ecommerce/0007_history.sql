-- Orders that were corrected or withdrawn leave their reference to another.

ALTER TABLE orders
    ADD COLUMN import_id bigint,
    DROP CONSTRAINT orders_reference_key;
COMMENT ON COLUMN orders.import_id IS 'The import that wrote the order; none where a checkout did, or an import before they were numbered.';
CREATE UNIQUE INDEX orders_reference_key ON orders (reference) WHERE NOT deleted;
CREATE INDEX orders_import ON orders (import_id, id) WHERE import_id IS NOT NULL;
