//! The metrics of ecommerce: names, units, meanings. What Inventory answered to orders is counted by `kit`.

use metrics::{Unit, counter, describe_counter};

/// Orders placed at checkout; imported history is not counted.
const ORDERS: &str = "ecommerce_orders_total";
/// Steps that people made an order take, by `status`; repeats are not counted again.
const STEPS: &str = "ecommerce_order_steps_total";
/// Carts marked as abandoned.
const ABANDONED: &str = "ecommerce_carts_abandoned_total";

/// Tells the recorder what they mean.
pub fn describe() {
    describe_counter!(ORDERS, Unit::Count, "Orders placed at checkout");
    describe_counter!(STEPS, Unit::Count, "Steps that people made an order take, by status");
    describe_counter!(ABANDONED, Unit::Count, "Carts marked as abandoned");
    counter!(ORDERS).increment(0);
    counter!(STEPS, "status" => "cancelled").increment(0);
    counter!(ABANDONED).increment(0);
}

pub(crate) fn order() {
    counter!(ORDERS).increment(1);
}

pub(crate) fn step(status: &'static str) {
    counter!(STEPS, "status" => status).increment(1);
}

pub(crate) fn abandoned(carts: u64) {
    counter!(ABANDONED).increment(carts);
}
