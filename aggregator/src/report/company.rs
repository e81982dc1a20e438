//! A company small enough to compute by eye, as frames, for the tests of the engine and the catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{Datelike, Days, Months, NaiveDate};
use polars::prelude::*;

use super::ask::Bounds;
use super::catalogue::{Catalogue, Schemas};
use super::engine::{deep, execute, statement};
use super::error::ReportError;
use super::resolve::{Clock, for_caller};

/// Frames by dataset name.
pub(crate) type Frames = BTreeMap<String, DataFrame>;

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The day on which the company's tests are run.
pub(crate) fn today() -> NaiveDate {
    day("2026-03-10")
}

/// Computes a shipped report over frames.
pub(crate) fn compute(
    catalogue: &Catalogue,
    frames: &Frames,
    name: &str,
    params: &[(&str, &str)],
) -> Result<DataFrame, ReportError> {
    let report = super::find(catalogue, name)?;
    let given = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let resolved = for_caller(&report, &given, Clock { today: today(), complete: day("2026-03-09") })?;
    let sql = statement(&report, &resolved)?;
    let lazy = report.datasets.iter().map(|name| (name.clone(), frames[name].clone().lazy())).collect();
    deep(move || execute(&report, &sql, lazy, Bounds::ON_DEMAND.rows)).blocking_recv().unwrap()
}

/// The datasets as the shipped sources declare them, without rows.
pub(crate) fn schemas() -> Schemas {
    frames().into_iter().map(|(name, frame)| (name, frame.schema().clone())).collect()
}

/// The rows of the small company: store A with three tickets and a return, store B with one, store
/// C with none; one order that counts and one cancelled.
pub(crate) fn frames() -> Frames {
    let lines = [
        // sale, line, kind, status, store, day, product, quantity, price, cost, discount
        (1, 1, "sale", "completed", 1, "2026-03-08", 10, 2, 1000, 400, 100),
        (1, 2, "sale", "completed", 1, "2026-03-08", 11, 1, 500, 300, 0),
        (2, 1, "sale", "completed", 1, "2026-03-08", 10, 1, 1000, 400, 0),
        (3, 1, "sale", "voided", 1, "2026-03-08", 10, 9, 1000, 400, 0),
        (4, 1, "sale", "completed", 2, "2026-03-08", 11, 3, 500, 300, 1),
        (5, 1, "return", "completed", 1, "2026-03-08", 10, -1, 1000, 400, -50),
        (6, 1, "sale", "completed", 1, "2026-03-07", 10, 1, 1000, 400, 0),
    ];
    let online = [
        // order, line, status, customer, day, product, quantity, price, cost, discount
        (1, 1, "confirmed", 1, "2026-03-08", 10, 1, 1100, 400, 0),
        (2, 1, "cancelled", 2, "2026-03-08", 11, 5, 500, 300, 0),
    ];
    let product = |id: i64| match id {
        10 => ("SKU-10", "Lamp", "Home"),
        _ => ("SKU-11", "Émile \"rug\"", "Home"),
    };
    let at = |text: &str| i64::from(to_days(day(text))) * 86_400_000_000 + 12 * 3_600_000_000;
    let moment = |name: &str, values: Vec<i64>| {
        Column::new(name.into(), values).cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))).unwrap()
    };
    let days = |values: Vec<i32>| Column::new("business_day".into(), values).cast(&DataType::Date).unwrap();

    let sale_lines = df!(
        "sale_id" => lines.map(|l| i64::from(l.0)), "line_no" => lines.map(|l| l.1),
        "receipt_number" => lines.map(|l| format!("R{}", l.0)), "reference" => lines.map(|l| format!("{}-{}", l.2, l.0)),
        "kind" => lines.map(|l| l.2), "status" => lines.map(|l| l.3),
        "store_id" => lines.map(|l| i64::from(l.4)), "register_id" => lines.map(|l| i64::from(l.4)),
        "time_zone" => lines.map(|_| "Europe/Paris"),
        "product_id" => lines.map(|l| i64::from(l.6)), "sku" => lines.map(|l| product(l.6.into()).0),
        "product_name" => lines.map(|l| product(l.6.into()).1), "category" => lines.map(|l| product(l.6.into()).2),
        "quantity" => lines.map(|l| i64::from(l.7)), "unit_price_cents" => lines.map(|l| i64::from(l.8)),
        "unit_cost_cents" => lines.map(|l| i64::from(l.9)), "discount_cents" => lines.map(|l| i64::from(l.10)),
        "net_cents" => lines.map(|l| i64::from(l.7 * l.8 - l.10)), "channel" => lines.map(|_| "store"),
        "imported" => lines.map(|_| false), "original_sale_id" => lines.map(|l| (l.2 == "return").then_some(1_i64)),
        "business_hour" => lines.map(|_| 13_i32),
    );
    let sale_lines = with(
        sale_lines,
        vec![moment("occurred_at", lines.map(|l| at(l.5)).to_vec()), days(lines.map(|l| to_days(day(l.5))).to_vec())],
    );

    let order_lines = df!(
        "order_id" => online.map(|l| i64::from(l.0)), "line_no" => online.map(|l| l.1),
        "reference" => online.map(|l| format!("order-{}", l.0)), "customer_id" => online.map(|l| i64::from(l.3)),
        "status" => online.map(|l| l.2), "payment_status" => online.map(|_| "paid"),
        "time_zone" => online.map(|_| "UTC"), "product_id" => online.map(|l| i64::from(l.5)),
        "sku" => online.map(|l| product(l.5.into()).0), "product_name" => online.map(|l| product(l.5.into()).1),
        "category" => online.map(|l| product(l.5.into()).2), "quantity" => online.map(|l| i64::from(l.6)),
        "unit_price_cents" => online.map(|l| i64::from(l.7)), "unit_cost_cents" => online.map(|l| i64::from(l.8)),
        "discount_cents" => online.map(|l| i64::from(l.9)), "net_cents" => online.map(|l| i64::from(l.6 * l.7 - l.9)),
        "channel" => online.map(|_| "online"), "imported" => online.map(|_| false),
        "business_hour" => online.map(|_| 12_i32),
    );
    let order_lines = with(
        order_lines,
        vec![moment("occurred_at", online.map(|l| at(l.4)).to_vec()), days(online.map(|l| to_days(day(l.4))).to_vec())],
    );

    let orders = df!(
        "order_id" => [1_i64, 2], "reference" => ["order-1", "order-2"], "customer_id" => [1_i64, 2],
        "status" => ["delivered", "cancelled"], "payment_status" => ["paid", "refunded"], "time_zone" => ["UTC", "UTC"],
        "total_cents" => [1100_i64, 2500], "imported" => [false, false], "business_hour" => [12_i32, 12],
    );
    let eighth = at("2026-03-08");
    let hour = 3_600_000_000;
    let step = |name: &str, hours: [Option<i64>; 2]| {
        let values: Vec<Option<i64>> = hours.iter().map(|after| after.map(|after| eighth + after * hour)).collect();
        Column::new(name.into(), values).cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))).unwrap()
    };
    let orders = with(
        orders,
        vec![
            step("occurred_at", [Some(0), Some(0)]),
            step("confirmed_at", [Some(1), None]),
            step("shipped_at", [Some(25), None]),
            step("delivered_at", [Some(49), None]),
            step("cancelled_at", [None, Some(2)]),
            days([to_days(day("2026-03-08")); 2].to_vec()),
        ],
    );

    let movements = [
        // product, location, quantity, reason, reference
        (10, 1, 50_i64, "replenishment", "delivery-1"),
        (10, 1, -2, "sale", "sale-1"),
        (11, 1, -1, "sale", "sale-1"),
        (10, 1, -1, "sale", "sale-2"),
        (11, 2, -3, "sale", "sale-4"),
        (10, 1, 1, "return", "return-5"),
        (10, 1, -1, "sale", "sale-6"),
        (10, 3, -2, "sale", "order-1"),
    ];
    let stock_movements = df!(
        "movement_id" => (1_i64..=8).collect::<Vec<_>>(), "product_id" => movements.map(|m| i64::from(m.0)),
        "location_id" => movements.map(|m| i64::from(m.1)), "quantity" => movements.map(|m| m.2),
        "reason" => movements.map(|m| m.3), "reference" => movements.map(|m| m.4), "time_zone" => movements.map(|_| "UTC"),
        "imported" => movements.map(|_| false), "business_hour" => movements.map(|_| 12_i32),
    );
    let stock_movements =
        with(stock_movements, vec![moment("occurred_at", vec![eighth; 8]), days(vec![to_days(day("2026-03-08")); 8])]);

    let carts = df!("cart_id" => [1_i64, 2, 3], "customer_id" => [Some(1_i64), None, Some(2)], "status" => ["checked_out", "abandoned", "open"],
        "item_count" => [1_i64, 2, 1], "total_cents" => [1100_i64, 2000, 500], "order_id" => [Some(1_i64), None, None]);
    let carts = with(carts, vec![moment("created_at", vec![eighth; 3]), moment("updated_at", vec![eighth; 3])]);

    let customers = df!("customer_id" => [1_i64, 2, 3], "city" => [Some("Paris"), None, Some("Québec")], "country" => [Some("FR"), None, Some("CA")]);
    let signup = Column::new("signup_day".into(), ["2026-01-05", "2026-02-05", "2026-02-06"].map(|d| to_days(day(d))))
        .cast(&DataType::Date);
    let customers = with(customers, vec![signup.unwrap()]);

    let frames = [
        ("sale_lines", sale_lines), ("order_lines", order_lines), ("orders", orders), ("stock_movements", stock_movements),
        ("carts", carts), ("customers", customers), ("calendar", calendar()),
        ("stores", df!("store_id" => [1_i64, 2, 3], "code" => ["A", "B", "C"], "name" => ["Alpha", "Beta", "Gamma"],
            "city" => ["Paris", "Toronto", "Lyon"], "time_zone" => ["Europe/Paris", "America/Toronto", "Europe/Paris"], "active" => [true, true, true]).unwrap()),
        ("registers", df!("register_id" => [1_i64, 2], "store_id" => [1_i64, 2], "number" => [1_i32, 1], "active" => [true, true]).unwrap()),
        ("categories", df!("category_id" => [1_i64], "name" => ["Home"]).unwrap()),
        ("products", df!("product_id" => [10_i64, 11, 12], "sku" => ["SKU-10", "SKU-11", "SKU-12"], "name" => ["Lamp", "Émile \"rug\"", "Vase"],
            "category_id" => [1_i64, 1, 1], "unit_price_cents" => [1000_i64, 500, 700], "unit_cost_cents" => [400_i64, 300, 350],
            "reorder_point" => [5_i64, 4, 2], "active" => [true, true, true]).unwrap()),
        ("locations", df!("location_id" => [1_i64, 2, 3], "code" => ["L-A", "L-B", "WH"], "name" => ["Store A", "Store B", "Warehouse"],
            "kind" => ["store", "store", "warehouse"], "store_id" => [Some(1_i64), Some(2), None]).unwrap()),
        ("stock", df!("product_id" => [10_i64, 11, 10, 12], "location_id" => [1_i64, 2, 3, 3], "on_hand" => [47_i64, 0, 3, 9]).unwrap()),
    ];
    frames.into_iter().map(|(name, frame)| (name.to_owned(), frame)).collect()
}

fn with(frame: PolarsResult<DataFrame>, columns: Vec<Column>) -> DataFrame {
    let mut frame = frame.unwrap();
    for column in columns {
        frame.with_column(column).unwrap();
    }
    frame
}

fn to_days(day: NaiveDate) -> i32 {
    i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).unwrap()
}

/// 2024 to 2027, as the lake fills it.
fn calendar() -> DataFrame {
    let all: Vec<NaiveDate> = day("2024-01-01").iter_days().take_while(|day| day.year() < 2028).collect();
    let dates = |name: &str, of: &dyn Fn(&NaiveDate) -> NaiveDate| {
        Column::new(name.into(), all.iter().map(|day| to_days(of(day))).collect::<Vec<_>>())
            .cast(&DataType::Date)
            .unwrap()
    };
    let numbers = |name: &str, of: &dyn Fn(&NaiveDate) -> u32| {
        Column::new(name.into(), all.iter().map(|day| i32::try_from(of(day)).unwrap()).collect::<Vec<_>>())
    };
    let month = |day: &NaiveDate| day.with_day(1).unwrap();
    let columns = vec![
        dates("business_day", &|day| *day),
        dates("week_start", &|day| *day - Days::new(day.weekday().num_days_from_monday().into())),
        dates("month_start", &month),
        dates("quarter_start", &|day| month(day) - Months::new(day.month0() % 3)),
        numbers("year", &|day| day.year().unsigned_abs()),
        numbers("quarter", &|day| day.month0() / 3 + 1),
        numbers("month", &Datelike::month),
        numbers("iso_week", &|day| day.iso_week().week()),
        numbers("day_of_week", &|day| day.weekday().number_from_monday()),
        Column::new(
            "is_weekend".into(),
            all.iter().map(|day| day.weekday().number_from_monday() > 5).collect::<Vec<_>>(),
        ),
        dates("previous_week_day", &|day| *day - Days::new(7)),
        dates("previous_year_day", &|day| *day - Days::new(364)),
    ];
    DataFrame::new(all.len(), columns).unwrap()
}

/// The shipped catalogue over these schemas.
pub(crate) fn catalogue() -> Arc<Catalogue> {
    deep(|| Arc::new(Catalogue::load(None, &schemas()))).blocking_recv().unwrap()
}
