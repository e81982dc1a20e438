-- What is sold: products in categories.

CREATE TABLE categories (
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    idempotency_key text,
    request_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT categories_pkey PRIMARY KEY (id),
    CONSTRAINT categories_name_key UNIQUE (name),
    CONSTRAINT categories_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT categories_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT categories_idempotency_whole CHECK ((idempotency_key IS NULL) = (request_digest IS NULL))
);
COMMENT ON TABLE categories IS 'Groups of products; each product stands in one.';
COMMENT ON COLUMN categories.idempotency_key IS 'Key of the request that made this row, bound by the same insert.';
CREATE INDEX categories_change ON categories (change_xid, id);

CREATE TABLE products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    sku text NOT NULL,
    name text NOT NULL,
    category_id bigint NOT NULL,
    unit_price_cents bigint NOT NULL,
    unit_cost_cents bigint NOT NULL,
    reorder_point bigint NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    idempotency_key text,
    request_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT products_pkey PRIMARY KEY (id),
    CONSTRAINT products_sku_key UNIQUE (sku),
    CONSTRAINT products_sku_shape CHECK (sku ~ '^[A-Za-z0-9_./-]{1,64}$'),
    CONSTRAINT products_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT products_category_fkey FOREIGN KEY (category_id) REFERENCES categories (id),
    -- The upper bounds keep quantity times price of a document line within a bigint.
    CONSTRAINT products_unit_price_range CHECK (unit_price_cents BETWEEN 0 AND 100000000000),
    CONSTRAINT products_unit_cost_range CHECK (unit_cost_cents BETWEEN 0 AND 100000000000),
    CONSTRAINT products_reorder_point_range CHECK (reorder_point BETWEEN 0 AND 10000000),
    CONSTRAINT products_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT products_idempotency_whole CHECK ((idempotency_key IS NULL) = (request_digest IS NULL))
);
COMMENT ON TABLE products IS 'The source of truth for what the company sells. Never removed: an inactive product keeps its history.';
COMMENT ON COLUMN products.unit_price_cents IS 'Price today, in minor units; documents freeze their own copy.';
COMMENT ON COLUMN products.unit_cost_cents IS 'Cost today, in minor units; documents freeze their own copy.';
COMMENT ON COLUMN products.reorder_point IS 'With fewer than this on hand in all locations together, it is time to order.';
CREATE INDEX products_category ON products (category_id, id);
CREATE INDEX products_change ON products (change_xid, id);

CREATE TRIGGER categories_stamp BEFORE INSERT OR UPDATE ON categories FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER categories_refuse_removal BEFORE DELETE OR TRUNCATE ON categories FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER products_stamp BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER products_refuse_removal BEFORE DELETE OR TRUNCATE ON products FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
