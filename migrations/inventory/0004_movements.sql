-- Every change of stock, and what was decided about each document that asked for one.

CREATE TABLE movement_documents (
    reference text NOT NULL,
    outcome text NOT NULL,
    reason text,
    location_id bigint,
    occurred_at timestamptz,
    time_zone text,
    request_digest bytea,
    refusal jsonb,
    imported boolean NOT NULL DEFAULT false,
    decided_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT movement_documents_pkey PRIMARY KEY (reference),
    CONSTRAINT movement_documents_reference_shape CHECK (reference ~ '^[A-Za-z0-9_.:-]{1,100}$'),
    CONSTRAINT movement_documents_outcome_known CHECK (outcome IN ('applied', 'refused', 'reversed', 'closed')),
    CONSTRAINT movement_documents_refusal_kept CHECK ((outcome = 'refused') = (refusal IS NOT NULL)),
    -- Only a reference that was closed before its request came has nothing that was asked.
    CONSTRAINT movement_documents_request_kept
        CHECK (outcome = 'closed' OR imported OR (request_digest IS NOT NULL AND reason IS NOT NULL))
);
COMMENT ON TABLE movement_documents IS
    'One row per reference, for ever, so that the same reference always has the same answer. applied: its movements stand; refused: none do, and why; reversed: they were given back; closed: reversed before it was ever asked, so a request still on its way comes too late.';
COMMENT ON COLUMN movement_documents.request_digest IS 'SHA-256 of what was asked: a repeat with another body is a mistake of the caller.';

CREATE TABLE stock_movements (
    id bigint GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    product_id bigint NOT NULL,
    location_id bigint NOT NULL,
    quantity bigint NOT NULL,
    reason text NOT NULL,
    reversal boolean NOT NULL DEFAULT false,
    occurred_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    imported boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT stock_movements_pkey PRIMARY KEY (id),
    CONSTRAINT stock_movements_document_fkey FOREIGN KEY (reference) REFERENCES movement_documents (reference),
    CONSTRAINT stock_movements_product_fkey FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT stock_movements_location_fkey FOREIGN KEY (location_id) REFERENCES locations (id),
    CONSTRAINT stock_movements_quantity_range CHECK (quantity BETWEEN -10000000 AND 10000000 AND quantity <> 0),
    CONSTRAINT stock_movements_reason_known CHECK (reason IN ('sale', 'return', 'replenishment', 'adjustment', 'transfer')),
    -- A document has one movement per product and place, and at most one that gives it back:
    -- taking twice or reversing twice cannot be written down, whatever a program believes.
    CONSTRAINT stock_movements_once UNIQUE (reference, product_id, location_id, reversal)
);
COMMENT ON TABLE stock_movements IS 'Signed changes of stock, never rewritten; a reversal adds the opposite under the same reference.';
COMMENT ON COLUMN stock_movements.occurred_at IS 'When the document happened, which may be before we heard of it.';
COMMENT ON COLUMN stock_movements.time_zone IS 'IANA zone where it happened: with occurred_at it gives the business day.';
COMMENT ON COLUMN stock_movements.imported IS 'History: it took no stock when it was written.';
CREATE INDEX stock_movements_product ON stock_movements (product_id, id);
CREATE INDEX stock_movements_location ON stock_movements (location_id, id);
CREATE INDEX stock_movements_change ON stock_movements (change_xid, id);

CREATE TRIGGER stock_movements_stamp BEFORE INSERT OR UPDATE ON stock_movements FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER stock_movements_keep_occurrence BEFORE UPDATE ON stock_movements FOR EACH ROW EXECUTE FUNCTION feed_keep_occurrence();
CREATE TRIGGER stock_movements_refuse_removal BEFORE DELETE OR TRUNCATE ON stock_movements FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
