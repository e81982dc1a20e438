-- A transfer is one document with two places: what leaves the one arrives at the other, or nothing moves.
ALTER TABLE movement_documents
    ADD COLUMN to_location_id bigint,
    ADD CONSTRAINT movement_documents_only_transfers_arrive
        CHECK (to_location_id IS NULL OR (reason = 'transfer' AND to_location_id <> location_id));
COMMENT ON COLUMN movement_documents.to_location_id IS
    'Where a transfer arrives; its lines leave location_id. Absent on a transfer that only tells one side.';
