//! Roles and databases of a cluster, by least privilege. Safe to repeat: every start brings a cluster to this state.
//!
//! The owner migrates; the service role reads and writes rows and cannot change a table; a reader sees one schema.
//! Migrations name no role: default privileges give each role what it needs of what the owner creates.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::databases::Database;
use crate::error::{Error, Result};
use crate::postgres::Cluster;
use crate::secrets::{SUPERUSER, Secrets};

/// Creates roles and database, sets the passwords of the data folder, and grants.
///
/// # Errors
/// [`Error::Database`] when the cluster cannot be reached as its superuser or refuses a statement.
pub async fn provision(cluster: &Cluster, secrets: &Secrets) -> Result<()> {
    let database = cluster.database;
    let mut server = connect(cluster, SUPERUSER, secrets).await?;
    for role in database.roles() {
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(&role)
            .fetch_one(&mut server)
            .await
            .map_err(Error::database(database.name, "look for its roles"))?;
        let verb = if exists { "ALTER" } else { "CREATE" };
        let password = secrets.password(database.name, &role);
        run(
            &mut server,
            database,
            format!("{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}'"),
        )
        .await?;
    }
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database.name)
        .fetch_one(&mut server)
        .await
        .map_err(Error::database(database.name, "look for itself"))?;
    if !exists {
        run(&mut server, database, format!("CREATE DATABASE {} OWNER {}", database.name, database.owner())).await?;
    }
    run(&mut server, database, "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC".to_owned()).await?;
    drop(server);
    let mut inside = connect(cluster, database.name, secrets).await?;
    run(&mut inside, database, grants(database)).await
}

async fn connect(cluster: &Cluster, name: &str, secrets: &Secrets) -> Result<PgConnection> {
    PgConnection::connect_with(&cluster.connect(name, SUPERUSER, secrets))
        .await
        .map_err(Error::database(cluster.database.name, "connect as its superuser"))
}

async fn run(connection: &mut PgConnection, database: Database, sql: String) -> Result<()> {
    // Made of this crate's own names and of passwords that are letters and digits only.
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(Error::database(database.name, "set up its roles"))
}

/// What each role may do in its database, as one batch of statements.
pub fn grants(database: Database) -> String {
    let (name, service, owner) = (database.name, database.service, database.owner());
    let mut sql = format!(
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC;
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         GRANT CONNECT ON DATABASE {name} TO {service};
         GRANT USAGE ON SCHEMA public TO {service};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {service};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE, SELECT ON SEQUENCES TO {service};
         -- The feed's `as_of` must see when other roles' transactions began.
         GRANT pg_read_all_stats TO {service};
"
    );
    for reader in database.readers {
        let (role, schema) = (reader.role, reader.schema);
        // The schema is made here and not first by a migration: its default privileges must be in force before
        // the first table or view is created in it.
        sql.push_str(&format!(
            "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner};
             GRANT CONNECT ON DATABASE {name} TO {role};
             GRANT USAGE ON SCHEMA {schema} TO {role}, {service};
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {service} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
"
        ));
    }
    sql
}
