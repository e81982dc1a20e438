-- A source whose clock is ahead of this database's claims to be complete through an instant that has not come. What it
-- claims is held to the database's clock, and the difference is kept: while it lasts, no figure of it is final.
ALTER TABLE sync.source ADD COLUMN clock_ahead_seconds bigint NOT NULL DEFAULT 0
    CONSTRAINT source_clock_ahead_check CHECK (clock_ahead_seconds >= 0);
COMMENT ON COLUMN sync.source.clock_ahead_seconds IS 'By how much the source''s last as_of was ahead of this database''s clock';

ALTER TABLE jobs.incident DROP CONSTRAINT incident_kind_check, ADD CONSTRAINT incident_kind_check
    CHECK (kind IN ('run_failed', 'source_stale', 'reconciliation_drift', 'quarantine', 'clock'));
