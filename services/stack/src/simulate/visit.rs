//! What visitors do: shop online, buy at a till, bring something back, read a report, get things wrong.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{As, Ask, Client};
use super::world::{Till, World};
use crate::seed::random::Random;

/// Pieces that come in when a shelf was found empty.
const DELIVERY: i64 = 200;

/// One visit from beginning to end. What goes wrong is in the tally.
pub(super) async fn one(client: &Client, world: &World, mut random: Random) {
    match random.between(0, 99) {
        0..42 => {
            buy_at_till(client, world, &mut random).await;
        }
        42..84 => {
            shop_online(client, world, &mut random).await;
        }
        84..88 if !world.reading.is_empty() => {
            get(client, "read a report", As::Analyst, random.pick::<&str>(&world.reading)).await;
        }
        88..93 => look_up(client).await,
        _ => mistake(client, world, &mut random).await,
    }
}

async fn get(client: &Client, action: &'static str, who: As, path: &str) -> Option<Value> {
    let ask = Ask { action, who, method: Method::GET, path, body: None, key: None, may: &[] };
    client.ask(&ask).await.map(|(_, body)| body)
}

/// A write with a key of its own, so that it may be sent again; `may` are the refusals that are part of life.
async fn post(
    client: &Client,
    action: &'static str,
    who: As,
    path: &str,
    body: Value,
    may: &'static [u16],
) -> Option<(u16, Value)> {
    let key = Some(Uuid::new_v4().to_string());
    client.ask(&Ask { action, who, method: Method::POST, path, body: Some(body), key, may }).await
}

/// Some products, each once.
fn choose(world: &World, random: &mut Random) -> Vec<i64> {
    let n = u32::try_from(world.products.len()).unwrap_or(u32::MAX);
    let mut chosen: Vec<i64> = (0..random.between(1, 3)).map(|_| world.products[random.popular(n) as usize]).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

async fn buy_at_till(client: &Client, world: &World, random: &mut Random) -> Option<()> {
    let till = random.pick(&world.tills);
    let lines: Vec<Value> = choose(world, random)
        .into_iter()
        .map(|product| json!({"product_id": product, "quantity": random.between(1, 2)}))
        .collect();
    let body = json!({"store_id": till.store, "register_id": till.register, "lines": lines});
    let (status, sale) = post(client, "sale", As::Pos, "/retail/api/v1/sales", body, &[409]).await?;
    if status == 409 {
        return restock(client, &sale, till.location).await;
    }
    let (id, product) = (sale["id"].as_i64()?, sale["lines"][0]["product_id"].as_i64()?);
    match random.between(0, 99) {
        0..5 => bring_back(client, till, id, product).await,
        5..7 => {
            let path = format!("/retail/api/v1/sales/{id}/void");
            post(client, "void", As::Pos, &path, json!({}), &[409]).await.map(|_| ())
        }
        _ => Some(()),
    }
}

async fn bring_back(client: &Client, till: &Till, sale: i64, product: i64) -> Option<()> {
    let path = format!("/retail/api/v1/sales/{sale}/returns");
    let body = json!({"register_id": till.register, "lines": [{"product_id": product, "quantity": 1}]});
    post(client, "return", As::Pos, &path, body, &[409]).await.map(|_| ())
}

async fn shop_online(client: &Client, world: &World, random: &mut Random) -> Option<()> {
    get(client, "browse", As::Storefront, "/inventory/api/v1/products?limit=50").await?;
    let chosen = choose(world, random);
    get(client, "look at a product", As::Storefront, &format!("/inventory/api/v1/products/{}", chosen[0])).await?;
    // Half of the visitors only look.
    if random.chance(50) {
        return Some(());
    }
    let name = format!("Visitor {}", random.between(1, 1_000_000));
    let body = json!({"name": name, "email": format!("{}@example.com", Uuid::new_v4().simple()), "country": "CA"});
    let (_, customer) = post(client, "sign up", As::Storefront, "/ecommerce/api/v1/customers", body, &[]).await?;
    let body = json!({"customer_id": customer["id"].as_i64()?});
    let (_, cart) = post(client, "open a cart", As::Storefront, "/ecommerce/api/v1/carts", body, &[]).await?;
    let cart = cart["id"].as_i64()?;
    for product in chosen {
        let path = format!("/ecommerce/api/v1/carts/{cart}/items");
        let body = json!({"product_id": product, "quantity": random.between(1, 2)});
        post(client, "fill the cart", As::Storefront, &path, body, &[409]).await?;
    }
    // One in five thinks better of it: carts are abandoned.
    if random.chance(20) {
        return Some(());
    }
    let path = format!("/ecommerce/api/v1/carts/{cart}/checkout");
    let (status, order) = post(client, "checkout", As::Storefront, &path, json!({}), &[409]).await?;
    if status == 409 {
        return restock(client, &order, world.warehouse).await;
    }
    let id = order["id"].as_i64()?;
    let path = format!("/ecommerce/api/v1/orders/{id}/payment");
    post(client, "pay", As::Storefront, &path, json!({"payment_status": "paid"}), &[409]).await?;
    get(client, "look at the order", As::Storefront, &format!("/ecommerce/api/v1/orders/{id}")).await.map(|_| ())
}

/// The clerk hears which shelf is empty and fills it.
async fn restock(client: &Client, refusal: &Value, location: Option<i64>) -> Option<()> {
    let lines: Vec<Value> = refusal["short"]
        .as_array()?
        .iter()
        .filter_map(|short| Some(json!({"product_id": short["product_id"].as_i64()?, "quantity": DELIVERY})))
        .collect();
    let body = json!({
        "reference": format!("goods-in-{}", Uuid::new_v4()),
        "reason": "replenishment",
        "location_id": location?,
        "occurred_at": chrono::Utc::now().to_rfc3339(),
        "time_zone": "UTC",
        "lines": lines,
    });
    post(client, "restock", As::Backoffice, "/inventory/api/v1/stock-movements", body, &[]).await.map(|_| ())
}

/// The back office looks at what came in, in each domain; none of it needs another service.
async fn look_up(client: &Client) {
    for (action, path) in [
        ("look up sales", "/retail/api/v1/sales?limit=20"),
        ("look up orders", "/ecommerce/api/v1/orders?limit=20"),
        ("look up what runs out", "/inventory/api/v1/products?below_reorder_point=true&limit=20"),
    ] {
        get(client, action, As::Backoffice, path).await;
    }
}

/// Callers get things wrong; the answer must be the refusal that fits.
async fn mistake(client: &Client, world: &World, random: &mut Random) {
    let product = world.products[0];
    let ask = |who, path, may| Ask { action: "mistake", who, method: Method::GET, path, body: None, key: None, may };
    let asked = match random.between(0, 4) {
        0 => ask(As::Nobody, "/inventory/api/v1/products", &[401]),
        1 => ask(As::Pos, "/ecommerce/api/v1/orders", &[403]),
        2 => ask(As::Storefront, "/inventory/api/v1/products?colour=red", &[400]),
        3 => ask(As::Storefront, "/inventory/api/v1/products/999999999", &[404]),
        _ => {
            let till = random.pick(&world.tills);
            let lines = json!([{"product_id": product, "quantity": -1}]);
            let body = json!({"store_id": till.store, "register_id": till.register, "lines": lines});
            let key = Some(Uuid::new_v4().to_string());
            let sale = ask(As::Pos, "/retail/api/v1/sales", &[422]);
            Ask { method: Method::POST, body: Some(body), key, ..sale }
        }
    };
    if let Some((200..300, _)) = client.ask(&asked).await {
        client.failed(&asked, "accepted".to_owned());
    }
}
