-- Each process computes local time by the zone data that are compiled into it. Which version a source has is kept with it: where
-- it differs from that of the process that reads it, the same instant may have two local times.
ALTER TABLE sync.source ADD COLUMN zone_data text;
COMMENT ON COLUMN sync.source.zone_data IS 'Version of the zone data of the source, such as 2026f, when its head last changed; none where it does not say';

ALTER TABLE jobs.incident DROP CONSTRAINT incident_kind_check, ADD CONSTRAINT incident_kind_check
    CHECK (kind IN ('run_failed', 'source_stale', 'reconciliation_drift', 'quarantine', 'clock', 'outdated', 'damaged_file',
                    'zone_data'));
