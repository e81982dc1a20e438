-- Refunds: what was paid for an order goes back, with its goods or without, on a day of its own.

-- Orders and refunds are numbered together, so that one table says what is owed to Inventory for either, and a report can
-- tell both by one number.
CREATE TABLE refunds (
    id bigint NOT NULL DEFAULT nextval('orders_id_seq'),
    reference text NOT NULL,
    order_id bigint NOT NULL,
    status text NOT NULL,
    location_id bigint,
    occurred_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    business_day date GENERATED ALWAYS AS ((timezone(time_zone, occurred_at))::date) STORED,
    total_cents bigint NOT NULL,
    imported boolean NOT NULL DEFAULT false,
    import_id bigint,
    refusal jsonb,
    idempotency_key text,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT refunds_pkey PRIMARY KEY (id),
    CONSTRAINT refunds_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT refunds_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL)),
    CONSTRAINT refunds_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT refunds_status_known CHECK (status IN ('pending', 'completed', 'rejected')),
    CONSTRAINT refunds_settled_dated CHECK ((status = 'pending') = (settled_at IS NULL)),
    CONSTRAINT refunds_pending_has_location CHECK (status <> 'pending' OR location_id IS NOT NULL),
    CONSTRAINT refunds_imported_is_settled CHECK (NOT imported OR status = 'completed'),
    CONSTRAINT refunds_total_not_positive CHECK (total_cents <= 0)
);
COMMENT ON TABLE refunds IS 'Refunds of orders. status pending: its goods come back and Inventory has not answered; completed: paid back; rejected: Inventory refused the goods, and nothing is paid back.';
COMMENT ON COLUMN refunds.reference IS 'What Inventory knows this refund by: the key of its stock movements.';
COMMENT ON COLUMN refunds.location_id IS 'Inventory location that the goods come back to; none where no goods do, and on imported history.';
COMMENT ON COLUMN refunds.total_cents IS 'The sum of its lines, never above zero.';
COMMENT ON COLUMN refunds.imported IS 'History that came through an import: it moved no stock.';
COMMENT ON COLUMN refunds.import_id IS 'The import that wrote it.';
COMMENT ON COLUMN refunds.refusal IS 'Why a rejected refund was rejected, as it was answered to the client.';
CREATE UNIQUE INDEX refunds_reference_key ON refunds (reference) WHERE NOT deleted;
CREATE INDEX refunds_change ON refunds (change_xid, id);
CREATE INDEX refunds_order ON refunds (order_id, id);
CREATE INDEX refunds_import ON refunds (import_id, id) WHERE import_id IS NOT NULL;

CREATE TABLE refund_lines (
    refund_id bigint NOT NULL,
    line_no integer NOT NULL,
    order_line_no integer NOT NULL,
    quantity bigint NOT NULL,
    discount_cents bigint NOT NULL,
    net_cents bigint NOT NULL,
    CONSTRAINT refund_lines_pkey PRIMARY KEY (refund_id, line_no),
    CONSTRAINT refund_lines_refund_fkey FOREIGN KEY (refund_id) REFERENCES refunds (id),
    CONSTRAINT refund_lines_line_no_positive CHECK (line_no > 0),
    CONSTRAINT refund_lines_give_back CHECK (quantity <= 0 AND net_cents <= 0 AND (quantity < 0 OR net_cents < 0)),
    CONSTRAINT refund_lines_discount_of_goods CHECK (discount_cents <= 0 AND (discount_cents = 0 OR quantity < 0))
);
COMMENT ON TABLE refund_lines IS 'What goes back for a line of the order. Product, price and cost are the order line''s.';
COMMENT ON COLUMN refund_lines.quantity IS 'Pieces that come back, negative; zero where only money goes back.';
COMMENT ON COLUMN refund_lines.discount_cents IS 'What these pieces carried of the order line''s discount, negative.';
COMMENT ON COLUMN refund_lines.net_cents IS 'What is paid back, negative; it may be less than the pieces had cost.';

-- A refund with all that readers want of its order.
CREATE VIEW refunded_lines AS
SELECT l.refund_id, l.line_no, l.order_line_no, o.customer_id, o.status AS order_status, p.product_id, p.sku, p.product_name,
       p.category, l.quantity, p.unit_price_cents, p.unit_cost_cents, l.discount_cents, l.net_cents
  FROM refund_lines AS l
  JOIN refunds AS r ON r.id = l.refund_id
  JOIN orders AS o ON o.id = r.order_id
  JOIN order_lines AS p ON p.order_id = o.id AND p.line_no = l.order_line_no;
COMMENT ON VIEW refunded_lines IS 'Lines of refunds with product, price and cost of the order''s lines.';

-- Never beyond what was ordered and paid, and not before it: looked at when the transaction ends, under the order's lock,
-- so that refunds of one order wait for each other.
CREATE FUNCTION refund_within_paid() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM orders WHERE id = NEW.order_id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT FROM refunds AS r
          JOIN orders AS o ON o.id = r.order_id
          JOIN refund_lines AS l ON l.refund_id = r.id
          LEFT JOIN order_lines AS p ON p.order_id = o.id AND p.line_no = l.order_line_no
         WHERE r.order_id = NEW.order_id AND r.status <> 'rejected' AND NOT r.deleted
         GROUP BY l.order_line_no, p.quantity, p.net_cents, o.occurred_at
        HAVING p.quantity IS NULL OR sum(l.quantity) + p.quantity < 0 OR sum(l.net_cents) + p.net_cents < 0
            OR min(r.occurred_at) < o.occurred_at)
    THEN
        RAISE EXCEPTION 'the refunds of order % do not fit what was ordered and paid', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_paid', TABLE = 'refunds';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER refunds_within_paid AFTER INSERT OR UPDATE OF order_id, status, deleted ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refund_within_paid();

-- Whether a refund counts is its order's: the feed tells it anew when the order moves on.
CREATE FUNCTION order_touch_refunds() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE refunds SET change_xid = change_xid WHERE order_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER orders_touch_refunds AFTER UPDATE OF status ON orders
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION order_touch_refunds();

CREATE TRIGGER refund_lines_touch_insert AFTER INSERT ON refund_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('refunds', 'id', 'refund_id');
CREATE TRIGGER refund_lines_touch_update AFTER UPDATE ON refund_lines REFERENCING NEW TABLE AS feed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('refunds', 'id', 'refund_id');
CREATE TRIGGER refunds_stamp BEFORE INSERT OR UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER refunds_keep_occurrence BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION feed_keep_occurrence();
CREATE TRIGGER refunds_refuse_removal BEFORE DELETE OR TRUNCATE ON refunds FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER refund_lines_refuse_removal BEFORE DELETE OR TRUNCATE ON refund_lines FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();

ALTER TABLE stock_tasks DROP CONSTRAINT stock_tasks_order_fkey;
COMMENT ON COLUMN stock_tasks.document_id IS 'An order or a refund.';
