//! A company that does everything it should not: ties, nulls, zeros, unknown products, stores and customers, returns
//! of what was sold before the window, voids, cancelled orders, history without movements, names in every script.
//!
//! The same numbers come out every time.

use std::path::Path;

use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};
use system_tests::source::{Columns, Model};

/// The shipped declarations by file name, asking the test's own feed.
pub(super) fn declarations(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let base = format!("base = \"/{}/api/v1\"", name.trim_end_matches(".toml"));
            assert!(text.contains(&base), "{name} asks another base");
            (name, text.replace(&base, "base = \"/fourth/api/v1\"\nrate = 10000"))
        })
        .collect();
    files.sort();
    files
}

/// Every declared dataset, with rows.
pub(super) fn model(declarations: &[(String, String)]) -> Model {
    let mut model = Model::default();
    for (_, text) in declarations {
        let file: toml::Table = toml::from_str(text).unwrap();
        for dataset in file["dataset"].as_array().unwrap() {
            let keys = dataset["key"].as_array().unwrap().len();
            let columns: Vec<(&'static str, &'static str)> = columns_in_order(text, dataset["name"].as_str().unwrap());
            let columns: Columns = Vec::leak(columns);
            model = model.with(dataset["name"].as_str().unwrap(), keys, columns);
        }
    }
    fill(&mut model);
    model
}

/// The columns of a dataset as they stand in its file (a TOML table would sort them), without local times: they are computed.
fn columns_in_order(text: &str, dataset: &str) -> Vec<(&'static str, &'static str)> {
    let (_, rest) = text.split_once(&format!("name = \"{dataset}\"")).unwrap();
    let table = rest.split_once("[dataset.columns]\n").unwrap().1;
    let lines = table.lines().take_while(|line| line.contains(" = ")).filter(|line| !line.starts_with("local_time"));
    lines
        .map(|line| {
            let (name, kind) = line.split_once(" = ").unwrap();
            let kind = kind.trim_matches('"').trim_end_matches('?');
            (&*String::leak(name.to_owned()), &*String::leak(kind.to_owned()))
        })
        .collect()
}

/// Numbers that look like chance and never change.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % sides).unwrap()
    }
}

const NULL: &str = "\\N";
/// Prices repeat, so that products tie; one costs nothing, one is sold below cost.
const PRODUCTS: [(&str, &str, i64, i64); 12] = [
    ("LAMP", "Stehlampe \u{201e}Zürich\u{201c}", 1250, 725),
    ("BULB", "Ampoule, 40 W", 99, 40),
    ("RUG", "絨毯", 1250, 725),
    ("GIFT", "=SUM(A1) gift", 0, 0),
    ("VASE", "Ваза", 333, 400),
    ("CUP", "Cup 'n' saucer", 99, 40),
    ("DESK", "מכתבה", 99_999, 50_000),
    ("BIN", "Bin\\bag", 501, 250),
    ("TOY", "🧸", 1250, 725),
    ("PEN", "Pen", 1, 1),
    ("NEVER", "Never sold", 700, 350),
    ("OLD", "Never sold, not active", 700, 350),
];
const CATEGORIES: [&str; 3] = ["Möbel", "Light & Co", "Ünsorted"];
const ZONES: [&str; 3] = ["America/Toronto", "Europe/Paris", "Australia/Lord_Howe"];

fn fill(model: &mut Model) {
    let mut dice = Dice(0x7121_B07A);
    for (id, name) in (1..).zip(CATEGORIES) {
        model.put("categories", &[id], &[name]);
    }
    for (id, (sku, name, price, cost)) in (1..).zip(PRODUCTS) {
        // Product 9 names a category that is not there.
        let category = if id == 9 { 77 } else { id % 3 + 1 };
        let values = [category, price, cost, id % 4 * 3].map(|it| it.to_string());
        let [category, price, cost, reorder] = values.each_ref().map(String::as_str);
        model.put(
            "products",
            &[id],
            &[sku, name, category, price, cost, reorder, if id == 12 { "false" } else { "true" }],
        );
    }
    for (id, zone) in (1..).zip(ZONES) {
        let code = format!("S{id}");
        let opened = [NULL, "2019-03-01", "2025-02-28"][usize::try_from(id).unwrap() % 3];
        model.put("stores", &[id], &[&code, &format!("Störe {id}"), "Québec", zone, "true", opened, NULL]);
        model.put("registers", &[id * 10], &[&id.to_string(), "1", "true"]);
        model.put("registers", &[id * 10 + 1], &[&id.to_string(), "2", "true"]);
        model.put("locations", &[id], &[&code, &format!("Störe {id}"), "store", &id.to_string()]);
    }
    // A store that never sold, one that is closed, and two warehouses, of which the first serves the web.
    model.put("stores", &[4], &["S4", "Empty", "Nowhere", "UTC", "true", NULL, NULL]);
    model.put("stores", &[5], &["S5", "Closed", "Nowhere", "UTC", "false", "2020-02-29", "2026-02-20"]);
    model.put("locations", &[8], &["W1", "Warehouse", "warehouse", NULL]);
    model.put("locations", &[9], &["W2", "Second", "warehouse", NULL]);
    for product in 1..=12 {
        for location in [1, 2, 3, 8] {
            let on_hand = if dice.below(4) == 0 { 0 } else { dice.below(90) };
            model.put("stock", &[product, location], &[&on_hand.to_string()]);
        }
    }
    for id in 1..=60 {
        let place = [(NULL, NULL), ("Paris", "FR"), ("Αθήνα", "GR"), ("", "XX")][usize::try_from(id % 4).unwrap()];
        let day = first_day() + Duration::days(dice.below(400));
        model.put("customers", &[id], &[place.0, place.1, &day.to_string()]);
    }
    let mut books = Books { movement: 0 };
    sales(model, &mut dice, &mut books);
    orders(model, &mut dice, &mut books);
    for id in 1..=90 {
        let status = ["open", "abandoned", "checked_out"][usize::try_from(dice.below(3)).unwrap()];
        let customer = if id % 5 == 0 { NULL.to_owned() } else { (id % 60 + 1).to_string() };
        let at = moment(&mut dice);
        let (items, total) = (dice.below(4).to_string(), (dice.below(5) * 999).to_string());
        model.put("carts", &[id], &[&customer, status, &text(at), &text(at), &items, &total, NULL]);
    }
}

fn first_day() -> NaiveDate {
    "2025-02-01".parse().unwrap()
}

/// Some moment of five weeks, with the night the clocks change, or of the same days a year before; to the microsecond.
fn moment(dice: &mut Dice) -> DateTime<Utc> {
    let year_before: i64 = if dice.below(8) == 0 { 364 } else { 0 };
    let span: u64 = if year_before > 0 { 10 } else { 35 };
    let day = first_day() + Duration::days(377 + dice.below(span) - year_before);
    let seconds = dice.below(86_400);
    day.and_hms_opt(0, 0, 0).unwrap().and_utc()
        + Duration::seconds(seconds)
        + Duration::microseconds(dice.below(3) * 500_001 % 999_983)
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

struct Books {
    movement: i64,
}

impl Books {
    fn move_stock(
        &mut self,
        model: &mut Model,
        what: (i64, i64, i64),
        reason: &str,
        reference: &str,
        at: &str,
        zone: &str,
    ) {
        self.movement += 1;
        let [product, location, quantity] = [what.0, what.1, what.2].map(|it| it.to_string());
        model.put(
            "stock_movements",
            &[self.movement],
            &[&product, &location, &quantity, reason, reference, at, zone, "false"],
        );
    }
}

/// A line's product and figures: SKU, name, category, quantity, price, cost, discount, net.
fn line(dice: &mut Dice, sign: i64) -> (i64, [String; 9]) {
    // Product 99 is known to nobody; 11 and 12 are never sold.
    let product = if dice.below(60) == 0 { 99 } else { dice.below(10) + 1 };
    let known = usize::try_from(product - 1).ok().and_then(|at| PRODUCTS.get(at));
    let (sku, name, price, cost) = *known.unwrap_or(&("GONE", "Gone", 450, 200));
    let quantity = sign * (dice.below(4) + i64::from(dice.below(9) > 0)).max(if sign < 0 { 1 } else { 0 });
    let discount = if dice.below(3) == 0 { sign * dice.below(50).min(price) } else { 0 };
    let category = CATEGORIES[usize::try_from(product % 3).unwrap()];
    let figures = [quantity, price, cost, discount, quantity * price - discount].map(|it| it.to_string());
    let [quantity, price, cost, discount, net] = figures;
    let [number, sku, name, category] = [product.to_string(), sku.to_owned(), name.to_owned(), category.to_owned()];
    (product, [number, sku, name, category, quantity, price, cost, discount, net])
}

fn sales(model: &mut Model, dice: &mut Dice, books: &mut Books) {
    for sale in 1..=700 {
        // Store 66 is known to nobody.
        let store = if dice.below(150) == 0 { 66 } else { dice.below(3) + 1 };
        let zone = ZONES[usize::try_from(store % 3).unwrap()];
        let is_return = dice.below(9) == 0;
        let (kind, sign) = if is_return { ("return", -1) } else { ("sale", 1) };
        let status = ["completed", "completed", "completed", "completed", "voided", "rejected", "pending"]
            [usize::try_from(dice.below(7)).unwrap()];
        let imported = dice.below(4) == 0;
        let (reference, at) = (format!("{kind}-{sale}"), text(moment(dice)));
        let register = (store * 10 + dice.below(2)).to_string();
        for number in 1..=dice.below(4) + 1 {
            let (product, [id, sku, name, category, quantity, price, cost, discount, net]) = line(dice, sign);
            let original = if is_return { "1" } else { NULL };
            let receipt = format!("R-{sale}");
            let (shop, past) = (store.to_string(), imported.to_string());
            let list = if number == 2 && !is_return {
                (price.parse::<i64>().unwrap() - 10).to_string()
            } else {
                NULL.to_owned()
            };
            model.put(
                "sale_lines",
                &[sale, number],
                &[
                    &receipt, &reference, kind, status, &shop, &register, &at, zone, &id, &sku, &name, &category,
                    &quantity, &price, &cost, &discount, &net, "store", &past, original, &list,
                ],
            );
            // History came without movements; now and then the books are wrong.
            if status == "completed" && !imported {
                let pieces: i64 = quantity.parse().unwrap();
                let wrong = i64::from(dice.below(40) == 0);
                books.move_stock(
                    model,
                    (product, store, -pieces - wrong),
                    if is_return { "return" } else { "sale" },
                    &reference,
                    &at,
                    zone,
                );
            }
        }
    }
    for lost in 1..=5 {
        let at = text(moment(dice));
        books.move_stock(model, (1, 1, -2), "sale", &format!("sale-lost-{lost}"), &at, "UTC");
        books.move_stock(model, (2, 8, 40), "replenishment", &format!("delivery-{lost}"), &at, "UTC");
        books.move_stock(model, (2, 8, -3), "adjustment", &format!("count-{lost}"), &at, "UTC");
    }
}

fn orders(model: &mut Model, dice: &mut Dice, books: &mut Books) {
    let statuses = ["pending", "confirmed", "processing", "shipped", "delivered", "cancelled"];
    let mut lines = Vec::new();
    for order in 1..=300 {
        let status = usize::try_from(dice.below(6)).unwrap();
        // Customers 61 to 65 are known to nobody, 1 to 20 order most.
        let customer =
            if dice.below(30) == 0 { 61 + dice.below(5) } else { dice.below(if order % 2 == 0 { 20 } else { 60 }) + 1 };
        let (placed, reference) = (moment(dice), format!("order-{order}"));
        let step = |reached: bool, dice: &mut Dice| {
            if reached { text(placed + Duration::seconds(dice.below(400_000))) } else { NULL.to_owned() }
        };
        let progressed = (1..5).contains(&status);
        let confirmed = step(progressed, dice);
        let shipped = step(progressed && status >= 3, dice);
        let delivered = step(status == 4, dice);
        let cancelled = step(status == 5, dice);
        let imported = dice.below(3) == 0;
        let (at, status, paid) = (text(placed), statuses[status], if dice.below(2) == 0 { "paid" } else { "pending" });
        let (customer, past, zone) = (customer.to_string(), imported.to_string(), "America/Toronto");
        let mut total = 0;
        for number in 1..=dice.below(3) + 1 {
            let (product, [id, sku, name, category, quantity, price, cost, discount, net]) = line(dice, 1);
            total += net.parse::<i64>().unwrap();
            model.put(
                "order_lines",
                &[order, number],
                &[
                    &reference, &customer, status, paid, &at, zone, &id, &sku, &name, &category, &quantity, &price,
                    &cost, &discount, &net, "online", &past,
                ],
            );
            if !imported && !["pending", "cancelled"].contains(&status) {
                let pieces: i64 = quantity.parse().unwrap();
                books.move_stock(model, (product, 8, -pieces), "sale", &reference, &at, zone);
            }
            let values = [id, sku, name, category, quantity, price, cost, discount, net];
            lines.push(Ordered { order, number, status, customer: customer.clone(), placed, values });
        }
        let total = total.to_string();
        model.put(
            "orders",
            &[order],
            &[
                &reference, &customer, status, paid, &at, zone, &confirmed, &shipped, &delivered, &cancelled, &total,
                &past,
            ],
        );
    }
    refunds(model, books, &lines);
}

/// A line of an order, to be refunded.
struct Ordered {
    order: i64,
    number: i64,
    status: &'static str,
    customer: String,
    placed: DateTime<Utc>,
    values: [String; 9],
}

/// Of every fifth line goods come back, of others money alone, or they wait for Inventory; also of orders that do not count.
fn refunds(model: &mut Model, books: &mut Books, lines: &[Ordered]) {
    for (at, Ordered { order, number, status, customer, placed, values }) in lines.iter().enumerate() {
        let [product, sku, name, category, quantity, price, cost, discount, net] = values;
        let (goods, state) = match at % 5 {
            0 => (true, "completed"),
            1 => (false, "completed"),
            2 => (true, if at % 2 == 0 { "pending" } else { "rejected" }),
            _ => continue,
        };
        let (number_of, refund) = (|text: &String| text.parse::<i64>().unwrap(), 1_000 + i64::try_from(at).unwrap());
        let back = |text: &String| if goods { (-number_of(text)).to_string() } else { "0".to_owned() };
        let (reference, day) = (format!("refund-{refund}"), text(*placed + Duration::hours(refund % 700)));
        let cents = if goods { -number_of(net) } else { -(number_of(net) + 1) / 2 };
        model.put(
            "refund_lines",
            &[refund, 1],
            &[
                &reference,
                &order.to_string(),
                &number.to_string(),
                status,
                customer,
                state,
                &day,
                "America/Toronto",
                product,
                sku,
                name,
                category,
                &back(quantity),
                price,
                cost,
                &back(discount),
                &cents.to_string(),
                "online",
                "false",
            ],
        );
        if goods && state == "completed" && !["pending", "cancelled"].contains(status) {
            let moved = (number_of(product), 8, number_of(quantity));
            books.move_stock(model, moved, "return", &reference, &day, "America/Toronto");
        }
    }
}
