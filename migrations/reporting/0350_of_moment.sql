-- A report of a moment that stayed provisional becomes final only until the next night's has taken its place: whoever
-- counts what is owed must tell the two kinds apart. What was published before this column is taken for a day's.
ALTER TABLE published.revision ADD COLUMN of_moment boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN published.revision.of_moment IS 'Whether the rows are of the moment of the run (stock, days of cover) and not of the business day';

CREATE OR REPLACE VIEW reports._revisions AS
SELECT r.revision_id, r.report, r.business_day, r.revision, r.state, r.row_count, r.currency, r.snapshot,
       r.generated_at, r.published_at, r.sources,
       (SELECT string_agg(DISTINCT m->>'source', ', ' ORDER BY m->>'source') FROM jsonb_array_elements(r.missing) m) AS missing,
       (SELECT string_agg(DISTINCT c->>'source', ', ' ORDER BY c->>'source') FROM jsonb_array_elements(
            CASE jsonb_typeof(r.cause) WHEN 'array' THEN r.cause ELSE '[]' END) c) AS cause,
       newest.current,
       r.state = 'provisional' AND newest.current
       AND NOT (r.of_moment AND EXISTS (SELECT FROM published.revision later
                                        WHERE later.report = r.report AND later.business_day > r.business_day)) AS owed
FROM published.revision r
CROSS JOIN LATERAL (SELECT NOT EXISTS (SELECT FROM published.revision later
                                       WHERE later.report = r.report AND later.business_day = r.business_day
                                       AND later.revision > r.revision)) AS newest (current);
COMMENT ON COLUMN reports._revisions.owed IS 'Whether it is still to become final: provisional and current, and no moment whose place a later one has taken';
