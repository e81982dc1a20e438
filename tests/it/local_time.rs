//! Local time is computed once, where a fact is born: whichever zone data a database has, the day is one everywhere. The
//! judge is Python's `zoneinfo` on the pinned package `tzdata`.

use base::{Tz, ZONE_DATA};
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Browser, Stack, duckdb, python, runs};

use crate::shop::{Shop, shared_services};

/// The zones whose winter of 2026 changed between 2025b and 2026f: a database of the older data has another day in them.
const MOVED: [&str; 13] = [
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Edmonton",
    "America/Havana",
    "America/Inuvik",
    "America/Rainy_River",
    "America/Vancouver",
    "America/Winnipeg",
    "America/Yellowknife",
    "Canada/Central",
    "Canada/Mountain",
    "Canada/Pacific",
    "Cuba",
];

const JUDGE: &str = r#"
import datetime, json, sys, zoneinfo
import tzdata
zoneinfo.reset_tzpath(to=[])
assert tzdata.IANA_VERSION == sys.argv[1], f"the judge has zone data {tzdata.IANA_VERSION}"
utc = datetime.timezone.utc
def shown(zone, at):
    return datetime.datetime.fromtimestamp(at, utc).astimezone(zone).replace(tzinfo=None).isoformat()
if len(sys.argv) > 2:
    print(json.dumps([shown(zoneinfo.ZoneInfo(name), at) for name, at in json.loads(sys.argv[2])]))
else:
    # Each turn of a month and of its half from 1970 to 2037, and each hour of the last week of October 2026.
    moments = [datetime.datetime(year, month, day, 0, 30, tzinfo=utc) for year in range(1970, 2038)
               for month in range(1, 13) for day in (1, 16)]
    moments += [datetime.datetime(2026, 10, 26, tzinfo=utc) + datetime.timedelta(hours=hour) for hour in range(240)]
    instants = [int(moment.timestamp()) for moment in moments]
    for name in sorted(zoneinfo.available_timezones()):
        zone = zoneinfo.ZoneInfo(name)
        offsets = [int(datetime.datetime.fromtimestamp(at, utc).astimezone(zone).utcoffset().total_seconds()) for at in instants]
        print(json.dumps([name, instants, offsets]))
"#;

/// What the judge's clocks show, by zone and seconds since 1970.
fn judged(asked: &[(&str, i64)]) -> Vec<NaiveDateTime> {
    let shown: Vec<String> = serde_json::from_str(&python(JUDGE, &[ZONE_DATA, &json!(asked).to_string()])).unwrap();
    shown.iter().map(|it| it.parse().unwrap()).collect()
}

#[test]
fn every_zone_shows_what_an_independent_reader_of_the_data_shows() {
    let mut zones = 0;
    for line in python(JUDGE, &[ZONE_DATA]).lines() {
        let (name, instants, offsets): (String, Vec<i64>, Vec<i64>) = serde_json::from_str(line).unwrap();
        let zone: Tz = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        for (at, offset) in instants.iter().zip(offsets) {
            let instant = DateTime::from_timestamp(*at, 0).unwrap();
            assert_eq!((zone.local(instant) - instant.naive_utc()).num_seconds(), offset, "{name} at {instant}");
        }
        zones += 1;
    }
    assert!(zones > 590, "{zones} zones");
}

/// A fact of a zone, half an hour to either side of its midnight.
struct Fact {
    zone: &'static str,
    at: DateTime<Utc>,
    local: NaiveDateTime,
    reference: String,
}

fn facts() -> Vec<Fact> {
    let shown = ["2026-11-27T23:30:00", "2026-11-28T00:30:00"];
    let of = |zone: &'static str| {
        shown.map(|shown| {
            let local: NaiveDateTime = shown.parse().unwrap();
            let at = zone.parse::<Tz>().unwrap().from_local_datetime(&local).unwrap().to_utc();
            let reference = format!("{}-{}", zone.replace('/', "."), local.format("%d"));
            Fact { zone, at, local, reference }
        })
    };
    let facts: Vec<Fact> = MOVED.iter().flat_map(|zone| of(zone)).collect();
    let asked: Vec<_> = facts.iter().map(|it| (it.zone, it.at.timestamp())).collect();
    assert_eq!(judged(&asked), facts.iter().map(|it| it.local).collect::<Vec<_>>());
    facts
}

/// Sales, orders, refunds and movements of each of the facts.
async fn import(stack: &Stack, shop: &Shop, facts: &[Fact]) {
    let (office, code) = (&shop.backoffice, &shop.code);
    let file = async |path: &str, header: &str, row: &dyn Fn(&Fact) -> String| {
        let rows: Vec<String> = facts.iter().map(row).collect();
        let report = office.import(path, format!("{header}\n{}\n", rows.join("\n"))).await;
        assert_eq!((&report["refused"], &report["applied"]), (&json!(0), &json!(facts.len())), "{report}");
    };
    let at = |fact: &Fact| format!("{},{}", fact.at.to_rfc3339(), fact.zone);
    office.import("/ecommerce/api/v1/customers/import", "reference,name,signup_day\nANN,Ann,2026-01-01\n").await;
    file(
        "/retail/api/v1/sales/import",
        "reference,kind,store_code,register_number,occurred_at,time_zone,line_no,sku,quantity,unit_price",
        &|it| format!("{},sale,{code},1,{},1,{code}-0,1,10.00", it.reference, at(it)),
    )
    .await;
    file(
        "/ecommerce/api/v1/orders/import",
        "reference,customer_reference,status,payment_status,occurred_at,time_zone,line_no,sku,quantity,unit_price",
        &|it| format!("{},ANN,delivered,paid,{},1,{code}-0,2,10.00", it.reference, at(it)),
    )
    .await;
    file(
        "/ecommerce/api/v1/refunds/import",
        "reference,order_reference,occurred_at,time_zone,line_no,sku,quantity,amount",
        &|it| format!("back-{},{},{},1,{code}-0,1,10.00", it.reference, it.reference, at(it)),
    )
    .await;
    file(
        "/inventory/api/v1/stock-movements/import",
        "reference,reason,sku,location_code,quantity,occurred_at,time_zone",
        &|it| format!("{},sale,{code}-0,{code},-1,{}", it.reference, at(it)),
    )
    .await;
    runs::poll_all(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_on_one_day_in_its_service_the_feed_the_lake_reports_jobs_and_the_console() {
    let stack = Stack::start().await;
    let shop = Shop::open(&stack, 1, 10).await;
    let facts = facts();
    import(&stack, &shop, &facts).await;
    services_list(&shop, &facts).await;
    feed_and_lake_have(&stack, &facts).await;
    reports_count(&stack).await;
    zone_data_is_watched(&stack).await;
}

async fn services_list(shop: &Shop, facts: &[Fact]) {
    for (path, prefix) in
        [("retail/api/v1/sales", ""), ("ecommerce/api/v1/orders", ""), ("ecommerce/api/v1/refunds", "back-")]
    {
        for day in ["2026-11-27", "2026-11-28"] {
            let listed = shop.backoffice.get_all(&format!("/{path}?business_day={day}&imported=true")).await;
            let mut found: Vec<&str> = listed.iter().map(|it| it["reference"].as_str().unwrap()).collect();
            assert!(listed.iter().all(|it| it["business_day"] == day), "{path} {day}");
            let of_day = facts.iter().filter(|it| it.local.date().to_string() == day);
            let mut expected: Vec<String> = of_day.map(|it| format!("{prefix}{}", it.reference)).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{path} of {day}");
        }
    }
}

async fn feed_and_lake_have(stack: &Stack, facts: &[Fact]) {
    let feed =
        stack.api("aggregator").call(Method::GET, "/retail/api/v1/changes/sale_lines?columns=reference,local_time");
    let feed = feed.header("accept", "text/csv").send().await.expect(200).text();
    for fact in facts {
        let row = format!("{},{}", fact.reference, fact.local.format("%Y-%m-%d %H:%M:%S"));
        assert!(feed.contains(&row), "{row}: {feed}");
    }
    for (dataset, prefix) in
        [("sale_lines", ""), ("orders", ""), ("order_lines", ""), ("refund_lines", "back-"), ("stock_movements", "")]
    {
        let sql = format!(
            "SELECT reference, local_time::VARCHAR, business_day::VARCHAR, business_hour FROM {dataset}
             WHERE reference LIKE '%-27' OR reference LIKE '%-28' ORDER BY reference"
        );
        let mut expected: Vec<Value> = facts
            .iter()
            .map(|it| {
                let [local, day, hour] =
                    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%-H"].map(|form| it.local.format(form).to_string());
                json!([format!("{prefix}{}", it.reference), local, day, hour.parse::<i64>().unwrap()])
            })
            .collect();
        expected.sort_by_key(ToString::to_string);
        assert_eq!(json!(duckdb(stack, &sql)), json!(expected), "{dataset}");
    }
}

/// 13 sales at 10, 13 orders of two at 10, 13 refunds of one on each of the two days.
async fn reports_count(stack: &Stack) {
    let analyst = stack.api("analyst");
    let path = "/reporting/api/v1/reports/sales_by_day?from=2026-11-26&to=2026-11-29";
    let rows = analyst.get_json(path).await;
    let pieces: Vec<&Value> = rows["rows"].as_array().unwrap().iter().map(|it| &it["pieces"]).collect();
    assert_eq!(pieces, [0, 26, 26, 0].map(Value::from).iter().collect::<Vec<_>>(), "{rows}");
    runs::nightly(stack, "2026-11-28".parse().unwrap()).await;
    let published = "/reporting/api/v1/reports/sales_by_day?business_day=2026-11-28&revision=1";
    assert_eq!(analyst.get_json(published).await["rows"][0]["pieces"], 26);
    let browser = Browser::start().await;
    browser.open(&format!("{}/reporting/reports/sales_by_day?from=2026-11-28&to=2026-11-28", stack.gateway())).await;
    browser.write("#key", &stack.state().keys["analyst"]).await;
    browser.click("button.primary").await;
    browser.sees("260.00").await;
}

/// Each process says what zone data it has. One that differs is an incident, and over when it no longer does.
async fn zone_data_is_watched(stack: &Stack) {
    let analyst = stack.api("analyst");
    let zone_data = async || {
        let operator = stack.api("operator");
        let run = operator.post_json("/reporting/api/v1/jobs/watch/runs", &json!({}), 202).await;
        assert_eq!(runs::follow(stack, &run).await["status"], "succeeded");
        let open = analyst.get_all("/reporting/api/v1/jobs/incidents?open=true").await;
        let of_zones = open.iter().filter(|it| it["kind"] == "zone_data");
        of_zones.map(|it| (it["subject"].clone(), it["facts"].clone())).collect::<Vec<_>>()
    };
    for service in ["inventory", "ecommerce", "retail", "reporting"] {
        let ready = stack.direct(service).get_json("/health/ready").await;
        assert_eq!((&ready["zone_data"], &ready["status"]), (&json!(ZONE_DATA), &json!("ok")), "{service}");
    }
    for source in analyst.get_all("/reporting/api/v1/sources").await {
        assert_eq!(source["zone_data"], ZONE_DATA, "{source}");
    }
    assert_eq!(zone_data().await, []);
    let older = "UPDATE sync.source SET zone_data = '2025b' WHERE name = 'retail'";
    sqlx::query(older).execute(&stack.pool("reporting_db").await).await.unwrap();
    let facts = json!({ "source": "2025b", "reporting": ZONE_DATA });
    assert_eq!(zone_data().await, [(json!("retail"), facts)]);
    sqlx::query("UPDATE sync.source SET zone_data = $1")
        .bind(ZONE_DATA)
        .execute(&stack.pool("reporting_db").await)
        .await
        .unwrap();
    assert_eq!(zone_data().await, []);
}

#[tokio::test]
async fn a_sale_of_now_has_one_local_time_at_the_till_and_in_stock_also_when_it_is_given_back() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let store = format!("/retail/api/v1/stores/{}", shop.store_id);
    shop.backoffice
        .call(Method::PATCH, &store)
        .json(&json!({"time_zone": "America/Vancouver"}))
        .send()
        .await
        .expect(200);
    let sale = shop.sell(shop.products[0], 2).await;
    shop.pos.post_json(&format!("/retail/api/v1/sales/{}/void", sale["id"]), &json!({}), 200).await;
    let of_sale: (DateTime<Utc>, NaiveDateTime) =
        sqlx::query_as("SELECT occurred_at, local_time FROM sales WHERE id = $1")
            .bind(sale["id"].as_i64())
            .fetch_one(&stack.pool("retail_db").await)
            .await
            .unwrap();
    let moved: Vec<(bool, DateTime<Utc>, NaiveDateTime)> = sqlx::query_as(
        "SELECT reversal, occurred_at, local_time FROM stock_movements WHERE reference = $1 ORDER BY reversal",
    )
    .bind(sale["reference"].as_str())
    .fetch_all(&stack.pool("inventory_db").await)
    .await
    .unwrap();
    let [(false, at, local), (true, back_at, back)] = moved[..] else { panic!("{moved:?}") };
    assert_eq!((at, local), of_sale);
    assert_eq!(sale["business_day"], json!(local.date()));
    let zone = "America/Vancouver";
    let judged = judged(&[(zone, at.timestamp()), (zone, back_at.timestamp())]);
    let whole = |it: NaiveDateTime| it.and_utc().timestamp();
    assert_eq!([whole(local), whole(back)], [whole(judged[0]), whole(judged[1])]);
}

#[tokio::test]
async fn a_zone_that_a_part_does_not_know_is_accepted_nowhere() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    for zone in ["Mars/Phobos", "america/vancouver", "posix/Europe/Paris", "UTC+1", ""] {
        let store = json!({"code": "ZONE", "name": "N", "city": "C", "time_zone": zone});
        shop.backoffice.post("/retail/api/v1/stores", &store).await.expect(422);
        let moved = json!({"reference": "zone", "reason": "sale", "location_id": shop.location_id, "time_zone": zone,
            "lines": [{"product_id": shop.products[0], "quantity": -1}]});
        shop.backoffice.post("/inventory/api/v1/stock-movements", &moved).await.expect(422);
    }
}

/// Of each table of facts: how many rows have no local time, another than they should, or a stamp since the first run.
async fn filled(stack: &Stack, database: &str, table: &str) -> (i64, i64) {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FILTER (WHERE local_time IS NULL), count(*) FILTER (WHERE local_time IS DISTINCT FROM kept.local)
         FROM {table} JOIN kept USING (id)"
    )))
    .fetch_one(&stack.pool(database).await)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_before_are_filled_before_the_service_serves_and_what_has_a_local_time_keeps_it() {
    let mut stack = crate::shop::services(Stack::builder()).await;
    let shop = Shop::open(&stack, 1, 10).await;
    let code = &shop.code;
    let rows: Vec<String> =
        (0..7_000).map(|n| format!("{code}-{n},sale,{code},1,2026-11-28T07:30:00Z,1,{code}-0,1,10.00")).collect();
    let header = "reference,kind,store_code,register_number,occurred_at,line_no,sku,quantity,unit_price";
    let report =
        shop.backoffice.import("/retail/api/v1/sales/import", format!("{header}\n{}\n", rows.join("\n"))).await;
    assert_eq!(report["applied"], 7_000, "{report}");
    stack.stop("retail").await;

    // As the version before left them; what it writes meanwhile is filled by the database.
    let retail = stack.pool("retail_db").await;
    sqlx::raw_sql(
        "CREATE TABLE kept AS SELECT id, change_xid, local_time AS local FROM sales;
         ALTER TABLE sales DISABLE TRIGGER USER;
         UPDATE sales SET local_time = NULL;
         ALTER TABLE sales ENABLE TRIGGER USER;
         UPDATE local_time_filled SET through_id = 0, ended_at = NULL;
         INSERT INTO sales (reference, kind, status, receipt_number, store_id, register_id, occurred_at, time_zone, total_cents, imported)
         SELECT 'older', kind, status, 'older', store_id, register_id, '2026-07-01T12:00:00Z', 'Asia/Kathmandu', 0, true FROM sales LIMIT 1",
    )
    .execute(&retail)
    .await
    .unwrap();
    let older: NaiveDateTime =
        sqlx::query_scalar("SELECT local_time FROM sales WHERE reference = 'older'").fetch_one(&retail).await.unwrap();
    assert_eq!(older.to_string(), "2026-07-01 17:45:00");
    assert_eq!(filled(&stack, "retail_db", "sales").await, (7_000, 7_000));
    stack.restart("retail").await;
    assert_eq!(filled(&stack, "retail_db", "sales").await, (0, 0));
    let stamped: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sales JOIN kept USING (id) WHERE sales.change_xid <> kept.change_xid")
            .fetch_one(&retail)
            .await
            .unwrap();
    assert_eq!(stamped, 0, "filling delivers nothing again");
    let ended: bool = sqlx::query_scalar("SELECT bool_and(ended_at IS NOT NULL) FROM local_time_filled")
        .fetch_one(&retail)
        .await
        .unwrap();
    assert!(ended);

    // A plain column that nothing moves: neither a statement nor a restore computes it.
    for (database, table) in [
        ("retail_db", "sales"),
        ("ecommerce_db", "orders"),
        ("ecommerce_db", "refunds"),
        ("inventory_db", "stock_movements"),
    ] {
        let generated: String = sqlx::query_scalar(
            "SELECT attgenerated::text FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'local_time'",
        )
        .bind(table)
        .fetch_one(&stack.pool(database).await)
        .await
        .unwrap();
        assert_eq!(generated, "", "{table}");
    }
    let moved =
        sqlx::query("UPDATE sales SET local_time = local_time + interval '1 hour'").execute(&retail).await.unwrap_err();
    assert!(moved.to_string().contains("local_time of sales never changes"), "{moved}");
}
