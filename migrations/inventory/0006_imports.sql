-- Bulk imports: what came of each, and the table in which a file waits until all of it is there. The same text stands in
-- every service's migrations, because databases share nothing; a test compares the copies.

CREATE TABLE imports (
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    state text NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT false,
    detail text,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    unfinished_since timestamptz,
    CONSTRAINT imports_pkey PRIMARY KEY (id),
    CONSTRAINT imports_state_known
        CHECK (state IN ('receiving', 'applying', 'finished', 'refused', 'interrupted', 'withdrawing', 'withdrawn'))
);
COMMENT ON TABLE imports IS
    'One row per file that was sent. Counts are rows of the file. The import that runs is the one whose process holds the advisory lock; its transactions lock its row here first.';
COMMENT ON COLUMN imports.unfinished_since IS
    'Since when its documents are applied in part: the change feed says that it is complete up to this moment and no further. Kept by an interrupted import that applied something, until a file of its kind is finished.';
CREATE INDEX imports_unfinished ON imports (unfinished_since) WHERE unfinished_since IS NOT NULL;
CREATE INDEX imports_running ON imports (id) WHERE state IN ('receiving', 'applying', 'withdrawing');

CREATE TABLE import_refusals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    import_id bigint NOT NULL,
    line bigint NOT NULL,
    field text,
    reason text NOT NULL,
    CONSTRAINT import_refusals_pkey PRIMARY KEY (id),
    CONSTRAINT import_refusals_import_fkey FOREIGN KEY (import_id) REFERENCES imports (id)
);
COMMENT ON TABLE import_refusals IS 'Why rows of a file were not applied.';
CREATE INDEX import_refusals_import ON import_refusals (import_id, line, id);

-- Unlogged: a crash empties it, and the file is sent again. The key puts the rows of a document together wherever they
-- stood in the file, in the order of bytes, which costs no collation.
CREATE UNLOGGED TABLE import_rows (
    document text COLLATE "C" NOT NULL,
    line bigint NOT NULL,
    pass smallint NOT NULL,
    bad boolean NOT NULL,
    cells bytea NOT NULL,
    CONSTRAINT import_rows_pkey PRIMARY KEY (document, line)
);
COMMENT ON TABLE import_rows IS 'The rows of the file that is imported. One import runs at a time, and each begins with none.';
COMMENT ON COLUMN import_rows.bad IS 'Refused by itself; it takes its document with it.';
COMMENT ON COLUMN import_rows.cells IS 'The texts of the declared columns: length (32 bits, little endian; all ones where the row lacks the column) and bytes of each.';

-- TRUNCATE gives the disk back, and belongs to the owner; only the import that holds the lease calls this.
CREATE FUNCTION import_clear() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM import_rows) THEN
        TRUNCATE import_rows;
    END IF;
END
$$;

-- Whether PostgreSQL can tell the business day of a document in this zone: its zone data may lack names that ours has.
CREATE FUNCTION import_zone_known(zone text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN timezone(zone, '2000-01-01 00:00:00+00'::timestamptz) IS NOT NULL;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END
$$;

-- Lines of documents that this transaction made need no look at their headers: those are stamped already. Whoever inserts
-- such lines says so by setting feed.new_headers to the number of his transaction. The look is half of what lines cost.
CREATE OR REPLACE FUNCTION feed_touch_header() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('feed.new_headers', true) = pg_current_xact_id()::text THEN
        RETURN NULL;
    END IF;
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
