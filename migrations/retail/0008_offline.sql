-- What a till sold while it was offline is stored as it was charged: the list price stands beside, and the sale takes its
-- stock whatever there is.

ALTER TABLE sales ADD COLUMN offline boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sales.offline IS 'Told later, at the prices that were charged: neither a product discontinued since nor stock is a reason to refuse it.';

ALTER TABLE sale_lines ADD COLUMN list_price_cents bigint;
COMMENT ON COLUMN sale_lines.list_price_cents IS 'Price at Inventory when the sale was told; none where it is the price that was charged, and on history.';
CREATE INDEX sale_lines_overridden ON sale_lines (sale_id, line_no) WHERE list_price_cents IS NOT NULL;
