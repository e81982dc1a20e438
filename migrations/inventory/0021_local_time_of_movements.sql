-- What the clock showed where stock moved.

ALTER TABLE stock_movements ADD COLUMN local_time timestamp;
COMMENT ON COLUMN stock_movements.local_time IS 'What the clock showed where it happened; without zone, and never computed again: business day and hour are arithmetic on it.';
CREATE TRIGGER stock_movements_fill_local_time BEFORE INSERT ON stock_movements FOR EACH ROW
    WHEN (NEW.local_time IS NULL) EXECUTE FUNCTION local_time_fill();
CREATE TRIGGER stock_movements_keep_local_time BEFORE UPDATE ON stock_movements FOR EACH ROW
    WHEN (OLD.local_time IS NOT NULL AND NEW.local_time IS DISTINCT FROM OLD.local_time) EXECUTE FUNCTION local_time_keep();
INSERT INTO local_time_filled (table_name) VALUES ('stock_movements');
COMMENT ON COLUMN stock_movements.time_zone IS 'IANA zone where it happened: with occurred_at it gave local_time.';
