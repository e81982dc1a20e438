-- The lake's catalogue: the tables of the open DuckLake 1.0 format, so that any DuckDB can attach.
-- Names, column order and types are the specification's; keys, checks and indexes are ours.
-- Only the crate `aggregator` writes here. Ids are given out under one row lock (sync.catalogue).

CREATE SCHEMA IF NOT EXISTS lake;
COMMENT ON SCHEMA lake IS 'DuckLake 1.0 catalogue of the facts; written by the aggregator alone';

CREATE TABLE lake.ducklake_metadata (
    key      varchar NOT NULL,
    value    varchar NOT NULL,
    scope    varchar,
    scope_id bigint,
    CONSTRAINT ducklake_metadata_once UNIQUE NULLS NOT DISTINCT (key, scope, scope_id)
);

CREATE TABLE lake.ducklake_snapshot (
    snapshot_id     bigint PRIMARY KEY,
    snapshot_time   timestamptz NOT NULL,
    schema_version  bigint NOT NULL,
    next_catalog_id bigint NOT NULL,
    next_file_id    bigint NOT NULL
);
COMMENT ON TABLE lake.ducklake_snapshot IS 'One committed state of the lake; a report reads exactly one';

CREATE TABLE lake.ducklake_snapshot_changes (
    snapshot_id       bigint PRIMARY KEY,
    changes_made      varchar,
    author            varchar,
    commit_message    varchar,
    commit_extra_info varchar
);
COMMENT ON COLUMN lake.ducklake_snapshot_changes.changes_made IS
    'Only tokens of the specification: DuckDB parses them and stops at an unknown one';

CREATE TABLE lake.ducklake_schema (
    schema_id        bigint PRIMARY KEY,
    schema_uuid      uuid,
    begin_snapshot   bigint,
    end_snapshot     bigint,
    schema_name      varchar,
    path             varchar,
    path_is_relative boolean
);

CREATE TABLE lake.ducklake_table (
    table_id         bigint,
    table_uuid       uuid,
    begin_snapshot   bigint,
    end_snapshot     bigint,
    schema_id        bigint,
    table_name       varchar,
    path             varchar,
    path_is_relative boolean
);
CREATE UNIQUE INDEX ducklake_table_live_name ON lake.ducklake_table (schema_id, table_name) WHERE end_snapshot IS NULL;

CREATE TABLE lake.ducklake_column (
    column_id             bigint,
    begin_snapshot        bigint,
    end_snapshot          bigint,
    table_id              bigint,
    column_order          bigint,
    column_name           varchar,
    column_type           varchar,
    initial_default       varchar,
    default_value         varchar,
    nulls_allowed         boolean,
    parent_column         bigint,
    default_value_type    varchar,
    default_value_dialect varchar,
    CONSTRAINT ducklake_column_once UNIQUE (table_id, column_id, begin_snapshot)
);
CREATE UNIQUE INDEX ducklake_column_live_name ON lake.ducklake_column (table_id, column_name) WHERE end_snapshot IS NULL;

CREATE TABLE lake.ducklake_view (
    view_id        bigint,
    view_uuid      uuid,
    begin_snapshot bigint,
    end_snapshot   bigint,
    schema_id      bigint,
    view_name      varchar,
    dialect        varchar,
    sql            varchar,
    column_aliases varchar
);

CREATE TABLE lake.ducklake_data_file (
    data_file_id     bigint PRIMARY KEY,
    table_id         bigint NOT NULL,
    begin_snapshot   bigint NOT NULL,
    end_snapshot     bigint,
    file_order       bigint,
    path             varchar NOT NULL,
    path_is_relative boolean NOT NULL,
    file_format      varchar,
    record_count     bigint NOT NULL,
    file_size_bytes  bigint NOT NULL,
    footer_size      bigint,
    row_id_start     bigint,
    partition_id     bigint,
    encryption_key   varchar,
    mapping_id       bigint,
    partial_max      bigint,
    CONSTRAINT ducklake_data_file_path_once UNIQUE (table_id, path),
    CONSTRAINT ducklake_data_file_lives_a_while CHECK (end_snapshot > begin_snapshot),
    CONSTRAINT ducklake_data_file_has_rows CHECK (record_count > 0 AND file_size_bytes > 0)
);
CREATE INDEX ducklake_data_file_by_table ON lake.ducklake_data_file (table_id, begin_snapshot, end_snapshot);

CREATE TABLE lake.ducklake_delete_file (
    delete_file_id   bigint PRIMARY KEY,
    table_id         bigint,
    begin_snapshot   bigint,
    end_snapshot     bigint,
    data_file_id     bigint,
    path             varchar,
    path_is_relative boolean,
    format           varchar,
    delete_count     bigint,
    file_size_bytes  bigint,
    footer_size      bigint,
    encryption_key   varchar,
    partial_max      bigint
);

CREATE TABLE lake.ducklake_file_column_stats (
    data_file_id      bigint,
    table_id          bigint,
    column_id         bigint,
    column_size_bytes bigint,
    value_count       bigint,
    null_count        bigint,
    min_value         varchar,
    max_value         varchar,
    contains_nan      boolean,
    extra_stats       varchar,
    PRIMARY KEY (data_file_id, column_id)
);
CREATE INDEX ducklake_file_column_stats_by_table ON lake.ducklake_file_column_stats (table_id, column_id);

CREATE TABLE lake.ducklake_file_variant_stats (
    data_file_id      bigint,
    table_id          bigint,
    column_id         bigint,
    variant_path      varchar,
    shredded_type     varchar,
    column_size_bytes bigint,
    value_count       bigint,
    null_count        bigint,
    min_value         varchar,
    max_value         varchar,
    contains_nan      boolean,
    extra_stats       varchar
);

CREATE TABLE lake.ducklake_table_stats (
    table_id        bigint PRIMARY KEY,
    record_count    bigint,
    next_row_id     bigint,
    file_size_bytes bigint
);

CREATE TABLE lake.ducklake_table_column_stats (
    table_id      bigint,
    column_id     bigint,
    contains_null boolean,
    contains_nan  boolean,
    min_value     varchar,
    max_value     varchar,
    extra_stats   varchar,
    PRIMARY KEY (table_id, column_id)
);
COMMENT ON TABLE lake.ducklake_table_column_stats IS
    'Bounds over every file that ever was; only widened, for DuckDB answers from them without opening a file';

CREATE TABLE lake.ducklake_partition_info (
    partition_id   bigint,
    table_id       bigint,
    begin_snapshot bigint,
    end_snapshot   bigint
);

CREATE TABLE lake.ducklake_partition_column (
    partition_id        bigint,
    table_id            bigint,
    partition_key_index bigint,
    column_id           bigint,
    transform           varchar
);

CREATE TABLE lake.ducklake_file_partition_value (
    data_file_id        bigint,
    table_id            bigint,
    partition_key_index bigint,
    partition_value     varchar,
    PRIMARY KEY (data_file_id, partition_key_index)
);

CREATE TABLE lake.ducklake_files_scheduled_for_deletion (
    data_file_id     bigint,
    path             varchar,
    path_is_relative boolean,
    schedule_start   timestamptz
);

CREATE TABLE lake.ducklake_inlined_data_tables (
    table_id       bigint,
    table_name     varchar,
    schema_version bigint
);

CREATE TABLE lake.ducklake_column_mapping (
    mapping_id bigint,
    table_id   bigint,
    type       varchar
);

CREATE TABLE lake.ducklake_name_mapping (
    mapping_id      bigint,
    column_id       bigint,
    source_name     varchar,
    target_field_id bigint,
    parent_column   bigint,
    is_partition    boolean
);

CREATE TABLE lake.ducklake_schema_versions (
    begin_snapshot bigint,
    schema_version bigint,
    table_id       bigint
);

CREATE TABLE lake.ducklake_tag (
    object_id      bigint,
    begin_snapshot bigint,
    end_snapshot   bigint,
    key            varchar,
    value          varchar
);

CREATE TABLE lake.ducklake_column_tag (
    table_id       bigint,
    column_id      bigint,
    begin_snapshot bigint,
    end_snapshot   bigint,
    key            varchar,
    value          varchar
);

CREATE TABLE lake.ducklake_macro (
    schema_id      bigint,
    macro_id       bigint,
    macro_name     varchar,
    begin_snapshot bigint,
    end_snapshot   bigint
);

CREATE TABLE lake.ducklake_macro_impl (
    macro_id bigint,
    impl_id  bigint,
    dialect  varchar,
    sql      varchar,
    type     varchar
);

CREATE TABLE lake.ducklake_macro_parameters (
    macro_id           bigint,
    impl_id            bigint,
    column_id          bigint,
    parameter_name     varchar,
    parameter_type     varchar,
    default_value      varchar,
    default_value_type varchar
);

CREATE TABLE lake.ducklake_sort_info (
    sort_id        bigint,
    table_id       bigint,
    begin_snapshot bigint,
    end_snapshot   bigint
);

CREATE TABLE lake.ducklake_sort_expression (
    sort_id        bigint,
    table_id       bigint,
    sort_key_index bigint,
    expression     varchar,
    dialect        varchar,
    sort_direction varchar,
    null_order     varchar
);

INSERT INTO lake.ducklake_metadata (key, value) VALUES
    ('version', '1.0'),
    ('created_by', 'Tributary'),
    ('encrypted', 'false');
INSERT INTO lake.ducklake_snapshot VALUES (0, now(), 0, 1, 0);
INSERT INTO lake.ducklake_snapshot_changes (snapshot_id, changes_made) VALUES (0, 'created_schema:"main"');
INSERT INTO lake.ducklake_schema VALUES (0, gen_random_uuid(), 0, NULL, 'main', 'main/', true);
