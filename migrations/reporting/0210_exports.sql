-- Files of the export packs. Written by the crate `jobs` alone.
CREATE SCHEMA exports;

CREATE TABLE exports.file (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_day date        NOT NULL,
    report       text        NOT NULL,
    revision     int         NOT NULL,
    format       text        NOT NULL,
    path         text        NOT NULL,
    rows         bigint      NOT NULL,
    bytes        bigint      NOT NULL,
    sha256       text        NOT NULL,
    provenance   jsonb       NOT NULL,
    run_id       bigint      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at   timestamptz,
    CONSTRAINT file_revision_key UNIQUE (business_day, report, revision, format),
    CONSTRAINT file_sha256_check CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT file_size_check CHECK (rows >= 0 AND bytes >= 0)
);
CREATE INDEX file_newest ON exports.file (business_day DESC, id DESC);
COMMENT ON TABLE exports.file IS 'One row per file of an export pack: what it holds, how long it is, and its digest.';
COMMENT ON COLUMN exports.file.path IS 'Below the exports folder: <business day>/<report>-r<revision>.<extension>.';
COMMENT ON COLUMN exports.file.run_id IS 'The run in jobs.run that wrote it; no foreign key, for runs are forgotten before files.';
