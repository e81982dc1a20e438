-- Movements of the past that were corrected or withdrawn leave their place to others; and when a place was counted last,
-- so that what moved before a count and is told after it does not move the count.

ALTER TABLE movement_documents
    ADD COLUMN import_id bigint,
    ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN movement_documents.withdrawn IS 'Its import was withdrawn: its movements are deleted, and the reference is as if it had never come.';
COMMENT ON COLUMN movement_documents.import_id IS 'The import that wrote the document; none where a request did, or an import before they were numbered.';
CREATE INDEX movement_documents_import ON movement_documents (import_id, reference) WHERE import_id IS NOT NULL;

ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_once;
CREATE UNIQUE INDEX stock_movements_once ON stock_movements (reference, product_id, location_id, reversal) WHERE NOT deleted;

ALTER TABLE stock ADD COLUMN counted_at timestamptz;
COMMENT ON COLUMN stock.counted_at IS 'When it was counted last; none where it never was, or nobody said when.';
