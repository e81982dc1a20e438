//! What ecommerce tells readers of its change feed. Personal data stays home.

use kit::feed::{Column, Dataset, Lines, Type};

const fn column(name: &'static str, ty: Type, sql: &'static str) -> Column {
    Column::new(name, ty, sql)
}

/// Customers without what would identify them, orders, their lines with all that reports need, and carts.
pub static DATASETS: &[Dataset] = &[
    Dataset {
        name: "customers",
        version: 1,
        from: "customers c",
        lines: None,
        xid: "c.change_xid",
        key: &["customer_id"],
        columns: &[
            column("customer_id", Type::Int64, "c.id"),
            column("city", Type::String, "c.city"),
            column("country", Type::String, "c.country"),
            column("signup_day", Type::Date, "c.signup_day"),
        ],
        deleted: "c.deleted",
    },
    Dataset {
        name: "orders",
        version: 1,
        from: "orders o",
        lines: None,
        xid: "o.change_xid",
        key: &["order_id"],
        columns: &[
            column("order_id", Type::Int64, "o.id"),
            column("reference", Type::String, "o.reference"),
            column("customer_id", Type::Int64, "o.customer_id"),
            column("status", Type::String, "o.status"),
            column("payment_status", Type::String, "o.payment_status"),
            column("occurred_at", Type::Timestamp, "o.occurred_at"),
            column("time_zone", Type::String, "o.time_zone"),
            column("confirmed_at", Type::Timestamp, "o.confirmed_at"),
            column("shipped_at", Type::Timestamp, "o.shipped_at"),
            column("delivered_at", Type::Timestamp, "o.delivered_at"),
            column("cancelled_at", Type::Timestamp, "o.cancelled_at"),
            column("total_cents", Type::Money, "o.total_cents"),
            column("imported", Type::Bool, "o.imported"),
        ],
        deleted: "o.deleted",
    },
    Dataset {
        name: "order_lines",
        version: 1,
        from: "orders o",
        lines: Some(Lines { from: "order_lines l", of: "l.order_id = o.id" }),
        xid: "o.change_xid",
        key: &["order_id", "line_no"],
        columns: &[
            column("order_id", Type::Int64, "o.id"),
            column("line_no", Type::Int32, "l.line_no"),
            column("reference", Type::String, "o.reference"),
            column("customer_id", Type::Int64, "o.customer_id"),
            column("status", Type::String, "o.status"),
            column("payment_status", Type::String, "o.payment_status"),
            column("occurred_at", Type::Timestamp, "o.occurred_at"),
            column("time_zone", Type::String, "o.time_zone"),
            column("product_id", Type::Int64, "l.product_id"),
            column("sku", Type::String, "l.sku"),
            column("product_name", Type::String, "l.product_name"),
            column("category", Type::String, "l.category"),
            column("quantity", Type::Int64, "l.quantity"),
            column("unit_price_cents", Type::Money, "l.unit_price_cents"),
            column("unit_cost_cents", Type::Money, "l.unit_cost_cents"),
            column("discount_cents", Type::Money, "l.discount_cents"),
            column("net_cents", Type::Money, "l.net_cents"),
            column("channel", Type::String, "'online'::text"),
            column("imported", Type::Bool, "o.imported"),
        ],
        deleted: "o.deleted",
    },
    Dataset {
        name: "carts",
        version: 1,
        from: "carts c",
        lines: None,
        xid: "c.change_xid",
        key: &["cart_id"],
        columns: &[
            column("cart_id", Type::Int64, "c.id"),
            column("customer_id", Type::Int64, "c.customer_id"),
            column("status", Type::String, "c.status"),
            column("created_at", Type::Timestamp, "c.created_at"),
            column("updated_at", Type::Timestamp, "c.updated_at"),
            column("item_count", Type::Int64, "c.item_count"),
            column("total_cents", Type::Money, "c.total_cents"),
            column("order_id", Type::Int64, "c.order_id"),
        ],
        deleted: "c.deleted",
    },
];
