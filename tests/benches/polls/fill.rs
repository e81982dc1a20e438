//! A year of history, written straight into the services' own databases: importing ten million lines is another
//! bench's work.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use system_tests::Stack;

/// Documents per transaction: stamps differ from one to the next, as they do when history grows.
const AT_ONCE: u64 = 100_000;

/// Four fifths of the lines in shops, one fifth online, spread evenly over the year before now.
pub(super) async fn history(stack: &Stack, rows: u64, lines: u64) -> Result<()> {
    let (sales, orders) = (rows / 5 * 4 / lines, rows / 5 / lines);
    let mut retail = connect(stack, "retail_db").await?;
    let stores = "INSERT INTO stores (id, code, name, city, time_zone) OVERRIDING SYSTEM VALUE
         SELECT g, 'S' || g, 'Shop ' || g, 'City ' || g % 20,
                (ARRAY['America/St_Johns', 'America/Toronto', 'America/Vancouver'])[1 + g % 3]
         FROM generate_series(1, 50) g";
    let registers = "INSERT INTO registers (id, store_id, number) OVERRIDING SYSTEM VALUE
         SELECT (s - 1) * 4 + r, s, r FROM generate_series(1, 50) s, generate_series(1, 4) r";
    run(&mut retail, &format!("{stores}; {registers}")).await?;
    for first in (1..=sales).step_by(usize::try_from(AT_ONCE)?) {
        let last = sales.min(first + AT_ONCE - 1);
        let documents = format!(
            "INSERT INTO sales (id, reference, kind, status, receipt_number, store_id, register_id, occurred_at,
                                time_zone, local_time, total_cents, imported)
             OVERRIDING SYSTEM VALUE
             SELECT g, 'import:' || g, 'sale', 'completed', 'R' || g % 50 || '-' || g, 1 + g % 50, 1 + g % 50 * 4,
                    at, zone, at AT TIME ZONE zone, 1000, true
             FROM generate_series({first}, {last}) g,
                  LATERAL (SELECT now() - interval '1 year' + (interval '1 year' / {sales}) * g,
                                  (ARRAY['America/St_Johns', 'America/Toronto', 'America/Vancouver'])[1 + (1 + g % 50) % 3])
                    AS place (at, zone)"
        );
        let of_documents = lines_of("sale_lines", "sale_id", first, last, lines);
        run(&mut retail, &format!("BEGIN; {documents}; {of_documents}; COMMIT")).await?;
    }
    run(&mut retail, "VACUUM ANALYZE").await?;
    let mut ecommerce = connect(stack, "ecommerce_db").await?;
    let customers = "INSERT INTO customers (id, name, email, city, country, signup_day) OVERRIDING SYSTEM VALUE
         SELECT g, 'C' || g, g || '@example.org', 'City ' || g % 20, 'CA', DATE '2025-01-01'
         FROM generate_series(1, 1000) g";
    run(&mut ecommerce, customers).await?;
    for first in (1..=orders).step_by(usize::try_from(AT_ONCE)?) {
        let last = orders.min(first + AT_ONCE - 1);
        let documents = format!(
            "INSERT INTO orders (id, reference, customer_id, status, payment_status, occurred_at, time_zone,
                                 local_time, delivered_at, total_cents, imported)
             OVERRIDING SYSTEM VALUE
             SELECT g, 'import:' || g, 1 + g % 1000, 'delivered', 'paid', at, 'America/Toronto',
                    at AT TIME ZONE 'America/Toronto', now(), 1000, true
             FROM generate_series({first}, {last}) g,
                  LATERAL (SELECT now() - interval '1 year' + (interval '1 year' / {orders}) * g) AS place (at)"
        );
        let of_documents = lines_of("order_lines", "order_id", first, last, lines);
        run(&mut ecommerce, &format!("BEGIN; {documents}; {of_documents}; COMMIT")).await?;
    }
    run(&mut ecommerce, "VACUUM ANALYZE").await
}

fn lines_of(table: &str, key: &str, first: u64, last: u64, lines: u64) -> String {
    format!(
        "INSERT INTO {table} ({key}, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
                              unit_cost_cents, discount_cents)
         SELECT g, l, 1 + (g * 7 + l) % 2000, 'SKU-' || 1 + (g * 7 + l) % 2000, 'Product ' || 1 + (g * 7 + l) % 2000,
                'Category ' || (g + l) % 12, 1 + (g + l) % 5, 500 + (g * l) % 5000, 300, CASE WHEN g % 9 = 0 THEN 50 ELSE 0 END
         FROM generate_series({first}, {last}) g, generate_series(1, {lines}) l"
    )
}

/// As the one role that may leave triggers and foreign keys aside: both are about single documents.
async fn connect(stack: &Stack, database: &str) -> Result<PgConnection> {
    let mut connection = PgConnection::connect(&stack.url(database, "postgres")).await?;
    run(&mut connection, "SET session_replication_role = replica").await?;
    Ok(connection)
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
