//! The version before runs beside the newer one while it is replaced, and comes back: what it asks of its database is
//! answered on today's schema.

use serde_json::json;
use sqlx::AssertSqlSafe;
use system_tests::wait_until;

use crate::shop::{PATIENCE, Shop, shared_services};

/// Every statement of the first version, by service.
const ASKED: [(&str, &str); 3] = [
    ("retail", include_str!("older/retail.sql")),
    ("ecommerce", include_str!("older/ecommerce.sql")),
    ("inventory", include_str!("older/inventory.sql")),
];

fn statements(service: &str) -> Vec<String> {
    let (_, text) = ASKED.iter().find(|(name, _)| *name == service).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    lines.join("\n").split(';').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// The one statement that begins so.
fn statement(service: &str, beginning: &str) -> String {
    let mut found = statements(service).into_iter().filter(|it| it.starts_with(beginning));
    let statement = found.next().unwrap_or_else(|| panic!("none begins with {beginning}"));
    assert_eq!(found.next(), None, "{beginning}");
    statement
}

#[tokio::test]
async fn every_statement_of_the_first_version_is_planned_on_todays_schema() {
    let stack = shared_services().await;
    for (service, _) in ASKED {
        let pool = stack.pool_as(&format!("{service}_db"), service).await;
        let mut connection = pool.acquire().await.unwrap();
        sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut *connection).await.unwrap();
        let statements = statements(service);
        assert!(statements.len() > 40, "{service}: {}", statements.len());
        for (number, statement) in statements.iter().enumerate() {
            let parameters = (1..=40).take_while(|at| statement.contains(&format!("${at}"))).count();
            let nulls =
                if parameters > 0 { format!("({})", ["NULL"].repeat(parameters).join(",")) } else { String::new() };
            let sql = format!("PREPARE q{number} AS {statement}; EXPLAIN EXECUTE q{number}{nulls}");
            let planned = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
            planned.unwrap_or_else(|error| panic!("{service}: {error}: {statement}"));
        }
    }
}

/// A reference that was given up by a document is free for the version before, too, and one that is taken is taken.
#[tokio::test]
async fn what_the_first_version_imports_goes_in_beside_what_was_taken_back() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 0).await;
    let (office, code) = (&shop.backoffice, shop.code.as_str());
    let customer = format!("reference,name,signup_day\n{code},Ann,2026-01-01\n");
    office.import("/ecommerce/api/v1/customers/import", customer).await;
    let order = |of: &str| {
        let row = format!("{code}-{of},{code},delivered,paid,2026-02-01T10:00:00Z,1,{code}-0,2,9.99");
        format!(
            "reference,customer_reference,status,payment_status,occurred_at,line_no,sku,quantity,unit_price\n{row}\n"
        )
    };
    let movement = |of: &str| {
        let row = format!("{code}-{of},sale,{code}-0,{code},-2,2026-01-02T10:00:00Z,UTC");
        format!("reference,reason,sku,location_code,quantity,occurred_at,time_zone\n{row}\n")
    };
    let sale = |of: &str| {
        let row = format!("{code}-{of},sale,{code},1,2026-01-02T10:00:00Z,1,{code}-0,1,9.99");
        format!("reference,kind,store_code,register_number,occurred_at,line_no,sku,quantity,unit_price\n{row}\n")
    };
    for (service, path, taken, kept) in [
        ("ecommerce", "orders", order("taken"), order("kept")),
        ("inventory", "stock-movements", movement("taken"), movement("kept")),
        ("retail", "sales", sale("taken"), sale("kept")),
    ] {
        let api = format!("/{service}/api/v1");
        let imported = office.import(&format!("{api}/{path}/import"), taken).await;
        assert_eq!(imported["applied"], 1, "{imported}");
        let import = format!("{api}/imports/{}", imported["id"]);
        office.post(&format!("{import}/withdrawal"), &json!({})).await.expect(202);
        wait_until("a withdrawal", PATIENCE, async || {
            (office.get_json(&import).await["state"] == "withdrawn").then_some(())
        })
        .await;
        assert_eq!(office.import(&format!("{api}/{path}/import"), kept).await["applied"], 1);
    }

    let names = [format!("{code}-taken"), format!("{code}-kept")];
    for (service, beginning) in
        [("ecommerce", "SELECT reference FROM orders WHERE"), ("retail", "SELECT reference FROM sales WHERE")]
    {
        let pool = stack.pool_as(&format!("{service}_db"), service).await;
        let sql = AssertSqlSafe(statement(service, beginning));
        let known: Vec<String> = sqlx::query_scalar(sql).bind(&names[..]).fetch_all(&pool).await.unwrap();
        assert_eq!(known, names[1..], "{service}");
    }
    assert_eq!(orders_inserted(&shop, &names).await, names[..1]);
    assert_eq!(movements_inserted(&shop, &names).await, names[..1]);
}

/// The orders of these names that the first version's import writes; they are rolled back.
async fn orders_inserted(shop: &Shop, names: &[String; 2]) -> Vec<String> {
    let sql = statement("ecommerce", "INSERT INTO orders (reference, customer_id, status, payment_status, occurred_at");
    let mut tx = kit::db::begin(&shared_services().await.pool_as("ecommerce_db", "ecommerce").await).await.unwrap();
    let customer: i64 = sqlx::query_scalar("SELECT id FROM customers WHERE reference = $1")
        .bind(&shop.code)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let (now, none) = (chrono::Utc::now(), None::<chrono::DateTime<chrono::Utc>>);
    let inserted: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&names[..])
        .bind([customer; 2])
        .bind(["pending"; 2])
        .bind(["paid"; 2])
        .bind([now; 2])
        .bind(["UTC"; 2])
        .bind([none; 2])
        .bind([none; 2])
        .bind([none; 2])
        .bind([none; 2])
        .bind([0_i64; 2])
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    inserted.into_iter().map(|(name, _)| name).collect()
}

async fn movements_inserted(shop: &Shop, names: &[String; 2]) -> Vec<String> {
    let beginning = "INSERT INTO stock_movements (reference, location_id, product_id, quantity, reason, occurred_at";
    let mut tx = kit::db::begin(&shared_services().await.pool_as("inventory_db", "inventory").await).await.unwrap();
    let inserted: Vec<(String, i64, i64)> = sqlx::query_as(AssertSqlSafe(statement("inventory", beginning)))
        .bind(&names[..])
        .bind([shop.location_id; 2])
        .bind([shop.products[0]; 2])
        .bind([-1_i64; 2])
        .bind(["sale"; 2])
        .bind([chrono::Utc::now(); 2])
        .bind(["UTC"; 2])
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    inserted.into_iter().map(|(name, ..)| name).collect()
}
