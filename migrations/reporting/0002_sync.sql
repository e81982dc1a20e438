-- What the aggregator remembers about its sources: cursors, polls, what is staged and not yet
-- committed, files that exist without a catalogue entry, and rows that did not fit.
-- Only the crate `aggregator` writes here; the jobs crate copies a poll's outcome into its own row.

CREATE SCHEMA sync;
COMMENT ON SCHEMA sync IS 'State of polling; written by the aggregator alone';

-- The one row that every commit to the catalogue locks before it gives out an id.
CREATE TABLE sync.catalogue (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one)
);
INSERT INTO sync.catalogue DEFAULT VALUES;

CREATE TABLE sync.source (
    name             text PRIMARY KEY,
    declaration      text,
    etag             text,
    epoch            text,
    horizon          text,
    complete_through timestamptz,
    last_success     timestamptz,
    last_attempt     timestamptz,
    failures         bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    error            text
);
COMMENT ON COLUMN sync.source.declaration IS 'Digest of the datasets declared when etag was taken; another declaration asks again';
COMMENT ON COLUMN sync.source.complete_through IS 'Every change the source committed before this instant is in the lake';
COMMENT ON COLUMN sync.source.failures IS 'Polls failed since the last success';

CREATE TABLE sync.cursor (
    source   text NOT NULL,
    dataset  text PRIMARY KEY,
    cursor   text NOT NULL,
    shape    text NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    moved_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sync.cursor IS 'Where each dataset''s feed goes on; moves in the transaction that commits what was read up to it';
COMMENT ON COLUMN sync.cursor.revision IS 'Raised by every commit to the dataset''s rows; a commit that finds another value started from an old base';

CREATE TABLE sync.poll (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source           text NOT NULL,
    started_at       timestamptz NOT NULL,
    finished_at      timestamptz NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('unchanged', 'committed', 'failed')),
    complete_through timestamptz,
    snapshot_id      bigint,
    rows_read        bigint NOT NULL DEFAULT 0,
    rows_added       bigint NOT NULL DEFAULT 0,
    rows_changed     bigint NOT NULL DEFAULT 0,
    rows_removed     bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    pages            bigint NOT NULL DEFAULT 0,
    bytes            bigint NOT NULL DEFAULT 0,
    resumed          boolean NOT NULL DEFAULT false,
    error            text,
    CONSTRAINT poll_failed_has_reason CHECK ((outcome = 'failed') = (error IS NOT NULL))
);
CREATE INDEX poll_by_source ON sync.poll (source, finished_at DESC);
CREATE INDEX poll_by_age ON sync.poll (finished_at);

-- A poll in progress. At most one per source; whoever finds one goes on with it.
CREATE TABLE sync.staged_poll (
    source      text PRIMARY KEY,
    poll        uuid NOT NULL UNIQUE,
    declaration text NOT NULL,
    head        text NOT NULL,
    etag        text NOT NULL,
    epoch       text NOT NULL,
    horizon     text NOT NULL,
    as_of       timestamptz NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sync.staged_dataset (
    poll       uuid NOT NULL REFERENCES sync.staged_poll (poll) ON DELETE CASCADE,
    dataset    text NOT NULL,
    whole      boolean NOT NULL,
    old_cursor text,
    PRIMARY KEY (poll, dataset)
);
COMMENT ON COLUMN sync.staged_dataset.whole IS 'The dataset is read from its start: at the commit, keys that did not come are dropped';

CREATE TABLE sync.staged_part (
    poll          uuid NOT NULL,
    dataset       text NOT NULL,
    part          integer NOT NULL CHECK (part >= 0),
    path          text,
    rows_read     bigint NOT NULL CHECK (rows_read >= 0),
    bytes         bigint NOT NULL CHECK (bytes >= 0),
    days          jsonb NOT NULL DEFAULT '{}',
    next_cursor   text,
    resume_cursor text NOT NULL,
    PRIMARY KEY (poll, dataset, part),
    FOREIGN KEY (poll, dataset) REFERENCES sync.staged_dataset (poll, dataset) ON DELETE CASCADE
);
COMMENT ON COLUMN sync.staged_part.path IS 'Parquet file under the lake folder; NULL for a page without rows';
COMMENT ON COLUMN sync.staged_part.days IS 'Rows per business day in the file, so that a commit reads only what it merges';
COMMENT ON COLUMN sync.staged_part.next_cursor IS 'Where the next page begins; NULL when this was the last';

CREATE TABLE sync.pending_file (
    path       text PRIMARY KEY,
    fence      bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sync.pending_file IS
    'Files under the lake folder that no catalogue row names yet; written before the file is. The sweep removes those whose fence (an advisory lock) nobody holds and that no staged part names';

CREATE TABLE sync.changed_day (
    snapshot_id  bigint NOT NULL,
    source       text NOT NULL,
    dataset      text NOT NULL,
    business_day date,
    added        bigint NOT NULL CHECK (added >= 0),
    changed      bigint NOT NULL CHECK (changed >= 0),
    removed      bigint NOT NULL CHECK (removed >= 0),
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT changed_day_once UNIQUE NULLS NOT DISTINCT (snapshot_id, dataset, business_day),
    CONSTRAINT changed_day_not_empty CHECK (added + changed + removed > 0)
);
COMMENT ON TABLE sync.changed_day IS 'What each snapshot changed, by business day (NULL for a dataset without one): the cause of a restatement';
CREATE INDEX changed_day_by_day ON sync.changed_day (dataset, business_day);

CREATE TABLE sync.quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    dataset     text NOT NULL,
    poll        uuid NOT NULL,
    cursor      text,
    row_number  bigint NOT NULL CHECK (row_number > 0),
    column_name text NOT NULL,
    reason      text NOT NULL,
    key         text,
    header      text NOT NULL,
    raw         text NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution  text,
    CONSTRAINT quarantine_resolved_has_how CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
COMMENT ON TABLE sync.quarantine IS 'Rows that did not fit their declared type, as they came';
COMMENT ON COLUMN sync.quarantine.key IS 'The row''s key, when that much of it fits: a later delivery of the key that fits resolves this one';
CREATE UNIQUE INDEX quarantine_open_once ON sync.quarantine (dataset, md5(header || raw)) WHERE resolved_at IS NULL;
CREATE INDEX quarantine_open_by_source ON sync.quarantine (source) WHERE resolved_at IS NULL;
