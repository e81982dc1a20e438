-- Orders, their lines, and what is still owed to Inventory for them.

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    customer_id bigint NOT NULL,
    status text NOT NULL,
    payment_status text NOT NULL,
    location_id bigint,
    occurred_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    business_day date GENERATED ALWAYS AS ((timezone(time_zone, occurred_at))::date) STORED,
    confirmed_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    total_cents bigint NOT NULL,
    imported boolean NOT NULL DEFAULT false,
    refusal jsonb,
    idempotency_key text,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_reference_key UNIQUE (reference),
    CONSTRAINT orders_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT orders_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL)),
    CONSTRAINT orders_customer_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
    CONSTRAINT orders_status_known CHECK (status IN ('pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled')),
    CONSTRAINT orders_payment_known CHECK (payment_status IN ('pending', 'paid', 'refunded', 'failed')),
    CONSTRAINT orders_total_not_negative CHECK (total_cents >= 0),
    CONSTRAINT orders_live_has_location CHECK (imported OR location_id IS NOT NULL),
    CONSTRAINT orders_cancel_dated CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL) OR imported)
);
COMMENT ON TABLE orders IS 'Online orders. status pending: Inventory has not answered yet; confirmed: it has given the stock; cancelled: refused, given up or called off (net stock none). payment_status runs on its own.';
COMMENT ON COLUMN orders.reference IS 'What Inventory knows this order by: the key of its stock movements.';
COMMENT ON COLUMN orders.location_id IS 'Inventory location the goods ship from; no foreign key, it lives in another database. Absent on imported history.';
COMMENT ON COLUMN orders.time_zone IS 'The company''s zone when the order was placed.';
COMMENT ON COLUMN orders.imported IS 'History that came through an import: it moved no stock.';
COMMENT ON COLUMN orders.refusal IS 'Why Inventory''s answer cancelled the order, as it was answered to the client.';
COMMENT ON COLUMN orders.idempotency_key IS 'Scope and Idempotency-Key of the checkout; bound by the same insert, so the two exist together or not at all.';
CREATE INDEX orders_change ON orders (change_xid, id);
CREATE INDEX orders_customer ON orders (customer_id, id);
CREATE INDEX orders_day ON orders (business_day, id);

CREATE TABLE order_lines (
    order_id bigint NOT NULL,
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
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line_no),
    CONSTRAINT order_lines_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT order_lines_line_no_positive CHECK (line_no > 0),
    CONSTRAINT order_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_lines_price_not_negative CHECK (unit_price_cents >= 0),
    CONSTRAINT order_lines_cost_not_negative CHECK (unit_cost_cents >= 0),
    CONSTRAINT order_lines_discount_within_price CHECK (discount_cents BETWEEN 0 AND quantity * unit_price_cents)
);
COMMENT ON TABLE order_lines IS 'SKU, name, category, price and cost as they were at checkout: later changes at Inventory never rewrite history.';
CREATE INDEX order_lines_product ON order_lines (product_id, order_id);

CREATE TABLE stock_tasks (
    order_id bigint NOT NULL,
    step text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    CONSTRAINT stock_tasks_pkey PRIMARY KEY (order_id),
    CONSTRAINT stock_tasks_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT stock_tasks_step_known CHECK (step IN ('post', 'reverse'))
);
COMMENT ON TABLE stock_tasks IS 'What is still owed to Inventory: one row per unsettled order, written in the transaction that decides on it and removed in the one that settles it. post: its movements; reverse: their reversal.';
CREATE INDEX stock_tasks_due ON stock_tasks (due_at);

-- A line carries its header's values in the change feed, so a new or changed line stamps its header.
CREATE TRIGGER order_lines_touch_insert AFTER INSERT ON order_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('orders', 'id', 'order_id');
CREATE TRIGGER order_lines_touch_update AFTER UPDATE ON order_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('orders', 'id', 'order_id');

CREATE TRIGGER orders_stamp BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER orders_keep_occurrence BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION feed_keep_occurrence();
CREATE TRIGGER orders_refuse_removal BEFORE DELETE OR TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER order_lines_refuse_removal BEFORE DELETE OR TRUNCATE ON order_lines FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
