-- What tills did and a first import refused: lines that go the other way on one receipt, coupons, returns without a
-- receipt; and documents that were corrected or withdrawn, whose number may come again.

ALTER TABLE sales
    ADD COLUMN import_id bigint,
    DROP CONSTRAINT sales_return_has_original,
    ADD CONSTRAINT sales_only_returns_have_original CHECK (kind = 'return' OR original_sale_id IS NULL),
    ADD CONSTRAINT sales_live_return_has_original CHECK (kind = 'sale' OR original_sale_id IS NOT NULL OR imported),
    DROP CONSTRAINT sales_reference_key,
    DROP CONSTRAINT sales_receipt_key;
COMMENT ON COLUMN sales.import_id IS 'The import that wrote the document; none where a till did, or an import before they were numbered.';
CREATE UNIQUE INDEX sales_reference_key ON sales (reference) WHERE NOT deleted;
CREATE UNIQUE INDEX sales_receipt_key ON sales (receipt_number) WHERE NOT deleted;
CREATE INDEX sales_import ON sales (import_id, id) WHERE import_id IS NOT NULL;

ALTER TABLE sale_lines
    DROP CONSTRAINT sale_lines_price_not_negative,
    DROP CONSTRAINT sale_lines_discount_within_price,
    -- A discount takes from a line, whichever way it goes, and never past nothing.
    ADD CONSTRAINT sale_lines_discount_within_price CHECK (
        discount_cents BETWEEN LEAST(0, quantity * unit_price_cents) AND GREATEST(0, quantity * unit_price_cents));
COMMENT ON COLUMN sale_lines.quantity IS 'Pieces; negative on returns, and on imported lines of a sale that gave something back.';
COMMENT ON COLUMN sale_lines.unit_price_cents IS 'Price of one piece; negative on the line of a coupon.';

ALTER TABLE stores
    ADD COLUMN opened_on date,
    ADD COLUMN closed_on date,
    ADD CONSTRAINT stores_closed_after_opened CHECK (closed_on >= opened_on);
COMMENT ON COLUMN stores.opened_on IS 'Local date of its first day; none where nobody said.';
COMMENT ON COLUMN stores.closed_on IS 'Local date of its last day; none while it is open.';
