-- What was published, for ever: one row per revision in published.revision, the rows of a report
-- in one typed table per report and version, and one view per report in schema reports that shows
-- the current revision of every business day. Nothing here is ever changed: triggers refuse it, so
-- that an auditor need not trust the program.

CREATE SCHEMA IF NOT EXISTS published;
CREATE SCHEMA IF NOT EXISTS reports;

CREATE TABLE published.report_version (
    report     text        NOT NULL,
    version    integer     NOT NULL,
    -- [{"name", "type"}] in the order of the report.
    columns    jsonb       NOT NULL,
    table_name text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT report_version_pkey PRIMARY KEY (report, version),
    CONSTRAINT report_version_table_once UNIQUE (table_name),
    CONSTRAINT report_version_counts_from_one CHECK (version >= 1)
);
COMMENT ON TABLE published.report_version IS
    'A set of columns that a report has or had; a report whose columns change gets a new version and keeps the old ones readable.';

CREATE TABLE published.revision (
    revision_id  bigint      GENERATED ALWAYS AS IDENTITY,
    report       text        NOT NULL,
    business_day date        NOT NULL,
    revision     integer     NOT NULL,
    version      integer     NOT NULL,
    state        text        NOT NULL,
    missing      jsonb       NOT NULL,
    parameters   jsonb       NOT NULL,
    snapshot     bigint      NOT NULL,
    sources      jsonb       NOT NULL,
    currency     text        NOT NULL,
    row_count    bigint      NOT NULL,
    digest       text        NOT NULL,
    cause        jsonb,
    generated_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    -- Rows may join a revision only in the transaction that made it.
    made_by      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT revision_pkey PRIMARY KEY (report, business_day, revision),
    CONSTRAINT revision_id_once UNIQUE (revision_id),
    CONSTRAINT revision_version_fkey FOREIGN KEY (report, version) REFERENCES published.report_version,
    CONSTRAINT revision_counts_from_one CHECK (revision >= 1),
    CONSTRAINT revision_state_known CHECK (state IN ('provisional', 'final')),
    CONSTRAINT revision_final_misses_nothing CHECK (state = 'provisional' OR missing = '[]'),
    CONSTRAINT revision_digest_sha256 CHECK (digest ~ '^[0-9a-f]{64}$')
);
CREATE INDEX revision_by_version ON published.revision (report, version);
CREATE INDEX revision_by_time ON published.revision (published_at DESC);
COMMENT ON TABLE published.revision IS
    'What a report said about a business day, numbered from 1; immutable.';
COMMENT ON COLUMN published.revision.digest IS 'SHA-256 over columns, rows (floats rounded), state and what is missing.';

CREATE FUNCTION published.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was published is never changed: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION published.refuse_late_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT revision_id FROM late_rows) l
        JOIN published.revision r USING (revision_id)
        WHERE r.made_by <> pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'rows join a revision only in the transaction that makes it'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER revision_immutable BEFORE UPDATE OR DELETE ON published.revision
    FOR EACH ROW EXECUTE FUNCTION published.refuse_change();
CREATE TRIGGER revision_kept BEFORE TRUNCATE ON published.revision
    FOR EACH STATEMENT EXECUTE FUNCTION published.refuse_change();
CREATE TRIGGER report_version_immutable BEFORE UPDATE OR DELETE ON published.report_version
    FOR EACH ROW EXECUTE FUNCTION published.refuse_change();
CREATE TRIGGER report_version_kept BEFORE TRUNCATE ON published.report_version
    FOR EACH STATEMENT EXECUTE FUNCTION published.refuse_change();

-- The PostgreSQL type of a report's column; money is a decimal from here on.
CREATE FUNCTION published.type_of(kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind
        WHEN 'int32' THEN 'integer'
        WHEN 'int64' THEN 'bigint'
        WHEN 'float' THEN 'double precision'
        WHEN 'string' THEN 'text'
        WHEN 'bool' THEN 'boolean'
        WHEN 'date' THEN 'date'
        WHEN 'timestamp' THEN 'timestamptz'
        WHEN 'money' THEN 'numeric(18,2)'
    END
$$;

-- Makes the view of a report anew: every version's rows in the newest version's columns. A column
-- that a version lacks, or has in another type, is NULL there.
CREATE FUNCTION published.refresh_view(of_report text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    newest jsonb;
    held record;
    branches text[] := '{}';
BEGIN
    SELECT columns INTO newest FROM published.report_version WHERE report = of_report ORDER BY version DESC LIMIT 1;
    FOR held IN SELECT version, columns, table_name FROM published.report_version WHERE report = of_report ORDER BY version LOOP
        branches := branches || (
            SELECT format(
                'SELECT r.business_day, r.revision, r.state, r.generated_at, %s FROM published.revision r JOIN published.%I d USING (revision_id)
                 WHERE r.report = %L AND r.version = %s AND NOT EXISTS (
                     SELECT FROM published.revision later
                     WHERE later.report = r.report AND later.business_day = r.business_day AND later.revision > r.revision)',
                string_agg(
                    CASE WHEN held.columns @> jsonb_build_array(wanted.spec)
                         THEN format('d.%I', wanted.spec->>'name')
                         ELSE format('NULL::%s AS %I', published.type_of(wanted.spec->>'type'), wanted.spec->>'name') END,
                    ', ' ORDER BY wanted.place),
                held.table_name, of_report, held.version)
            FROM jsonb_array_elements(newest) WITH ORDINALITY AS wanted(spec, place));
    END LOOP;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW reports.%I AS %s', of_report, array_to_string(branches, ' UNION ALL '));
    EXCEPTION WHEN invalid_table_definition THEN
        -- Columns left or changed their type; a view that somebody built upon this one stops us here, loudly.
        EXECUTE format('DROP VIEW reports.%I', of_report);
        EXECUTE format('CREATE VIEW reports.%I AS %s', of_report, array_to_string(branches, ' UNION ALL '));
    END;
END $$;

-- The version of a report with just these columns; made, with its table and view, if it is new.
-- Runs with the owner's rights: the service may add rows, but owns nothing that it could alter.
CREATE FUNCTION published.ensure_version(of_report text, wanted jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    held integer;
    held_columns jsonb;
    new_table text;
    column_list text;
BEGIN
    IF of_report !~ '^[a-z][a-z0-9_]{0,47}$' THEN
        RAISE EXCEPTION 'no name for a report: %', of_report USING ERRCODE = 'invalid_name';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('published.version/' || of_report, 0));
    SELECT version, columns INTO held, held_columns FROM published.report_version
    WHERE report = of_report ORDER BY version DESC LIMIT 1;
    IF held_columns = wanted THEN
        RETURN held;
    END IF;
    held := coalesce(held, 0) + 1;
    new_table := format('%s_v%s', of_report, held);
    SELECT string_agg(format('%I %s', spec->>'name', published.type_of(spec->>'type')), ', ' ORDER BY place) INTO column_list
    FROM jsonb_array_elements(wanted) WITH ORDINALITY AS w(spec, place);
    EXECUTE format(
        'CREATE TABLE published.%I (revision_id bigint NOT NULL REFERENCES published.revision (revision_id),
         row_no integer NOT NULL, %s, PRIMARY KEY (revision_id, row_no))', new_table, column_list);
    EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON published.%I
                    FOR EACH ROW EXECUTE FUNCTION published.refuse_change()', new_table);
    EXECUTE format('CREATE TRIGGER kept BEFORE TRUNCATE ON published.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION published.refuse_change()', new_table);
    EXECUTE format('CREATE TRIGGER whole AFTER INSERT ON published.%I REFERENCING NEW TABLE AS late_rows
                    FOR EACH STATEMENT EXECUTE FUNCTION published.refuse_late_rows()', new_table);
    INSERT INTO published.report_version (report, version, columns, table_name) VALUES (of_report, held, wanted, new_table);
    PERFORM published.refresh_view(of_report);
    RETURN held;
END $$;
