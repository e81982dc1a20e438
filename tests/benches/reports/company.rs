//! A retailer of 300 stores and one web shop in the year that a bench asks about: written as the lake holds it, a file
//! for each quiet month and for each day of the last one.

use aggregator::report::Workers;
use aggregator::{Aggregator, Settings};
use anyhow::Result;
use chrono::{Datelike as _, Days, NaiveDate};
use polars::prelude::*;
use system_tests::Stack;

const STORES: i64 = 300;
const PRODUCTS: i64 = 500;
const CUSTOMERS: i64 = 100_000;
const CARTS: i64 = 400_000;
const ZONES: [&str; 3] = ["Europe/Paris", "America/Toronto", "UTC"];
const CATEGORIES: [&str; 12] = [
    "Lighting", "Rugs", "Kitchen", "Bath", "Garden", "Office", "Toys", "Books", "Textiles", "Decor", "Storage", "Tools",
];
const DAY: i64 = 86_400_000_000;

pub(crate) fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 11, 1).unwrap_or_default()
}

pub(crate) fn last_day() -> NaiveDate {
    first_day() + Days::new(364)
}

/// Numbers that look like chance and never change.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).cast_signed() % sides
    }

    /// Small numbers come more often, as products and customers do.
    fn skewed(&mut self, sides: i64) -> i64 {
        self.below(sides).min(self.below(sides))
    }
}

/// The processes that compute: of the service's own program.
pub(crate) fn workers() -> Workers {
    // The peers may take most of the machine's memory, too.
    Workers { program: system_tests::binaries::program("reporting"), memory: 16 << 30 }
}

/// An aggregator beside a stack, on its lake; it polls nobody.
pub(crate) fn settings(stack: &Stack) -> Settings {
    Settings {
        gateway_url: stack.gateway(),
        gateway_key: "unused".to_owned(),
        lake_dir: stack.state().lake,
        days: "Europe/Paris".parse::<base::Tz>().expect("a zone").into(),
        currency: "EUR".parse().expect("ISO 4217 knows the euro"),
        sources_dir: None,
        catalogue_dir: None,
        clock_tolerance: std::time::Duration::from_secs(120),
    }
}

/// Fills the lake: of eleven lines eight are sold in store and three online.
pub(crate) async fn fill(aggregator: &Aggregator, lines: usize) -> Result<()> {
    reference_sets(aggregator).await?;
    let mut clerk = Clerk { dice: Dice(0x7121), document: 0, movement: 0 };
    let per_day = i64::try_from(lines)? / 365;
    let days: Vec<NaiveDate> = first_day().iter_days().take(365).collect();
    for month in days.chunk_by(|a, b| a.month() == b.month()) {
        // The last month has not gone quiet yet.
        let files = if month.contains(&last_day()) { 1 } else { month.len() };
        for days in month.chunks(files) {
            let written = tokio::task::block_in_place(|| clerk.write(days, per_day))?;
            for (dataset, frame) in written {
                aggregator.lake().append(dataset, vec![frame]).await?;
            }
        }
    }
    Ok(())
}

/// Writes documents, with numbers that go on from file to file.
struct Clerk {
    dice: Dice,
    document: i64,
    movement: i64,
}

/// The columns that lines of both channels have.
#[derive(Default)]
struct Lines {
    document: Vec<i64>,
    number: Vec<i32>,
    /// Store of a sale, customer of an order.
    owner: Vec<i64>,
    day: Vec<i32>,
    at: Vec<i64>,
    product: Vec<i64>,
    quantity: Vec<i64>,
    discount: Vec<i64>,
    status: Vec<&'static str>,
}

impl Clerk {
    fn write(&mut self, days: &[NaiveDate], per_day: i64) -> PolarsResult<Vec<(&'static str, DataFrame)>> {
        let (mut sales, mut orders) = (Lines::default(), Lines::default());
        for day in days {
            self.documents(&mut sales, *day, per_day * 8 / 11, STORES, ["completed", "completed", "voided"]);
            self.documents(&mut orders, *day, per_day * 3 / 11, CUSTOMERS, ["delivered", "confirmed", "cancelled"]);
        }
        let movements = self.movements(&sales, &orders)?;
        Ok(vec![
            ("stock_movements", movements),
            ("orders", headers(&orders)?),
            ("sale_lines", sale_lines(&sales)?),
            ("order_lines", order_lines(&orders)?),
            ("refund_lines", refund_lines(&orders)?),
        ])
    }

    fn documents(&mut self, out: &mut Lines, day: NaiveDate, lines: i64, owners: i64, statuses: [&'static str; 3]) {
        let mut left = lines;
        while left > 0 {
            self.document += 1;
            let owner = self.dice.skewed(owners) + 1;
            let of = self.dice.below(100);
            let status = statuses[if of < 70 { 0 } else { usize::from(of >= 96) + 1 }];
            let at = i64::from(day.to_epoch_days()) * DAY + (8 * 3600 + self.dice.below(12 * 3600)) * 1_000_000;
            // One sale in twenty is a return.
            let sign = if owners == STORES && self.dice.below(20) == 0 { -1 } else { 1 };
            for number in 1..=(self.dice.below(4) + 1).min(left) {
                out.document.push(self.document);
                out.number.push(i32::try_from(number).unwrap_or_default());
                out.owner.push(owner);
                out.day.push(day.to_epoch_days());
                out.at.push(at);
                out.product.push(self.dice.skewed(PRODUCTS) + 1);
                out.quantity.push(sign * (self.dice.below(3) + 1));
                out.discount.push(if self.dice.below(5) == 0 { sign * 50 } else { 0 });
                out.status.push(status);
                left -= 1;
            }
        }
    }

    /// What left and came into stock for these lines.
    fn movements(&mut self, sales: &Lines, orders: &Lines) -> PolarsResult<DataFrame> {
        let all = || [(sales, "sale"), (orders, "order")].into_iter();
        let sold = |lines: &Lines, at: usize| !["voided", "cancelled"].contains(&lines.status[at]);
        let rows: Vec<(&Lines, &str, usize)> = all()
            .flat_map(|(lines, kind)| (0..lines.document.len()).map(move |at| (lines, kind, at)))
            .filter(|(lines, _, at)| sold(lines, *at))
            .collect();
        let first = self.movement + 1;
        self.movement += rows.len() as i64;
        let place =
            |(lines, kind, at): &(&Lines, &str, usize)| if *kind == "sale" { lines.owner[*at] } else { STORES + 1 };
        let reason = |(lines, _, at): &(&Lines, &str, usize)| if lines.quantity[*at] < 0 { "return" } else { "sale" };
        let frame = df!(
            "movement_id" => (first..=self.movement).collect::<Vec<_>>(),
            "product_id" => rows.iter().map(|(lines, _, at)| lines.product[*at]).collect::<Vec<_>>(),
            "location_id" => rows.iter().map(place).collect::<Vec<_>>(),
            "quantity" => rows.iter().map(|(lines, _, at)| -lines.quantity[*at]).collect::<Vec<_>>(),
            "reason" => rows.iter().map(reason).collect::<Vec<_>>(),
            "reference" => rows.iter().map(|(lines, kind, at)| format!("{kind}-{}", lines.document[*at])).collect::<Vec<_>>(),
            "time_zone" => vec!["UTC"; rows.len()],
            "imported" => vec![false; rows.len()],
            "day" => rows.iter().map(|(lines, _, at)| lines.day[*at]).collect::<Vec<_>>(),
            "at" => rows.iter().map(|(lines, _, at)| lines.at[*at]).collect::<Vec<_>>(),
        )?;
        timed(frame.lazy()).sort(["business_day"], stable()).collect()
    }
}

fn stable() -> SortMultipleOptions {
    SortMultipleOptions::default().with_maintain_order(true)
}

fn moment(expr: Expr) -> Expr {
    expr.cast(DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)))
}

/// Turns `day` and `at` into the columns that every fact has.
fn timed(frame: LazyFrame) -> LazyFrame {
    frame
        .with_columns([
            col("day").cast(DataType::Date).alias("business_day"),
            moment(col("at")).alias("occurred_at"),
            col("at").cast(DataType::Datetime(TimeUnit::Microseconds, None)).alias("local_time"),
            (col("at") / lit(3_600_000_000_i64)).floor_div(lit(1)).cast(DataType::Int64).alias("hours"),
        ])
        .with_columns([(col("hours") - (col("hours") / lit(24)).floor() * lit(24))
            .cast(DataType::Int32)
            .alias("business_hour")])
}

/// What lines of both channels hold of their product and figures.
fn figured(lines: &Lines, channel: &str) -> PolarsResult<LazyFrame> {
    let price = |product: &i64| 199 + product * 37 % 9_000;
    let category = |product: &i64| CATEGORIES[usize::try_from(product % 12).unwrap_or_default()];
    let frame = df!(
        "document" => &lines.document, "line_no" => &lines.number, "owner" => &lines.owner, "day" => &lines.day, "at" => &lines.at,
        "product_id" => &lines.product, "quantity" => &lines.quantity, "discount_cents" => &lines.discount, "status" => &lines.status,
        "sku" => lines.product.iter().map(|it| format!("SKU-{it:05}")).collect::<Vec<_>>(),
        "product_name" => lines.product.iter().map(|it| format!("Product no. {it}")).collect::<Vec<_>>(),
        "category" => lines.product.iter().map(category).collect::<Vec<_>>(),
        "unit_price_cents" => lines.product.iter().map(price).collect::<Vec<_>>(),
        "unit_cost_cents" => lines.product.iter().map(|it| price(it) * 6 / 10).collect::<Vec<_>>(),
        "channel" => vec![channel; lines.product.len()], "imported" => vec![false; lines.product.len()],
    )?;
    let net = col("quantity") * col("unit_price_cents") - col("discount_cents");
    Ok(timed(frame.lazy()).with_column(net.alias("net_cents")))
}

fn sale_lines(lines: &Lines) -> PolarsResult<DataFrame> {
    let is_return = || col("quantity").lt(lit(0));
    let kind = when(is_return()).then(lit("return")).otherwise(lit("sale"));
    let words: Vec<String> = lines.document.iter().map(|it| format!("{it:09}")).collect();
    let zone: Vec<&str> = lines.owner.iter().map(|it| ZONES[usize::try_from(it % 3).unwrap_or_default()]).collect();
    let references: Vec<String> = lines.document.iter().map(|it| format!("sale-{it}")).collect();
    figured(lines, "store")?
        .with_columns([
            col("document").alias("sale_id"),
            lit(Series::new("receipt_number".into(), words)),
            lit(Series::new("reference".into(), references)),
            lit(Series::new("time_zone".into(), zone)),
            kind.alias("kind"),
            col("owner").alias("store_id"),
            (col("owner") * lit(4) + col("document") - (col("document") / lit(4)).floor() * lit(4))
                .cast(DataType::Int64)
                .alias("register_id"),
            when(is_return()).then(lit(1_i64)).otherwise(lit(NULL)).cast(DataType::Int64).alias("original_sale_id"),
            // One line in fifty was sold at another price than the list's.
            when((col("document") - (col("document") / lit(50)).floor() * lit(50)).eq(lit(0)).and(is_return().not()))
                .then(col("unit_price_cents") + lit(50_i64))
                .otherwise(lit(NULL))
                .cast(DataType::Int64)
                .alias("list_price_cents"),
        ])
        .collect()
}

fn order_lines(lines: &Lines) -> PolarsResult<DataFrame> {
    let references: Vec<String> = lines.document.iter().map(|it| format!("order-{it}")).collect();
    figured(lines, "online")?
        .with_columns([
            col("document").alias("order_id"),
            lit(Series::new("reference".into(), references)),
            col("owner").alias("customer_id"),
            lit("paid").alias("payment_status"),
            lit("Europe/Paris").alias("time_zone"),
        ])
        .collect()
}

/// One line in twenty is refunded two days later, with its goods.
fn refund_lines(lines: &Lines) -> PolarsResult<DataFrame> {
    let negative = |name: &str| (lit(0_i64) - col(name)).alias(name);
    let twentieth = col("document") - (col("document") / lit(20)).floor() * lit(20);
    order_lines(lines)?
        .lazy()
        .filter(twentieth.eq(lit(0)))
        .with_columns([
            (col("order_id") + lit(1_000_000_000_i64)).alias("refund_id"),
            col("line_no").alias("order_line_no"),
            (lit("refund-") + col("order_id").cast(DataType::String)).alias("reference"),
            col("status").alias("order_status"),
            lit("completed").alias("status"),
            negative("quantity"),
            negative("discount_cents"),
            negative("net_cents"),
        ])
        .collect()
}

/// The orders that these lines belong to.
fn headers(lines: &Lines) -> PolarsResult<DataFrame> {
    let hours = |after: i64| moment(col("at") + lit(after * 3_600_000_000));
    let unless_cancelled = |step: Expr| when(col("status").neq(lit("cancelled"))).then(step).otherwise(lit(NULL));
    let delivered = when(col("status").eq(lit("delivered"))).then(hours(60)).otherwise(lit(NULL));
    figured(lines, "online")?
        .group_by_stable([col("document")])
        .agg([
            col("net_cents").sum().alias("total_cents"),
            all().exclude_cols(["document", "net_cents"]).as_expr().first(),
        ])
        .with_columns([
            col("document").alias("order_id"),
            (lit("order-") + col("document").cast(DataType::String)).alias("reference"),
            col("owner").alias("customer_id"),
            lit("paid").alias("payment_status"),
            lit("Europe/Paris").alias("time_zone"),
            unless_cancelled(hours(1)).alias("confirmed_at"),
            unless_cancelled(hours(20)).alias("shipped_at"),
            delivered.alias("delivered_at"),
            when(col("status").eq(lit("cancelled"))).then(hours(2)).otherwise(lit(NULL)).alias("cancelled_at"),
        ])
        .collect()
}

async fn reference_sets(aggregator: &Aggregator) -> Result<()> {
    let (stores, products) = (1..=STORES, 1..=PRODUCTS);
    let text = |of: &std::ops::RangeInclusive<i64>, prefix: &str| {
        of.clone().map(|it| format!("{prefix}{it}")).collect::<Vec<_>>()
    };
    let constant = |value: &'static str, of: i64| vec![value; usize::try_from(of).unwrap_or_default()];
    let places = 1..=STORES + 1;
    let kinds = places.clone().map(|it| if it > STORES { "warehouse" } else { "store" }).collect::<Vec<_>>();
    let registers: Vec<i64> = (STORES..(STORES + 1) * 4 + 4).collect();
    let customers: Vec<i64> = (1..=CUSTOMERS).collect();
    let epoch = first_day().to_epoch_days();
    let signups: Vec<i32> = customers.iter().map(|it| epoch + i32::try_from(it % 365).unwrap_or_default()).collect();
    let carts: Vec<i64> = (1..=CARTS).collect();
    let at: Vec<i64> = carts.iter().map(|it| i64::from(epoch) * DAY + it * 60_000_000).collect();
    let statuses =
        carts.iter().map(|it| ["open", "abandoned", "checked_out"][usize::try_from(it % 3).unwrap_or_default()]);
    let stock: Vec<(i64, i64)> =
        products.clone().flat_map(|product| places.clone().map(move |place| (product, place))).collect();
    let sets = [
        ("categories", df!("category_id" => (0..12_i64).collect::<Vec<_>>(), "name" => CATEGORIES)?),
        (
            "stores",
            df!("store_id" => stores.clone().collect::<Vec<_>>(), "code" => text(&stores, "S"), "name" => text(&stores, "Store "),
            "city" => text(&stores, "City "), "time_zone" => constant("UTC", STORES), "active" => vec![true; stores.clone().count()],
            "opened_on" => stores.clone().map(|it| (it % 3 > 0).then_some(epoch)).collect::<Vec<_>>(),
            "closed_on" => vec![None::<i32>; stores.clone().count()])?,
        ),
        (
            "registers",
            df!("register_id" => &registers, "store_id" => registers.iter().map(|it| it / 4).collect::<Vec<_>>(),
            "number" => registers.iter().map(|it| i32::try_from(it % 4).unwrap_or_default()).collect::<Vec<_>>(), "active" => vec![true; registers.len()])?,
        ),
        (
            "products",
            df!("product_id" => products.clone().collect::<Vec<_>>(), "sku" => text(&products, "SKU-"), "name" => text(&products, "Product no. "),
            "category_id" => products.clone().map(|it| it % 12).collect::<Vec<_>>(), "unit_price_cents" => products.clone().map(|it| 199 + it * 37 % 9_000).collect::<Vec<_>>(),
            "unit_cost_cents" => products.clone().map(|it| (199 + it * 37 % 9_000) * 6 / 10).collect::<Vec<_>>(),
            "reorder_point" => products.clone().map(|it| it % 40).collect::<Vec<_>>(), "active" => vec![true; products.clone().count()])?,
        ),
        (
            "locations",
            df!("location_id" => places.clone().collect::<Vec<_>>(), "code" => text(&places, "L"), "name" => text(&places, "Place "),
            "kind" => kinds, "store_id" => places.clone().map(|it| (it <= STORES).then_some(it)).collect::<Vec<_>>())?,
        ),
        (
            "stock",
            df!("product_id" => stock.iter().map(|it| it.0).collect::<Vec<_>>(), "location_id" => stock.iter().map(|it| it.1).collect::<Vec<_>>(),
            "on_hand" => stock.iter().map(|(product, place)| product * place % 97).collect::<Vec<_>>())?,
        ),
        (
            "customers",
            df!("customer_id" => &customers, "city" => constant("Paris", CUSTOMERS), "country" => constant("FR", CUSTOMERS), "signup_day" => signups)?,
        ),
        (
            "carts",
            df!("cart_id" => &carts, "customer_id" => carts.iter().map(|it| it % CUSTOMERS + 1).collect::<Vec<_>>(), "status" => statuses.collect::<Vec<_>>(),
            "created_at" => &at, "updated_at" => &at, "item_count" => carts.iter().map(|it| it % 5).collect::<Vec<_>>(),
            "total_cents" => carts.iter().map(|it| it * 31 % 20_000).collect::<Vec<_>>(), "order_id" => vec![None::<i64>; carts.len()])?,
        ),
    ];
    for (dataset, frame) in sets {
        let mut frame = frame.lazy();
        for (column, kind) in [
            ("signup_day", DataType::Date),
            ("opened_on", DataType::Date),
            ("closed_on", DataType::Date),
            ("created_at", instant()),
            ("updated_at", instant()),
        ] {
            if frame.collect_schema()?.contains(column) {
                frame = frame.with_column(col(column).cast(kind));
            }
        }
        let frame = tokio::task::block_in_place(|| frame.collect())?;
        aggregator.lake().append(dataset, vec![frame]).await?;
    }
    Ok(())
}

fn instant() -> DataType {
    DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
}
