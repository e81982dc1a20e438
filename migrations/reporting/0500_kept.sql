-- Rows of views that are kept, by business day. The rows lie in tables of the lake's schema `kept`; what says whether a
-- day of them is right in a snapshot stands here. Polls know nothing of it: a day that they change is named by
-- sync.changed_day, and the next run of the job `keep` computes it again.

CREATE TABLE sync.kept_view (
    table_id  bigint CONSTRAINT kept_view_once PRIMARY KEY,
    digest    text NOT NULL,
    view      text NOT NULL,
    inputs    text[] NOT NULL,
    wanted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_snapshot bigint NOT NULL DEFAULT 0,
    CONSTRAINT kept_view_has_inputs CHECK (cardinality(inputs) > 0)
);
COMMENT ON TABLE sync.kept_view IS 'The tables of the lake that hold the rows of a view; one for each SELECT that the view has had';
COMMENT ON COLUMN sync.kept_view.digest IS 'Of its name and of the SELECT with the views that it reads in their place';
COMMENT ON COLUMN sync.kept_view.ended_snapshot IS 'The last snapshot that ended all of its days; what was read before it is not kept after it';
COMMENT ON COLUMN sync.kept_view.inputs IS 'The datasets that the SELECT comes down to';
COMMENT ON COLUMN sync.kept_view.wanted_at IS 'When a catalogue last had this SELECT; long after it, the table is dropped';
CREATE INDEX kept_view_by_digest ON sync.kept_view (digest);

CREATE TABLE sync.kept_day (
    table_id       bigint NOT NULL CONSTRAINT kept_day_of_a_view REFERENCES sync.kept_view ON DELETE CASCADE,
    business_day   date NOT NULL,
    read_snapshot  bigint NOT NULL,
    begin_snapshot bigint NOT NULL,
    end_snapshot   bigint,
    rows           bigint NOT NULL CONSTRAINT kept_day_counts CHECK (rows >= 0),
    CONSTRAINT kept_day_is_of_what_was_read CHECK (begin_snapshot >= read_snapshot),
    CONSTRAINT kept_day_lives_a_while CHECK (end_snapshot >= begin_snapshot)
);
COMMENT ON TABLE sync.kept_day IS
    'Days of kept rows. One counts in a snapshot when it is live there and no input of its view has changed that day since what was read';
COMMENT ON COLUMN sync.kept_day.read_snapshot IS 'The snapshot of which the rows were computed';
CREATE UNIQUE INDEX kept_day_one_at_a_time ON sync.kept_day (table_id, business_day) WHERE end_snapshot IS NULL;
CREATE INDEX kept_day_by_day ON sync.kept_day (business_day);

-- Whether a day has changed since a snapshot is asked for each kept day that a report reads.
CREATE INDEX changed_day_since ON sync.changed_day (dataset, business_day, snapshot_id);

-- Whoever forgets which days have changed, an older version among them, forgets with it the kept days that are outdated
-- by it; else they would count again. What changes a day is forgotten with the last snapshot before it, so that no
-- snapshot is left in which such a day counts.
CREATE FUNCTION sync.forget_outdated_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM sync.kept_day AS kept USING sync.kept_view AS view, forgotten
     WHERE view.table_id = kept.table_id AND forgotten.dataset = ANY (view.inputs)
       AND forgotten.business_day = kept.business_day AND forgotten.snapshot_id > kept.read_snapshot;
    RETURN NULL;
END
$$;
CREATE TRIGGER changed_day_forgets_outdated_days AFTER DELETE ON sync.changed_day
    REFERENCING OLD TABLE AS forgotten FOR EACH STATEMENT EXECUTE FUNCTION sync.forget_outdated_days();

-- A change that names no days ends all that is kept of a dataset's views, from its snapshot on.
CREATE FUNCTION sync.end_kept_days(since bigint, datasets text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE sync.kept_view SET ended_snapshot = greatest(ended_snapshot, since) WHERE inputs && datasets;
    UPDATE sync.kept_day AS kept SET end_snapshot = greatest(since, kept.begin_snapshot)
      FROM sync.kept_view AS view
     WHERE view.table_id = kept.table_id AND view.inputs && datasets AND kept.end_snapshot IS NULL;
$$;

-- What DuckDB writes with the owner's password names no days.
CREATE FUNCTION sync.end_days_of_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sync.end_kept_days(NEW.snapshot_id, array_agg(DISTINCT t.table_name::text))
       FROM regexp_matches(NEW.changes_made, '[a-z_]+:([0-9]+)', 'g') AS touched (id)
       JOIN lake.ducklake_table t ON t.table_id = touched.id[1]::bigint
     HAVING count(*) > 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER changes_of_others_end_kept_days AFTER INSERT ON lake.ducklake_snapshot_changes
    FOR EACH ROW WHEN (NEW.author IS DISTINCT FROM 'tributary') EXECUTE FUNCTION sync.end_days_of_others();
