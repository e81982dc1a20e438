-- Through which snapshot a published day was looked at again. Written by the crate `jobs` alone.
CREATE TABLE jobs.looked_at (
    report       text   NOT NULL,
    business_day date   NOT NULL,
    snapshot     bigint NOT NULL,
    PRIMARY KEY (report, business_day)
);
COMMENT ON TABLE jobs.looked_at IS 'Late rows that change nothing make no revision; this keeps the job restate from computing them again and again.';
