//! Tills and shoppers who never give up on a request, and remember what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Api, Reply, Stack, wait_until};
use uuid::Uuid;

use crate::shop::Shop;

/// What clients were told: by key, each decision they ever heard (`201` or `409`) with the document's id.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub sales: BTreeMap<String, Vec<(u16, i64)>>,
    pub orders: BTreeMap<String, Vec<(u16, i64)>>,
}

impl Memory {
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.sales.extend(other.sales);
        self.orders.extend(other.orders);
        self
    }
}

/// All clients together.
pub(crate) struct Crowd {
    pos: Api,
    storefront: Api,
    store_id: i64,
    register_id: i64,
    products: Vec<i64>,
    /// Documents decided, and requests tried, so far.
    decided: AtomicU64,
    tried: AtomicU64,
    stopping: AtomicBool,
}

impl Crowd {
    pub(crate) fn new(stack: &Stack, shop: &Shop) -> Self {
        Self {
            pos: stack.api("pos"),
            storefront: stack.api("storefront"),
            store_id: shop.store_id,
            register_id: shop.register_id,
            products: shop.products.clone(),
            decided: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits until this many more documents were decided.
    pub(crate) async fn after(&self, documents: u64) {
        self.count_up(&self.decided, documents).await;
    }

    /// Waits until this many more requests were tried.
    pub(crate) async fn after_tries(&self, requests: u64) {
        self.count_up(&self.tried, requests).await;
    }

    async fn count_up(&self, counter: &AtomicU64, more: u64) {
        let goal = counter.load(Ordering::Relaxed) + more;
        wait_until("clients to go on", Duration::from_secs(120), async || {
            (counter.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// One client's day.
    pub(crate) async fn work(&self, seed: u64, number: u64) -> Memory {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number + 1));
        let mut memory = Memory::default();
        while !self.stopping.load(Ordering::Relaxed) {
            match random.random_range(0..3) {
                0 => self.shop_online(&mut random, &mut memory).await,
                _ => self.sell(&mut random, &mut memory).await,
            }
        }
        memory
    }

    async fn sell(&self, random: &mut StdRng, memory: &mut Memory) {
        let lines: Vec<Value> = (0..random.random_range(1..4))
            .map(|_| json!({"product_id": self.products[random.random_range(0..self.products.len())], "quantity": random.random_range(1..4)}))
            .collect();
        let body = json!({"store_id": self.store_id, "register_id": self.register_id, "lines": lines});
        let key = Uuid::new_v4().to_string();
        let heard = memory.sales.entry(key.clone()).or_default();
        let Some(reply) = self.insist(&self.pos, "/retail/api/v1/sales", &key, &body, heard, "sale_id", random).await
        else {
            return;
        };
        if reply.status != 201 {
            return;
        }
        let sale = reply.json();
        let path = format!("/retail/api/v1/sales/{}", sale["id"]);
        let key = Uuid::new_v4().to_string();
        match random.random_range(0..4) {
            0 => drop(
                self.insist(&self.pos, &format!("{path}/void"), &key, &json!({}), &mut Vec::new(), "sale_id", random)
                    .await,
            ),
            1 => {
                let body = json!({"lines": [{"product_id": sale["lines"][0]["product_id"], "quantity": 1}]});
                let heard = memory.sales.entry(key.clone()).or_default();
                self.insist(&self.pos, &format!("{path}/returns"), &key, &body, heard, "sale_id", random).await;
            }
            _ => {}
        }
    }

    async fn shop_online(&self, random: &mut StdRng, memory: &mut Memory) {
        let key = || Uuid::new_v4().to_string();
        let customer = json!({"name": "Ann Other"});
        let Some(customer) = self.insist_quietly("/ecommerce/api/v1/customers", &key(), &customer, random).await else {
            return;
        };
        let cart = json!({"customer_id": customer["id"]});
        let Some(cart) = self.insist_quietly("/ecommerce/api/v1/carts", &key(), &cart, random).await else { return };
        let path = format!("/ecommerce/api/v1/carts/{}", cart["id"]);
        let item = json!({"product_id": self.products[random.random_range(0..self.products.len())], "quantity": random.random_range(1..4)});
        if self.insist_quietly(&format!("{path}/items"), &key(), &item, random).await.is_none() {
            return;
        }
        let order_key = key();
        let heard = memory.orders.entry(order_key.clone()).or_default();
        let checkout = format!("{path}/checkout");
        let Some(reply) =
            self.insist(&self.storefront, &checkout, &order_key, &json!({}), heard, "order_id", random).await
        else {
            return;
        };
        if reply.status == 201 && random.random_range(0..3) == 0 {
            let path = format!("/ecommerce/api/v1/orders/{}/status", reply.json()["id"]);
            self.insist_quietly(&path, &key(), &json!({"status": "cancelled"}), random).await;
        }
    }

    async fn insist_quietly(&self, path: &str, key: &str, body: &Value, random: &mut StdRng) -> Option<Value> {
        let reply = self.insist(&self.storefront, path, key, body, &mut Vec::new(), "order_id", random).await?;
        (reply.status < 300).then(|| reply.json())
    }

    /// Sends one request under one key until it is decided, sometimes twice at once and sometimes once too often; a
    /// client may also walk away. Notes every decision heard, with the id that the answer or its problem names.
    async fn insist(
        &self,
        api: &Api,
        path: &str,
        key: &str,
        body: &Value,
        heard: &mut Vec<(u16, i64)>,
        id_member: &str,
        random: &mut StdRng,
    ) -> Option<Reply> {
        let patience = random.random_range(1..40);
        for _ in 0..patience {
            self.tried.fetch_add(1, Ordering::Relaxed);
            let send = || api.call(Method::POST, path).header("Idempotency-Key", key).json(body).try_send();
            let replies = if random.random_range(0..4) == 0 {
                let (one, other) = tokio::join!(send(), send());
                vec![one, other]
            } else {
                vec![send().await]
            };
            let mut decision = None;
            for reply in replies.into_iter().flatten() {
                let decided = matches!(reply.status, 200 | 201 | 409);
                assert!(
                    decided || matches!(reply.status, 202 | 502 | 503 | 504),
                    "{path} answered {}: {}",
                    reply.status,
                    reply.text()
                );
                if decided {
                    let answer = reply.json();
                    if let Some(id) = answer["id"].as_i64().or(answer[id_member].as_i64()) {
                        heard.push((reply.status, id));
                    }
                    decision = Some(reply);
                }
            }
            if decision.is_some() {
                self.decided.fetch_add(1, Ordering::Relaxed);
                return decision;
            }
            // Down: try again when something answers, or the day is over.
            wait_until("the gateway", Duration::from_secs(120), async || {
                self.tried.fetch_add(1, Ordering::Relaxed);
                let probe = self.pos.call(Method::GET, "/retail/api/v1/stores?limit=1").try_send().await;
                probe.is_ok().then_some(())
            })
            .await;
        }
        None
    }
}
