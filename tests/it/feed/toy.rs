//! A service of two small tables, served by the real `kit`: documents with lines, and items that change all the time.

use std::net::SocketAddr;

use kit::config::{ServiceConfig, Vars};
use kit::feed::{Column, Dataset, Feed, Lines, Type};
use kit::serve::Api;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, OWNER, SERVICE};

pub(crate) const TOKEN: &str = "0123456789abcdef0123";

const FEED_SQL: &str = include_str!("../../../migrations/retail/0001_feed.sql");

const TABLES: &str = "
    CREATE TABLE docs (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        status      text        NOT NULL DEFAULT 'completed',
        version     integer     NOT NULL DEFAULT 1,
        deleted     boolean     NOT NULL DEFAULT false,
        occurred_at timestamptz NOT NULL DEFAULT now(),
        time_zone   text        NOT NULL DEFAULT 'Europe/Berlin',
        change_xid  xid8        NOT NULL
    );
    CREATE INDEX docs_change_xid_idx ON docs (change_xid, id);
    CREATE TABLE doc_lines (
        doc_id  bigint NOT NULL REFERENCES docs,
        code    text   NOT NULL,
        cents   bigint NOT NULL,
        note    text,
        PRIMARY KEY (doc_id, code)
    );
    CREATE TABLE items (
        sku        text PRIMARY KEY,
        version    integer NOT NULL DEFAULT 1,
        change_xid xid8    NOT NULL
    );
    CREATE INDEX items_change_xid_idx ON items (change_xid, sku);

    CREATE TRIGGER docs_stamp BEFORE INSERT OR UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION feed_stamp();
    CREATE TRIGGER docs_keep_occurrence BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION feed_keep_occurrence();
    CREATE TRIGGER docs_refuse_delete BEFORE DELETE ON docs FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
    CREATE TRIGGER docs_refuse_truncate BEFORE TRUNCATE ON docs FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_removal();
    CREATE TRIGGER doc_lines_touch_insert AFTER INSERT ON doc_lines REFERENCING NEW TABLE AS feed_lines
        FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('docs', 'id', 'doc_id');
    CREATE TRIGGER doc_lines_touch_update AFTER UPDATE ON doc_lines REFERENCING NEW TABLE AS feed_lines
        FOR EACH STATEMENT EXECUTE FUNCTION feed_touch_header('docs', 'id', 'doc_id');
    CREATE TRIGGER items_stamp BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION feed_stamp();
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO toy;
";

const fn lines(version: u32, columns: &'static [Column]) -> Dataset {
    Dataset {
        name: "doc_lines",
        version,
        from: "docs d",
        lines: Some(Lines { from: "doc_lines l", of: "l.doc_id = d.id" }),
        xid: "d.change_xid",
        key: &["doc_id", "code"],
        columns,
        deleted: "d.deleted",
    }
}

const ITEMS: Dataset = Dataset {
    name: "items",
    version: 1,
    from: "items i",
    lines: None,
    xid: "i.change_xid",
    key: &["sku"],
    columns: &[Column::new("sku", Type::String, "i.sku"), Column::new("version", Type::Int32, "i.version")],
    deleted: "false",
};

/// What the toy offers.
pub(crate) static DATASETS: [Dataset; 2] = [
    lines(
        1,
        &[
            Column::new("doc_id", Type::Int64, "d.id"),
            Column::new("code", Type::String, "l.code"),
            Column::new("status", Type::String, "d.status"),
            Column::new("version", Type::Int32, "d.version"),
            Column::new("occurred_at", Type::Timestamp, "d.occurred_at"),
            Column::new("business_day", Type::Date, "(d.occurred_at AT TIME ZONE d.time_zone)::date"),
            Column::new("cents", Type::Money, "l.cents"),
            Column::new("note", Type::String, "l.note"),
            Column::new("voided", Type::Bool, "(d.status = 'voided')"),
        ],
    ),
    ITEMS,
];

/// The toy after a deployment that added a column and told so by the version.
pub(crate) static NEWER: [Dataset; 2] = [
    lines(
        2,
        &[
            Column::new("doc_id", Type::Int64, "d.id"),
            Column::new("code", Type::String, "l.code"),
            Column::new("status", Type::String, "d.status"),
            Column::new("time_zone", Type::String, "d.time_zone"),
        ],
    ),
    ITEMS,
];

/// Creates the toy's tables, as their owner.
pub(crate) async fn migrate(cluster: &Cluster) {
    let owner = cluster.pool(OWNER, "toy", &[]).await;
    for text in [FEED_SQL, TABLES] {
        sqlx::raw_sql(text).execute(&owner).await.expect("the toy's tables");
    }
    owner.close().await;
}

/// The running service; it stops when this is dropped.
pub(crate) struct Toy {
    pub(crate) address: SocketAddr,
    pub(crate) feed: Feed,
    pub(crate) pool: PgPool,
    stop: CancellationToken,
}

impl Toy {
    /// Serves `datasets` from the cluster.
    pub(crate) async fn serve(cluster: &Cluster, datasets: &'static [Dataset]) -> Self {
        // A session that forgets its transaction is ended soon here, so that a test can see it.
        let pool = cluster.pool(SERVICE, "toy", &[("idle_in_transaction_session_timeout", "4s")]).await;
        let feed = Feed::new(pool.clone(), datasets);
        let pairs =
            [("TOY_LISTEN", "127.0.0.1:0"), ("TOY_DATABASE_URL", "postgres://unused"), ("TOY_GATEWAY_TOKEN", TOKEN)];
        let mut vars = Vars::from_map("TOY_", pairs);
        let mut config = ServiceConfig::read(&mut vars).expect("a configuration");
        config.drain = std::time::Duration::from_secs(1);
        let listener = kit::serve::bind(&config).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Api::new("toy", "A service of two tables.").streams(feed.router()).build(&config);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move { kit::serve::serve(listener, app, &config, stopping).await });
        Self { address, feed, pool, stop }
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
