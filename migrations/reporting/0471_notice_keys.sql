-- A receiver drops a message whose key it has seen. Numbers come again where this database went back to an earlier state, so
-- the key of a message is of chance.
ALTER TABLE jobs.notice ADD COLUMN key uuid NOT NULL DEFAULT gen_random_uuid();
COMMENT ON COLUMN jobs.notice.key IS 'The same for every attempt at the message, and never that of another';
