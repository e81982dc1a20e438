-- Which file an import brought: only the same one finishes what it left half done.

ALTER TABLE imports ADD COLUMN file bytea;
COMMENT ON COLUMN imports.file IS
    'Digest of the rows, in whatever order, and of how they were to be applied; none of kinds that cannot be withdrawn, and of versions that did not note it.';
COMMENT ON COLUMN imports.unfinished_since IS
    'Since when its documents are applied in part: the change feed says that it is complete up to this moment and no further. Kept by an interrupted import that applied something, until the same file is finished or the import withdrawn; where no file is noted, until one of its kind is finished.';
