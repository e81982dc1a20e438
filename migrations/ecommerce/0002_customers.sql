-- Customers. Personal data stays in this table; the change feed sends id, city, country and sign-up day.

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    reference text,
    name text,
    email text,
    phone text,
    city text,
    country text,
    signup_day date NOT NULL,
    erased_at timestamptz,
    idempotency_key text,
    idempotency_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false,
    change_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT customers_pkey PRIMARY KEY (id),
    CONSTRAINT customers_reference_key UNIQUE (reference),
    CONSTRAINT customers_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT customers_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL)),
    CONSTRAINT customers_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT customers_email_shape CHECK (length(email) <= 320 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT customers_phone_length CHECK (length(phone) BETWEEN 1 AND 50),
    CONSTRAINT customers_named_unless_erased CHECK ((erased_at IS NULL) = (name IS NOT NULL)),
    CONSTRAINT customers_erased_is_empty CHECK (erased_at IS NULL OR num_nonnulls(name, email, phone) = 0)
);
COMMENT ON TABLE customers IS 'Who buys online. Erasure empties name, e-mail and phone and keeps the row, so that orders still have a customer.';
COMMENT ON COLUMN customers.reference IS 'The number an imported customer had before; the natural key of the import.';
COMMENT ON COLUMN customers.signup_day IS 'Local date of the sign-up in the company''s zone.';
-- One account per address, whatever its capitals.
CREATE UNIQUE INDEX customers_email_key ON customers (lower(email));
CREATE INDEX customers_change ON customers (change_xid, id);

CREATE TRIGGER customers_stamp BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION feed_stamp();
CREATE TRIGGER customers_refuse_removal BEFORE DELETE OR TRUNCATE ON customers FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
