-- What the clock in the store showed when a sale or return happened.

ALTER TABLE sales ADD COLUMN local_time timestamp;
COMMENT ON COLUMN sales.local_time IS 'What the clock in the store showed; without zone, and never computed again: business day and hour are arithmetic on it.';
CREATE TRIGGER sales_fill_local_time BEFORE INSERT ON sales FOR EACH ROW
    WHEN (NEW.local_time IS NULL) EXECUTE FUNCTION local_time_fill();
CREATE TRIGGER sales_keep_local_time BEFORE UPDATE ON sales FOR EACH ROW
    WHEN (OLD.local_time IS NOT NULL AND NEW.local_time IS DISTINCT FROM OLD.local_time) EXECUTE FUNCTION local_time_keep();
INSERT INTO local_time_filled (table_name) VALUES ('sales');
COMMENT ON COLUMN sales.business_day IS 'Local date by this server''s zone data, for versions before local_time; nothing else reads it.';

-- In the place of sales_store_day: a store's day, in lists.
CREATE INDEX sales_store_local_day ON sales (store_id, (local_time::date), id);
DROP INDEX sales_store_day;
