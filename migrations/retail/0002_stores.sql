-- Where retail sells: stores and the registers in them.

CREATE TABLE stores (
    id bigint GENERATED ALWAYS AS IDENTITY,
    code text NOT NULL,
    name text NOT NULL,
    city text NOT NULL,
    time_zone text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT stores_pkey PRIMARY KEY (id),
    CONSTRAINT stores_code_key UNIQUE (code),
    CONSTRAINT stores_code_shape CHECK (code ~ '^[A-Za-z0-9_.-]{1,32}$'),
    CONSTRAINT stores_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT stores_city_length CHECK (length(city) BETWEEN 1 AND 200),
    -- PostgreSQL computes business days in this zone, so it must know it too; it raises
    -- invalid_parameter_value for a name that is none.
    CONSTRAINT stores_time_zone_known CHECK (timezone(time_zone, '2000-01-01 00:00:00+00'::timestamptz) IS NOT NULL)
);
COMMENT ON TABLE stores IS 'Shops with a till. Never removed: an inactive store keeps its history.';
COMMENT ON COLUMN stores.time_zone IS 'IANA name. A change holds for what comes after: documents keep the zone they were written in.';
CREATE INDEX stores_change ON stores (change_xid, id);

CREATE TABLE registers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    store_id bigint NOT NULL,
    number integer NOT NULL,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT registers_pkey PRIMARY KEY (id),
    CONSTRAINT registers_store_fkey FOREIGN KEY (store_id) REFERENCES stores (id),
    CONSTRAINT registers_number_key UNIQUE (store_id, number),
    -- Lets a document prove by foreign key that its register stands in its store.
    CONSTRAINT registers_of_store_key UNIQUE (store_id, id),
    CONSTRAINT registers_number_range CHECK (number BETWEEN 1 AND 9999)
);
COMMENT ON TABLE registers IS 'Tills, numbered within their store.';
CREATE INDEX registers_change ON registers (change_xid, id);

CREATE TABLE receipt_counters (
    register_id bigint NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT receipt_counters_pkey PRIMARY KEY (register_id),
    CONSTRAINT receipt_counters_register_fkey FOREIGN KEY (register_id) REFERENCES registers (id),
    CONSTRAINT receipt_counters_positive CHECK (last > 0)
);
COMMENT ON TABLE receipt_counters IS 'Last receipt number given by each register. Apart from registers, so that a sale does not send its register through the change feed again.';

CREATE TRIGGER stores_stamp BEFORE INSERT OR UPDATE ON stores FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER stores_refuse_removal BEFORE DELETE OR TRUNCATE ON stores FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
CREATE TRIGGER registers_stamp BEFORE INSERT OR UPDATE ON registers FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER registers_refuse_removal BEFORE DELETE OR TRUNCATE ON registers FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
