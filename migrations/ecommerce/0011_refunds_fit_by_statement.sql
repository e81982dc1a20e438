-- What refunds take of their orders is looked at once for all rows that a statement wrote. For each row by itself it cost as
-- much as the row, and far more in a large file: planned while the tables were small, it read them whole each time.

-- Never beyond what was ordered and paid, and not before it, under the locks of the orders, so that refunds of one order wait
-- for each other. The planner knows nothing of tables that were just filled: whatever their size, the rows of these orders are
-- looked up by their keys.
CREATE FUNCTION refunds_fit(refunded bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    beyond bigint;
BEGIN
    PERFORM FROM orders WHERE id = ANY (refunded) ORDER BY id FOR NO KEY UPDATE;
    SELECT o.id INTO beyond
      FROM orders AS o
      JOIN refunds AS r ON r.order_id = o.id
      JOIN refund_lines AS l ON l.refund_id = r.id
      LEFT JOIN order_lines AS p ON p.order_id = r.order_id AND p.line_no = l.order_line_no
     WHERE o.id = ANY (refunded) AND r.status <> 'rejected' AND NOT r.deleted
     GROUP BY o.id, o.occurred_at, l.order_line_no, p.quantity, p.net_cents
    HAVING p.quantity IS NULL OR sum(l.quantity) + p.quantity < 0 OR sum(l.net_cents) + p.net_cents < 0
        OR min(r.occurred_at) < o.occurred_at
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the refunds of order % do not fit what was ordered and paid', beyond
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_paid', TABLE = 'refunds';
    END IF;
END
$$;

-- A refund takes by its lines, which come after it.
CREATE FUNCTION refund_lines_fit() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM refunds_fit(ARRAY(
        SELECT DISTINCT r.order_id FROM changed AS l JOIN refunds AS r ON r.id = l.refund_id
         WHERE r.status <> 'rejected' AND NOT r.deleted));
    RETURN NULL;
END
$$;

-- One that falls away takes nothing; one that counts again, or moves to another order, does.
CREATE FUNCTION refunds_still_fit() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refunds_fit(ARRAY(
        SELECT DISTINCT r.order_id FROM changed AS r JOIN before AS b ON b.id = r.id
         WHERE r.status <> 'rejected' AND NOT r.deleted
           AND (r.order_id <> b.order_id OR b.status = 'rejected' OR b.deleted)));
    RETURN NULL;
END
$$;

DROP TRIGGER refunds_within_paid ON refunds;
DROP FUNCTION refund_within_paid();
CREATE TRIGGER refund_lines_within_paid_insert AFTER INSERT ON refund_lines REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refund_lines_fit();
CREATE TRIGGER refund_lines_within_paid_update AFTER UPDATE ON refund_lines REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refund_lines_fit();
CREATE TRIGGER refunds_within_paid AFTER UPDATE ON refunds REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_still_fit();
