-- Carts: what a customer means to buy, at the prices that were shown.

CREATE TABLE carts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    customer_id bigint,
    status text NOT NULL DEFAULT 'open',
    item_count bigint NOT NULL DEFAULT 0,
    total_cents bigint NOT NULL DEFAULT 0,
    order_id bigint,
    idempotency_key text,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT carts_pkey PRIMARY KEY (id),
    CONSTRAINT carts_customer_fkey FOREIGN KEY (customer_id) REFERENCES customers (id),
    CONSTRAINT carts_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT carts_order_key UNIQUE (order_id),
    CONSTRAINT carts_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT carts_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL)),
    CONSTRAINT carts_status_known CHECK (status IN ('open', 'checked_out', 'abandoned')),
    CONSTRAINT carts_order_when_checked_out CHECK ((status = 'checked_out') = (order_id IS NOT NULL)),
    CONSTRAINT carts_item_count_not_negative CHECK (item_count >= 0),
    CONSTRAINT carts_total_not_negative CHECK (total_cents >= 0)
);
COMMENT ON TABLE carts IS 'status open: being filled; checked_out: became order_id; abandoned: left alone too long (filling it opens it again).';
COMMENT ON COLUMN carts.item_count IS 'Pieces in the cart. Kept with total_cents by the writer of items, so that the change feed needs no join.';
COMMENT ON COLUMN carts.total_cents IS 'At the prices the customer saw.';
CREATE INDEX carts_change ON carts (change_xid, id);
CREATE INDEX carts_open ON carts (updated_at) WHERE status = 'open';

CREATE TABLE cart_items (
    cart_id bigint NOT NULL,
    product_id bigint NOT NULL,
    sku text NOT NULL,
    product_name text NOT NULL,
    quantity bigint NOT NULL,
    unit_price_cents bigint NOT NULL,
    current_unit_price_cents bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cart_items_pkey PRIMARY KEY (cart_id, product_id),
    CONSTRAINT cart_items_cart_fkey FOREIGN KEY (cart_id) REFERENCES carts (id),
    CONSTRAINT cart_items_quantity_range CHECK (quantity BETWEEN 1 AND 1000000),
    CONSTRAINT cart_items_price_not_negative CHECK (unit_price_cents >= 0 AND current_unit_price_cents >= 0)
);
COMMENT ON COLUMN cart_items.unit_price_cents IS 'The price the customer saw and agreed to.';
COMMENT ON COLUMN cart_items.current_unit_price_cents IS 'The price Inventory named last; where it differs, checkout asks the customer to accept it.';

CREATE TRIGGER carts_stamp BEFORE INSERT OR UPDATE ON carts FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER carts_refuse_removal BEFORE DELETE OR TRUNCATE ON carts FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
