-- How far a source was behind when it was asked, and not when what it told had been committed: the first poll of a
-- large source takes minutes, in which nothing is held back.

ALTER TABLE sync.source ADD COLUMN asked_at timestamptz;
COMMENT ON COLUMN sync.source.asked_at IS 'When the head was asked for that complete_through came from; the difference is the lag of the source itself';
