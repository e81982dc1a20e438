-- The change feed's own tables and triggers. The same text stands in every service's migrations,
-- because databases share nothing; a test compares the copies.
--
-- A table takes part in the feed when it
--   * has a column   change_xid xid8 NOT NULL   and an index that begins with (change_xid, key…),
--   * has the trigger  BEFORE INSERT OR UPDATE … FOR EACH ROW EXECUTE FUNCTION feed_stamp(),
--   * has the triggers BEFORE DELETE and BEFORE TRUNCATE … FOR EACH STATEMENT
--                      EXECUTE FUNCTION feed_refuse_removal().
-- A fact also takes feed_keep_occurrence(), and the lines of a document feed_touch_header().

-- Which cluster and database issued the numbers in every change_xid. One row, ever.
CREATE TABLE feed_identity (
    only_row   boolean     CONSTRAINT feed_identity_pkey PRIMARY KEY DEFAULT true
                           CONSTRAINT feed_identity_only_row_check CHECK (only_row),
    epoch      text        NOT NULL,
    stamped_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE feed_identity IS
    'The identity under which change_xid was stamped; another one means a restored dump, and stamps everything again.';

-- Random rows that a cursor carries. Each is committed after the snapshot that its answer was read
-- from, so a database that knows the row also holds everything that the answer said.
CREATE TABLE feed_witness (
    witness    uuid        CONSTRAINT feed_witness_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feed_witness_created_at_idx ON feed_witness (created_at);
COMMENT ON TABLE feed_witness IS
    'Proof that this history is the one a cursor was read from: a copy restored in place lacks the newest of them. Kept for 90 days.';

-- System identifier and database OID: another cluster, or another database, has another epoch.
CREATE FUNCTION feed_epoch() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT c.system_identifier::text || '-' || d.oid::text
      FROM pg_control_system() AS c
     CROSS JOIN pg_database AS d
     WHERE d.datname = current_database()
$$;

-- Stamps a row with the transaction that wrote it. GREATEST, because a transaction that waited for
-- a row may hold a smaller number than the one that changed it before: a stamp never goes back.
-- Only feed_restamp() may lower it, when the old numbers came from another cluster.
CREATE FUNCTION feed_stamp() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('feed.restamp', true) IS DISTINCT FROM 'on' THEN
        NEW.change_xid := GREATEST(OLD.change_xid, pg_current_xact_id());
    ELSE
        NEW.change_xid := pg_current_xact_id();
    END IF;
    RETURN NEW;
END
$$;

-- A row that vanished can never be told to a reader; a deletion is a column.
CREATE FUNCTION feed_refuse_removal() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are read by the change feed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Mark the rows as deleted instead.';
END
$$;

-- When and where a fact happened decides its business day, which must never move.
CREATE FUNCTION feed_keep_occurrence() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.occurred_at IS DISTINCT FROM OLD.occurred_at OR NEW.time_zone IS DISTINCT FROM OLD.time_zone THEN
        RAISE EXCEPTION 'occurred_at and time_zone of % never change', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

-- Lines carry no stamp of their own: a line that is added or changed stamps its header, and the
-- feed joins them. Arguments: header table, its key column, the lines' column that points to it.
-- The lines' transition table must be named feed_lines:
--   CREATE TRIGGER sale_lines_touch_insert AFTER INSERT ON sale_lines
--       REFERENCING NEW TABLE AS feed_lines FOR EACH STATEMENT
--       EXECUTE FUNCTION feed_touch_header('sales', 'id', 'sale_id');
-- and the same once more for UPDATE. Headers that this transaction stamped already are left alone;
-- the others are locked in key order, so that two writers cannot wait for each other.
CREATE FUNCTION feed_touch_header() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'UPDATE %1$I AS h SET change_xid = h.change_xid
           FROM (SELECT %2$I AS key FROM %1$I
                  WHERE %2$I IN (SELECT %3$I FROM feed_lines)
                    AND change_xid <> pg_current_xact_id()
                  ORDER BY %2$I FOR NO KEY UPDATE) AS touched
          WHERE h.%2$I = touched.key',
        TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END
$$;

-- Brings the stamps to the identity of this database and answers how many rows it stamped again:
-- none, when the identity is the stored one. After dump and restore the old numbers lie beyond the
-- new cluster's, where no horizon would ever reach them. Two replicas that start at once wait for
-- each other on the identity's row, and the second finds the work done.
CREATE FUNCTION feed_restamp() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    present  text := feed_epoch();
    stored   text;
    target   regclass;
    touched  bigint;
    stamped  bigint := 0;
BEGIN
    SELECT epoch INTO STRICT stored FROM feed_identity FOR UPDATE;
    IF stored = present THEN
        RETURN 0;
    END IF;
    PERFORM set_config('feed.restamp', 'on', true);
    FOR target IN
        SELECT DISTINCT tgrelid::regclass FROM pg_trigger
         WHERE tgfoid = 'feed_stamp'::regproc AND NOT tgisinternal
    LOOP
        EXECUTE format('UPDATE %s SET change_xid = change_xid', target);
        GET DIAGNOSTICS touched = ROW_COUNT;
        stamped := stamped + touched;
    END LOOP;
    PERFORM set_config('feed.restamp', 'off', true);
    UPDATE feed_identity SET epoch = present, stamped_at = now();
    RETURN stamped;
END
$$;

INSERT INTO feed_identity (epoch) VALUES (feed_epoch());
