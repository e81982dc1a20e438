-- Opening a store or placing a register is a write that a client may repeat: its key stands beside what it made.
ALTER TABLE stores
    ADD COLUMN idempotency_key text,
    ADD COLUMN idempotency_digest bytea,
    ADD CONSTRAINT stores_idempotency_key UNIQUE (idempotency_key),
    ADD CONSTRAINT stores_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL));
ALTER TABLE registers
    ADD COLUMN idempotency_key text,
    ADD COLUMN idempotency_digest bytea,
    ADD CONSTRAINT registers_idempotency_key UNIQUE (idempotency_key),
    ADD CONSTRAINT registers_idempotency_whole CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL));
COMMENT ON COLUMN stores.idempotency_key IS 'Key of the request that made this row, bound by the same insert.';
COMMENT ON COLUMN registers.idempotency_key IS 'Key of the request that made this row, bound by the same insert.';
