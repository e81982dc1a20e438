-- What a poll found of a source's past: a dataset that is held back because a full refresh of it would drop too many rows,
-- and what had to be read anew because the source's history is another one, or was changed past its feed. A version
-- before leaves these tables as they are, and fails a poll as a whole where this one holds a dataset back.

ALTER TABLE sync.staged_poll ADD COLUMN rewritten boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sync.staged_poll.rewritten IS 'Whether it reads everything because the source''s history is another one than before';

CREATE TABLE sync.held (
    dataset          text CONSTRAINT held_once PRIMARY KEY,
    source           text NOT NULL,
    since            timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    complete_through timestamptz,
    dropped          bigint NOT NULL,
    existing         bigint NOT NULL,
    allowed          double precision NOT NULL
);
COMMENT ON TABLE sync.held IS 'Datasets that stay as they were, because a full refresh would drop more of their rows than is allowed';
COMMENT ON COLUMN sync.held.tried_at IS 'When it was last read; it is read again an hour later, or when an operator asks';
COMMENT ON COLUMN sync.held.complete_through IS 'How far its source was complete when it was held back first: so far the dataset is';
COMMENT ON COLUMN sync.held.dropped IS 'Rows of the lake that the full refresh did not bring';
COMMENT ON COLUMN sync.held.existing IS 'Rows of the lake';
COMMENT ON COLUMN sync.held.allowed IS 'The share of them that may be dropped without an operator''s word';
CREATE INDEX held_by_source ON sync.held (source);

CREATE TABLE sync.rewritten (
    id          bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT rewritten_id PRIMARY KEY,
    source      text NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    snapshot_id bigint,
    facts       jsonb NOT NULL
);
COMMENT ON TABLE sync.rewritten IS 'When a source''s history was found to be another one than before, so that everything was read again';
COMMENT ON COLUMN sync.rewritten.snapshot_id IS 'The snapshot that the reading made; none where it changed nothing';
COMMENT ON COLUMN sync.rewritten.facts IS 'By dataset: the rows added, changed and removed, with their days';
CREATE INDEX rewritten_by_time ON sync.rewritten (found_at);
