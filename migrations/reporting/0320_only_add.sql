-- What was published may be added to and read, not changed: by right as well as by trigger. No role is named here:
-- whoever was granted more than that by default, but for the owner, loses it.

CREATE FUNCTION published.only_add(of_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    holder text;
BEGIN
    FOR holder IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = of_table AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES ON %s FROM %s', of_table, holder);
    END LOOP;
END $$;
COMMENT ON FUNCTION published.only_add IS 'Leaves everybody but the owner no right to change or remove rows of a table.';

SELECT published.only_add('published.revision');
SELECT published.only_add('published.report_version');
SELECT published.only_add(format('published.%I', table_name)::regclass) FROM published.report_version;

-- As before, and a new table is closed to changes before its first row.
CREATE OR REPLACE FUNCTION published.ensure_version(of_report text, wanted jsonb) RETURNS integer
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
    PERFORM published.only_add(format('published.%I', new_table)::regclass);
    INSERT INTO published.report_version (report, version, columns, table_name) VALUES (of_report, held, wanted, new_table);
    PERFORM published.refresh_view(of_report);
    RETURN held;
END $$;
