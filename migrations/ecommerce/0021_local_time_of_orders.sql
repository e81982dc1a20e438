-- What the clock in the company's zone showed when an order was placed, or paid back.

ALTER TABLE orders ADD COLUMN local_time timestamp;
COMMENT ON COLUMN orders.local_time IS 'What the clock in the company''s zone showed; without zone, and never computed again: business day and hour are arithmetic on it.';
CREATE TRIGGER orders_fill_local_time BEFORE INSERT ON orders FOR EACH ROW
    WHEN (NEW.local_time IS NULL) EXECUTE FUNCTION local_time_fill();
CREATE TRIGGER orders_keep_local_time BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (OLD.local_time IS NOT NULL AND NEW.local_time IS DISTINCT FROM OLD.local_time) EXECUTE FUNCTION local_time_keep();
INSERT INTO local_time_filled (table_name) VALUES ('orders');
COMMENT ON COLUMN orders.business_day IS 'Local date by this server''s zone data, for versions before local_time; nothing else reads it.';

ALTER TABLE refunds ADD COLUMN local_time timestamp;
COMMENT ON COLUMN refunds.local_time IS 'What the clock in the company''s zone showed; without zone, and never computed again: business day and hour are arithmetic on it.';
CREATE TRIGGER refunds_fill_local_time BEFORE INSERT ON refunds FOR EACH ROW
    WHEN (NEW.local_time IS NULL) EXECUTE FUNCTION local_time_fill();
CREATE TRIGGER refunds_keep_local_time BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.local_time IS NOT NULL AND NEW.local_time IS DISTINCT FROM OLD.local_time) EXECUTE FUNCTION local_time_keep();
INSERT INTO local_time_filled (table_name) VALUES ('refunds');
COMMENT ON COLUMN refunds.business_day IS 'Local date by this server''s zone data, for versions before local_time; nothing else reads it.';

-- In the place of orders_day: a day, in lists.
CREATE INDEX orders_local_day ON orders ((local_time::date), id);
DROP INDEX orders_day;
