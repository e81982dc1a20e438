//! The datasets of retail's change feed.

use kit::feed::{Column, Dataset, Lines, Type};

const fn column(name: &'static str, ty: Type, sql: &'static str) -> Column {
    Column::new(name, ty, sql)
}

/// Stores, registers, and the lines of sales and returns with all that reports need of their header.
pub static DATASETS: &[Dataset] = &[
    Dataset {
        name: "stores",
        version: 1,
        from: "stores s",
        lines: None,
        xid: "s.change_xid",
        key: &["store_id"],
        columns: &[
            column("store_id", Type::Int64, "s.id"),
            column("code", Type::String, "s.code"),
            column("name", Type::String, "s.name"),
            column("city", Type::String, "s.city"),
            column("time_zone", Type::String, "s.time_zone"),
            column("active", Type::Bool, "s.active"),
            column("opened_on", Type::Date, "s.opened_on"),
            column("closed_on", Type::Date, "s.closed_on"),
        ],
        deleted: "s.deleted",
    },
    Dataset {
        name: "registers",
        version: 1,
        from: "registers r",
        lines: None,
        xid: "r.change_xid",
        key: &["register_id"],
        columns: &[
            column("register_id", Type::Int64, "r.id"),
            column("store_id", Type::Int64, "r.store_id"),
            column("number", Type::Int32, "r.number"),
            column("active", Type::Bool, "r.active"),
        ],
        deleted: "r.deleted",
    },
    Dataset {
        name: "sale_lines",
        version: 1,
        from: "sales s",
        lines: Some(Lines { from: "sale_lines l", of: "l.sale_id = s.id" }),
        xid: "s.change_xid",
        key: &["sale_id", "line_no"],
        columns: &[
            column("sale_id", Type::Int64, "s.id"),
            column("line_no", Type::Int32, "l.line_no"),
            column("receipt_number", Type::String, "s.receipt_number"),
            column("reference", Type::String, "s.reference"),
            column("kind", Type::String, "s.kind"),
            column("status", Type::String, "s.status"),
            column("store_id", Type::Int64, "s.store_id"),
            column("register_id", Type::Int64, "s.register_id"),
            column("occurred_at", Type::Timestamp, "s.occurred_at"),
            column("time_zone", Type::String, "s.time_zone"),
            column("product_id", Type::Int64, "l.product_id"),
            column("sku", Type::String, "l.sku"),
            column("product_name", Type::String, "l.product_name"),
            column("category", Type::String, "l.category"),
            column("quantity", Type::Int64, "l.quantity"),
            column("unit_price_cents", Type::Money, "l.unit_price_cents"),
            column("unit_cost_cents", Type::Money, "l.unit_cost_cents"),
            column("discount_cents", Type::Money, "l.discount_cents"),
            column("net_cents", Type::Money, "l.net_cents"),
            column("channel", Type::String, "'store'::text"),
            column("imported", Type::Bool, "s.imported"),
            column("original_sale_id", Type::Int64, "s.original_sale_id"),
            column("list_price_cents", Type::Money, "l.list_price_cents"),
            column("local_time", Type::Local, "s.local_time"),
        ],
        deleted: "s.deleted",
    },
];
