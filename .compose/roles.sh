#!/bin/sh
# Roles and database of one service, by least privilege: run by the PostgreSQL image when its data folder is new.
# The same rights as `stack up` gives (a test holds the two together). Migrations name no role.
#
# Wants SERVICE, OWNER_PASSWORD, SERVICE_PASSWORD, and for reporting READER_PASSWORD and LAKE_PASSWORD.
set -eu

run() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
        --set service="$SERVICE" --set owner="${SERVICE}_owner" --set name="${SERVICE}_db" "$@"
}

# The passwords come through the environment of psql, not through its arguments, which anybody may list.
run --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv service_password SERVICE_PASSWORD
CREATE ROLE :owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE :service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'service_password';
CREATE DATABASE :name OWNER :owner;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL

if [ "$SERVICE" = reporting ]; then
    run --dbname postgres <<'SQL'
\getenv reader_password READER_PASSWORD
\getenv lake_password LAKE_PASSWORD
CREATE ROLE grafana_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'reader_password';
CREATE ROLE lake_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'lake_password';
SQL
fi

# grants: every database
run --dbname "${SERVICE}_db" <<'SQL'
REVOKE ALL ON DATABASE :name FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :name TO :service;
GRANT USAGE ON SCHEMA public TO :service;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner GRANT USAGE ON SCHEMAS TO :service;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :service;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner GRANT USAGE, SELECT ON SEQUENCES TO :service;
GRANT pg_read_all_stats TO :service;
SQL

# grants: one schema for each reader
reader() {
    run --dbname "${SERVICE}_db" --set role="$1" --set schema="$2" <<'SQL'
CREATE SCHEMA IF NOT EXISTS :schema AUTHORIZATION :owner;
GRANT CONNECT ON DATABASE :name TO :role;
GRANT USAGE ON SCHEMA :schema TO :role, :service;
ALTER DEFAULT PRIVILEGES FOR ROLE :owner, :service IN SCHEMA :schema GRANT SELECT ON TABLES TO :role;
GRANT SELECT ON ALL TABLES IN SCHEMA :schema TO :role;
SQL
}

if [ "$SERVICE" = reporting ]; then
    reader grafana_reader reports
    reader lake_reader lake
fi
