-- Where things lie, and how many of each.

CREATE TABLE locations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    code text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    store_id bigint,
    active boolean NOT NULL DEFAULT true,
    idempotency_key text,
    request_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT locations_pkey PRIMARY KEY (id),
    CONSTRAINT locations_code_key UNIQUE (code),
    CONSTRAINT locations_code_shape CHECK (code ~ '^[A-Za-z0-9_.-]{1,32}$'),
    CONSTRAINT locations_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT locations_kind_known CHECK (kind IN ('warehouse', 'store')),
    CONSTRAINT locations_store_has_id CHECK ((kind = 'store') = (store_id IS NOT NULL)),
    -- A sale in a store must find one place to take its goods from.
    CONSTRAINT locations_store_key UNIQUE (store_id),
    CONSTRAINT locations_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT locations_idempotency_whole CHECK ((idempotency_key IS NULL) = (request_digest IS NULL))
);
COMMENT ON TABLE locations IS 'Warehouses, and the stock rooms of stores.';
COMMENT ON COLUMN locations.store_id IS 'The store in Retail; no foreign key, it lives in another database.';
CREATE INDEX locations_change ON locations (change_xid, id);

CREATE TABLE stock (
    product_id bigint NOT NULL,
    location_id bigint NOT NULL,
    on_hand bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT stock_pkey PRIMARY KEY (product_id, location_id),
    CONSTRAINT stock_product_fkey FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT stock_location_fkey FOREIGN KEY (location_id) REFERENCES locations (id),
    -- The last word on overselling, whatever a program believes.
    CONSTRAINT stock_on_hand_not_negative CHECK (on_hand >= 0),
    CONSTRAINT stock_on_hand_bounded CHECK (on_hand <= 1000000000000)
);
COMMENT ON TABLE stock IS 'On hand per product and location: the opening count plus the sum of its movements since. No row means none.';
CREATE INDEX stock_location ON stock (location_id, product_id);
CREATE INDEX stock_change ON stock (change_xid, product_id, location_id);

CREATE TRIGGER locations_stamp BEFORE INSERT OR UPDATE ON locations FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER locations_refuse_removal BEFORE DELETE OR TRUNCATE ON locations FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER stock_stamp BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER stock_refuse_removal BEFORE DELETE OR TRUNCATE ON stock FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
