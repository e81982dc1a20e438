-- A source of an earlier version may lack datasets and columns that a declaration calls optional. What a poll did not
-- find is noted with it, so that who goes on with it asks for the same, and with the source, so that reports can say so.

ALTER TABLE sync.staged_poll ADD COLUMN absent text[] NOT NULL DEFAULT '{}';
ALTER TABLE sync.source ADD COLUMN absent text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN sync.staged_poll.absent IS 'What the head does not offer of what is declared: dataset, or dataset.column';
COMMENT ON COLUMN sync.source.absent IS 'What the lake lacks because the source''s version does not offer it: dataset, or dataset.column';
