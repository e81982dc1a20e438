-- A file that is withdrawn is as if it had never come: the documents that it had corrected are again what they were before.

CREATE TABLE movement_corrections (
    reference text NOT NULL,
    import_id bigint NOT NULL,
    earlier_import_id bigint,
    reason text,
    occurred_at timestamptz,
    time_zone text,
    movements bigint[] NOT NULL,
    CONSTRAINT movement_corrections_pkey PRIMARY KEY (reference, import_id),
    CONSTRAINT movement_corrections_document_fkey FOREIGN KEY (reference) REFERENCES movement_documents (reference)
);
COMMENT ON TABLE movement_corrections IS
    'What an import took the place of: the document as it was before, until that import or the earlier one is withdrawn.';
COMMENT ON COLUMN movement_corrections.import_id IS 'The import that corrected the document.';
COMMENT ON COLUMN movement_corrections.earlier_import_id IS 'The import that had written it before; none where that was before they were numbered.';
COMMENT ON COLUMN movement_corrections.movements IS 'Its movements, which are deleted.';
CREATE INDEX movement_corrections_import ON movement_corrections (import_id, reference);
CREATE INDEX movement_corrections_earlier ON movement_corrections (earlier_import_id, reference);

COMMENT ON TABLE imports IS
    'One row per file that was sent. Counts are rows of the file. The import that runs is the one whose process holds the advisory lock; each of its transactions commits only while its state here is as it left it.';
