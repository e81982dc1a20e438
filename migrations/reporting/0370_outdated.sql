-- Rows that come for a day older than the restatement's window do not change what was published for it: it is marked as
-- outdated, with since when and by what, until somebody has the day published again. The marks are rows too, and like
-- everything published are added and never changed: the newest of a revision counts.
CREATE TABLE published.outdated (
    mark_id      bigint      GENERATED ALWAYS AS IDENTITY,
    report       text        NOT NULL,
    business_day date        NOT NULL,
    revision     integer     NOT NULL,
    snapshot     bigint      NOT NULL,
    since        timestamptz,
    cause        jsonb,
    marked_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outdated_pkey PRIMARY KEY (mark_id),
    CONSTRAINT outdated_revision_fkey FOREIGN KEY (report, business_day, revision) REFERENCES published.revision,
    CONSTRAINT outdated_says_by_what CHECK ((since IS NULL) = (cause IS NULL))
);
CREATE INDEX outdated_newest ON published.outdated (report, business_day, revision, mark_id DESC);
COMMENT ON TABLE published.outdated IS 'Which revisions are known to be outdated; the newest row of a revision counts';
COMMENT ON COLUMN published.outdated.snapshot IS 'Through which snapshot of the lake it was looked at';
COMMENT ON COLUMN published.outdated.since IS 'When the first row came; NULL: it was computed again and says the same';
COMMENT ON COLUMN published.outdated.cause IS 'The rows that came, by source and dataset, as in published.revision';

CREATE TRIGGER outdated_immutable BEFORE UPDATE OR DELETE ON published.outdated
    FOR EACH ROW EXECUTE FUNCTION published.refuse_change();
CREATE TRIGGER outdated_kept BEFORE TRUNCATE ON published.outdated
    FOR EACH STATEMENT EXECUTE FUNCTION published.refuse_change();
SELECT published.only_add('published.outdated');

CREATE OR REPLACE VIEW reports._revisions AS
SELECT r.revision_id, r.report, r.business_day, r.revision, r.state, r.row_count, r.currency, r.snapshot,
       r.generated_at, r.published_at, r.sources,
       (SELECT string_agg(DISTINCT m->>'source', ', ' ORDER BY m->>'source') FROM jsonb_array_elements(r.missing) m) AS missing,
       (SELECT string_agg(DISTINCT c->>'source', ', ' ORDER BY c->>'source') FROM jsonb_array_elements(
            CASE jsonb_typeof(r.cause) WHEN 'array' THEN r.cause ELSE '[]' END) c) AS cause,
       newest.current,
       r.state = 'provisional' AND newest.current
       AND NOT (r.of_moment AND EXISTS (SELECT FROM published.revision later
                                        WHERE later.report = r.report AND later.business_day > r.business_day)) AS owed,
       (SELECT mark.since FROM published.outdated mark
         WHERE mark.report = r.report AND mark.business_day = r.business_day AND mark.revision = r.revision
         ORDER BY mark.mark_id DESC LIMIT 1) AS outdated_since
FROM published.revision r
CROSS JOIN LATERAL (SELECT NOT EXISTS (SELECT FROM published.revision later
                                       WHERE later.report = r.report AND later.business_day = r.business_day
                                       AND later.revision > r.revision)) AS newest (current);
COMMENT ON COLUMN reports._revisions.outdated_since IS
    'Since when rows have come that it does not hold and that are too late to publish the day again by itself; NULL: none';

ALTER TABLE jobs.incident DROP CONSTRAINT incident_kind_check, ADD CONSTRAINT incident_kind_check
    CHECK (kind IN ('run_failed', 'source_stale', 'reconciliation_drift', 'quarantine', 'clock', 'outdated'));
