-- What is wrong, from when until when, and who was told. Written by the crate `jobs` alone.
CREATE TABLE jobs.incident (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text        NOT NULL,
    subject   text        NOT NULL,
    summary   text        NOT NULL,
    facts     jsonb       NOT NULL DEFAULT '{}',
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    CONSTRAINT incident_kind_check
        CHECK (kind IN ('run_failed', 'source_stale', 'reconciliation_drift', 'quarantine'))
);
-- However many replicas find the same thing wrong, it is one incident while it lasts.
CREATE UNIQUE INDEX incident_open_once ON jobs.incident (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX incident_closed ON jobs.incident (closed_at) WHERE closed_at IS NOT NULL;
COMMENT ON TABLE jobs.incident IS 'One row per thing that is or was wrong: a job, source or report, and for how long.';
COMMENT ON COLUMN jobs.incident.subject IS 'The job, source or report that it is about.';

CREATE TABLE jobs.notice (
    incident_id bigint      NOT NULL CONSTRAINT notice_incident_fkey REFERENCES jobs.incident (id) ON DELETE CASCADE,
    event       text        NOT NULL CONSTRAINT notice_event_check CHECK (event IN ('opened', 'closed')),
    attempts    int         NOT NULL DEFAULT 0,
    not_before  timestamptz NOT NULL DEFAULT clock_timestamp(),
    told_at     timestamptz,
    given_up_at timestamptz,
    error       text,
    CONSTRAINT notice_pkey PRIMARY KEY (incident_id, event),
    CONSTRAINT notice_end_check CHECK (told_at IS NULL OR given_up_at IS NULL)
);
CREATE INDEX notice_waiting ON jobs.notice (not_before) WHERE told_at IS NULL AND given_up_at IS NULL;
COMMENT ON TABLE jobs.notice IS 'The messages of an incident: written in the transaction that opens or closes it, told later.';

-- Packs on their way to another folder or to a webhook. Written by the crate `jobs` alone.
CREATE TABLE exports.delivery (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_day date        NOT NULL,
    pack_sha256  text        NOT NULL,
    destination  text        NOT NULL,
    attempts     int         NOT NULL DEFAULT 0,
    not_before   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    given_up_at  timestamptz,
    error        text,
    CONSTRAINT delivery_pack_once UNIQUE (business_day, pack_sha256, destination),
    CONSTRAINT delivery_destination_check CHECK (destination IN ('folder', 'webhook')),
    CONSTRAINT delivery_end_check CHECK (delivered_at IS NULL OR given_up_at IS NULL)
);
CREATE INDEX delivery_waiting ON exports.delivery (not_before) WHERE delivered_at IS NULL AND given_up_at IS NULL;
COMMENT ON TABLE exports.delivery IS 'One row per pack and destination: written with the manifest, carried out later.';
COMMENT ON COLUMN exports.delivery.pack_sha256 IS 'Of the manifest: the same files are the same pack, and are delivered once.';

ALTER TABLE exports.file ADD COLUMN cleared_at timestamptz;
COMMENT ON COLUMN exports.file.removed_at IS 'Since when it is no longer offered; its bytes go after that.';
COMMENT ON COLUMN exports.file.cleared_at IS 'When its bytes were gone.';
