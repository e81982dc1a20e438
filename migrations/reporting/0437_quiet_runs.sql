-- A job that looks every minute and finds nothing leaves one row, not one a minute: of its scheduled runs that had nothing
-- to do the newest alone is kept.
ALTER TABLE jobs.run ADD COLUMN quiet boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN jobs.run.quiet IS 'A scheduled run that had nothing to do; the next such one of the job takes its place';
CREATE INDEX run_quiet ON jobs.run (job) WHERE quiet;
