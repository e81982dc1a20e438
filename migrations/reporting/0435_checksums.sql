-- What a disk gives back is what was written, or it is told: a digest of each file of the lake, noted in the transaction
-- that makes the file live. A table of ours beside the catalogue: DuckLake's own tables have no room for it.
CREATE TABLE sync.file_checksum (
    path        text PRIMARY KEY,
    sha256      text,
    verified_at timestamptz,
    fault       text,
    CONSTRAINT file_checksum_sha256_check CHECK (sha256 ~ '^[0-9a-f]{64}$')
);
COMMENT ON TABLE sync.file_checksum IS 'Digests of the lake''s data and delete files, by their paths below its folder; written by the crate lake alone';
COMMENT ON COLUMN sync.file_checksum.sha256 IS 'Of a file that an earlier version wrote: what it was when it was verified first; NULL while it never could be read';
COMMENT ON COLUMN sync.file_checksum.verified_at IS 'When it was read whole last; NULL: not since it was written';
COMMENT ON COLUMN sync.file_checksum.fault IS 'What was wrong with it then; NULL when nothing was';
CREATE INDEX file_checksum_faulty ON sync.file_checksum (path) WHERE fault IS NOT NULL;

CREATE VIEW sync.lake_file AS
SELECT t.table_name AS dataset, file.path, file.bytes, file.data_file_id, file.begin_snapshot, file.end_snapshot,
       s.sha256, s.verified_at, s.fault
  FROM lake.ducklake_table t
  JOIN lake.ducklake_schema n ON n.schema_id = t.schema_id
 CROSS JOIN LATERAL (
           SELECT n.path || t.path || f.path AS path, f.file_size_bytes AS bytes, f.data_file_id, f.begin_snapshot, f.end_snapshot
             FROM lake.ducklake_data_file f WHERE f.table_id = t.table_id
            UNION ALL
           SELECT n.path || t.path || d.path, d.file_size_bytes, d.data_file_id, d.begin_snapshot, d.end_snapshot
             FROM lake.ducklake_delete_file d WHERE d.table_id = t.table_id) AS file
  LEFT JOIN sync.file_checksum s ON s.path = file.path;
COMMENT ON VIEW sync.lake_file IS 'Every file that a snapshot needs, data and deletes, with what is known of it';

ALTER TABLE jobs.incident DROP CONSTRAINT incident_kind_check, ADD CONSTRAINT incident_kind_check
    CHECK (kind IN ('run_failed', 'source_stale', 'reconciliation_drift', 'quarantine', 'clock', 'outdated', 'damaged_file'));

-- DuckDB with the owner's password keeps small inserts and deletes in tables of the catalogue, where no file of ours
-- tells of them. The owner looks, for only the owner may read them.
CREATE FUNCTION sync.inlined() RETURNS TABLE (dataset text, held_by text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    candidate record;
    holds_rows boolean;
BEGIN
    FOR candidate IN
        SELECT t.table_name, c.relname
          FROM pg_class c
          JOIN lake.ducklake_table t
            ON t.table_id = (regexp_match(c.relname, '^ducklake_inlined_(?:data|delete)_([0-9]+)'))[1]::bigint
         WHERE c.relnamespace = 'lake'::regnamespace AND c.relkind = 'r'
         ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM lake.%I)', candidate.relname) INTO holds_rows;
        IF holds_rows THEN
            dataset := candidate.table_name;
            held_by := candidate.relname;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION sync.inlined() IS 'Datasets of which rows, or deletions, stand in the catalogue instead of in files, and the table that holds them';
