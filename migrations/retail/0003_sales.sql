-- Sales and returns, their lines, and what is still owed to Inventory for them.

CREATE TABLE sales (
    id bigint GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    receipt_number text NOT NULL,
    store_id bigint NOT NULL,
    register_id bigint NOT NULL,
    location_id bigint,
    original_sale_id bigint,
    occurred_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    business_day date GENERATED ALWAYS AS ((timezone(time_zone, occurred_at))::date) STORED,
    total_cents bigint NOT NULL,
    imported boolean NOT NULL DEFAULT false,
    refusal jsonb,
    idempotency_key text,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    voided_at timestamptz,
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT sales_pkey PRIMARY KEY (id),
    CONSTRAINT sales_reference_key UNIQUE (reference),
    CONSTRAINT sales_receipt_key UNIQUE (receipt_number),
    CONSTRAINT sales_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT sales_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL)),
    CONSTRAINT sales_register_fkey FOREIGN KEY (store_id, register_id) REFERENCES registers (store_id, id),
    CONSTRAINT sales_original_fkey FOREIGN KEY (original_sale_id) REFERENCES sales (id),
    CONSTRAINT sales_kind_known CHECK (kind IN ('sale', 'return')),
    CONSTRAINT sales_status_known CHECK (status IN ('pending', 'completed', 'rejected', 'voided')),
    CONSTRAINT sales_return_has_original CHECK ((kind = 'return') = (original_sale_id IS NOT NULL)),
    CONSTRAINT sales_only_sales_void CHECK (status <> 'voided' OR kind = 'sale'),
    CONSTRAINT sales_void_dated CHECK ((status = 'voided') = (voided_at IS NOT NULL) OR imported),
    CONSTRAINT sales_live_has_location CHECK (imported OR location_id IS NOT NULL),
    CONSTRAINT sales_imported_is_settled CHECK (NOT imported OR status <> 'pending')
);
COMMENT ON TABLE sales IS 'Documents of the till. kind: sale or return. status: pending (Inventory has not answered), completed, rejected (refused or given up; net stock none), voided (undone; stock given back).';
COMMENT ON COLUMN sales.reference IS 'What Inventory knows this document by: the key of its stock movements.';
COMMENT ON COLUMN sales.location_id IS 'Inventory location that stock moves at; no foreign key, it lives in another database. Absent on imported history.';
COMMENT ON COLUMN sales.business_day IS 'Local date where it happened.';
COMMENT ON COLUMN sales.imported IS 'History that came through an import: it moved no stock.';
COMMENT ON COLUMN sales.refusal IS 'Why a rejected document was rejected, as it was answered to the client.';
COMMENT ON COLUMN sales.idempotency_key IS 'Scope and Idempotency-Key of the request that made this document; bound by the same insert, so the two exist together or not at all.';
COMMENT ON COLUMN sales.settled_at IS 'When the document left pending.';
CREATE INDEX sales_change ON sales (change_xid, id);
CREATE INDEX sales_store_day ON sales (store_id, business_day, id);
CREATE INDEX sales_original ON sales (original_sale_id) WHERE original_sale_id IS NOT NULL;

CREATE TABLE sale_lines (
    sale_id bigint NOT NULL,
    line_no integer NOT NULL,
    product_id bigint NOT NULL,
    sku text NOT NULL,
    product_name text NOT NULL,
    category text NOT NULL,
    quantity bigint NOT NULL,
    unit_price_cents bigint NOT NULL,
    unit_cost_cents bigint NOT NULL,
    discount_cents bigint NOT NULL DEFAULT 0,
    net_cents bigint GENERATED ALWAYS AS (quantity * unit_price_cents - discount_cents) STORED,
    original_line_no integer,
    CONSTRAINT sale_lines_pkey PRIMARY KEY (sale_id, line_no),
    CONSTRAINT sale_lines_sale_fkey FOREIGN KEY (sale_id) REFERENCES sales (id),
    CONSTRAINT sale_lines_line_no_positive CHECK (line_no > 0),
    CONSTRAINT sale_lines_quantity_not_zero CHECK (quantity <> 0),
    CONSTRAINT sale_lines_price_not_negative CHECK (unit_price_cents >= 0),
    CONSTRAINT sale_lines_cost_not_negative CHECK (unit_cost_cents >= 0),
    -- A discount takes from a sale's line and gives back on a return's, never past nothing.
    CONSTRAINT sale_lines_discount_within_price CHECK (
        CASE WHEN quantity > 0 THEN discount_cents BETWEEN 0 AND quantity * unit_price_cents
             ELSE discount_cents BETWEEN quantity * unit_price_cents AND 0 END)
);
COMMENT ON TABLE sale_lines IS 'SKU, name, category, price and cost as they were at the sale: later changes at Inventory never rewrite history.';
COMMENT ON COLUMN sale_lines.quantity IS 'Pieces; negative on returns.';
COMMENT ON COLUMN sale_lines.net_cents IS 'quantity * unit_price_cents - discount_cents; negative on returns.';
COMMENT ON COLUMN sale_lines.original_line_no IS 'On a return: the line of the original sale that it gives back.';
CREATE INDEX sale_lines_product ON sale_lines (product_id, sale_id);

CREATE TABLE stock_tasks (
    sale_id bigint NOT NULL,
    step text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    CONSTRAINT stock_tasks_pkey PRIMARY KEY (sale_id),
    CONSTRAINT stock_tasks_sale_fkey FOREIGN KEY (sale_id) REFERENCES sales (id),
    CONSTRAINT stock_tasks_step_known CHECK (step IN ('post', 'reverse'))
);
COMMENT ON TABLE stock_tasks IS 'What is still owed to Inventory: one row per unsettled document, written in the transaction that decides on it and removed in the one that settles it. post: its movements; reverse: their reversal.';
CREATE INDEX stock_tasks_due ON stock_tasks (due_at);

-- A line carries its header's values in the change feed, so a new or changed line stamps its header.
CREATE TRIGGER sale_lines_touch_insert AFTER INSERT ON sale_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('sales', 'id', 'sale_id');
CREATE TRIGGER sale_lines_touch_update AFTER UPDATE ON sale_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('sales', 'id', 'sale_id');

CREATE TRIGGER sales_stamp BEFORE INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER sales_keep_occurrence BEFORE UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION feed_keep_occurrence();
CREATE TRIGGER sales_refuse_removal BEFORE DELETE OR TRUNCATE ON sales FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER sale_lines_refuse_removal BEFORE DELETE OR TRUNCATE ON sale_lines FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
