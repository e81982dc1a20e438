-- Amounts have the digits of the company's currency (ISO 4217): `money` has two, `money(0)` none, `money(3)` three.
CREATE OR REPLACE FUNCTION published.type_of(kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind
        WHEN 'int32' THEN 'integer'
        WHEN 'int64' THEN 'bigint'
        WHEN 'float' THEN 'double precision'
        WHEN 'string' THEN 'text'
        WHEN 'bool' THEN 'boolean'
        WHEN 'date' THEN 'date'
        WHEN 'timestamp' THEN 'timestamptz'
        WHEN 'money' THEN 'numeric(18,2)'
        ELSE 'numeric(18,' || (regexp_match(kind, '^money\(([0-4])\)$'))[1] || ')'
    END
$$;
