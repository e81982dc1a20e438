-- The newest mark of a revision is the one that counts: chosen here, once for all who ask for it. The columns that tell
-- revisions apart pass a condition on, so that one revision costs one step of `outdated_newest`.
CREATE VIEW published.newest_mark AS
SELECT DISTINCT ON (report, business_day, revision)
       report, business_day, revision, snapshot, since,
       CASE WHEN since IS NOT NULL THEN jsonb_build_object('since', since, 'by', cause) END AS outdated
FROM published.outdated
ORDER BY report, business_day, revision, mark_id DESC;
COMMENT ON VIEW published.newest_mark IS 'What the newest row of published.outdated says of each revision that has one';
COMMENT ON COLUMN published.newest_mark.outdated IS 'Since when and by what it is outdated; NULL: it is not';
SELECT published.only_add('published.newest_mark');
