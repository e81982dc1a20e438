-- What dashboards ask besides the reports themselves: which revision of which day is current, in which state, how
-- complete its sources were. Reports' names begin with a letter, so no report's view can take this name.
CREATE VIEW reports._revisions AS
SELECT r.revision_id, r.report, r.business_day, r.revision, r.state, r.row_count, r.currency, r.snapshot,
       r.generated_at, r.published_at, r.sources,
       (SELECT string_agg(DISTINCT m->>'source', ', ' ORDER BY m->>'source') FROM jsonb_array_elements(r.missing) m) AS missing,
       (SELECT string_agg(DISTINCT c->>'source', ', ' ORDER BY c->>'source') FROM jsonb_array_elements(
            CASE jsonb_typeof(r.cause) WHEN 'array' THEN r.cause ELSE '[]' END) c) AS cause,
       NOT EXISTS (SELECT FROM published.revision later
                   WHERE later.report = r.report AND later.business_day = r.business_day AND later.revision > r.revision) AS current
FROM published.revision r;
COMMENT ON VIEW reports._revisions IS 'Every revision without its rows; `current` marks those that the views of the reports show';
COMMENT ON COLUMN reports._revisions.missing IS 'Sources that kept it from being final; NULL when it is';
COMMENT ON COLUMN reports._revisions.cause IS 'Sources whose late rows made this revision; NULL for the first of a day';
