-- Scheduled work: schedules, occurrences, attempts and their log lines. Written by the crate `jobs` alone.
CREATE SCHEMA jobs;

CREATE TABLE jobs.schedule (
    job             text        PRIMARY KEY,
    cadence         text        NOT NULL,
    planned_through timestamptz NOT NULL
);
COMMENT ON TABLE jobs.schedule IS 'One row per scheduled job: its cadence and the instant through which its occurrences are accounted for.';

CREATE TABLE jobs.run (
    id                  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job                 text        NOT NULL,
    scheduled_for       timestamptz NOT NULL,
    origin              text        NOT NULL,
    arguments           jsonb       NOT NULL DEFAULT '{}',
    status              text        NOT NULL DEFAULT 'queued',
    attempt             int         NOT NULL DEFAULT 0,
    takeovers           int         NOT NULL DEFAULT 0,
    fence               bigint      NOT NULL DEFAULT 0,
    owner               text,
    lease_until         timestamptz,
    not_before          timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancel_requested_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at          timestamptz,
    finished_at         timestamptz,
    progress            jsonb,
    outcome             jsonb,
    error               text,
    note                text,
    CONSTRAINT run_occurrence_key UNIQUE (job, scheduled_for),
    CONSTRAINT run_status_check
        CHECK (status IN ('queued', 'waiting', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')),
    CONSTRAINT run_origin_check CHECK (origin IN ('schedule', 'request')),
    CONSTRAINT run_lease_check CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT run_finished_check
        CHECK ((status IN ('succeeded', 'failed', 'skipped', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT run_outcome_check CHECK ((status = 'succeeded') = (outcome IS NOT NULL))
);
COMMENT ON TABLE jobs.run IS 'One row per occurrence of a job: who runs it, and what became of it.';
COMMENT ON COLUMN jobs.run.fence IS 'Raised by each claim. A transaction that writes a run''s work first locks this row where the fence is its own.';
COMMENT ON COLUMN jobs.run.takeovers IS 'How often a holder fell silent and another took over; apart from attempts, which count failures.';

-- What the sweep asks every few seconds: small, because ended runs are not in it.
CREATE INDEX run_open ON jobs.run (job, scheduled_for) WHERE status IN ('queued', 'waiting', 'running');
CREATE INDEX run_finished ON jobs.run (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE jobs.attempt (
    run_id     bigint      NOT NULL CONSTRAINT attempt_run_fkey REFERENCES jobs.run (id) ON DELETE CASCADE,
    fence      bigint      NOT NULL,
    attempt    int         NOT NULL,
    owner      text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    ending     text        CONSTRAINT attempt_ending_check
                           CHECK (ending IN ('succeeded', 'failed', 'cancelled', 'postponed', 'lost')),
    reason     text,
    PRIMARY KEY (run_id, fence)
);
COMMENT ON TABLE jobs.attempt IS 'Each time somebody claimed a run, and how that ended.';

CREATE TABLE jobs.run_log (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint      NOT NULL CONSTRAINT run_log_run_fkey REFERENCES jobs.run (id) ON DELETE CASCADE,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    line   text        NOT NULL
);
CREATE INDEX run_log_run ON jobs.run_log (run_id, id);
COMMENT ON TABLE jobs.run_log IS 'The log lines kept with a run, bounded per run.';
