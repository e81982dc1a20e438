-- A data file whose rows have partly gone has one delete file at a time: every reader looks for it, and a second live
-- one would leave it to chance which rows are seen.
CREATE UNIQUE INDEX ducklake_delete_file_one_at_a_time ON lake.ducklake_delete_file (data_file_id)
    WHERE end_snapshot IS NULL;
CREATE INDEX ducklake_delete_file_by_data_file ON lake.ducklake_delete_file (data_file_id, begin_snapshot);
ALTER TABLE lake.ducklake_delete_file
    ADD CONSTRAINT ducklake_delete_file_path_once UNIQUE (table_id, path),
    ADD CONSTRAINT ducklake_delete_file_lives_a_while CHECK (end_snapshot > begin_snapshot),
    ADD CONSTRAINT ducklake_delete_file_marks_rows CHECK (delete_count > 0 AND file_size_bytes > 0);
