/*---
title = "Days of cover and reorder proposal"
description = "Which products run out before new ones can come, and how many to order."
section = "Stock"
grain = "snapshot"
key = ["product_id"]
[params]
as_of = { type = "date", title = "As of", default = "yesterday" }
lead_days = { type = "int", title = "Lead time (days)", default = 14, min = 0, max = 365 }
cover_days = { type = "int", title = "Days to cover", default = 30, min = 1, max = 365 }
[derived]
start = "$as_of - 27d"
[days]
from = "$as_of - 27d"
to = "$as_of"
[publish]
as_of = "$business_day"
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "In all locations." }
sold = { type = "int64", title = "Sold in 28 days", unit = "pieces", note = "Less returned, in all channels." }
days_of_cover = { type = "float", title = "Days of cover", unit = "days" }
propose = { type = "int64", title = "Order", unit = "pieces", note = "What the lead time and the days to cover will sell at the present speed, less what is on hand; rounded up." }
value = { type = "money", title = "Value at cost" }
[chart]
kind = "bar"
x = "product"
y = "propose"
---*/
WITH sold AS (
    SELECT product_id, SUM(quantity) AS sold
    FROM sales
    WHERE business_day BETWEEN $start AND $as_of
    GROUP BY product_id
),
held AS (
    SELECT product_id, SUM(on_hand) AS on_hand FROM stock GROUP BY product_id
),
needs AS (
    SELECT p.product_id AS product_id, p.sku AS sku, p.name AS product, COALESCE(h.on_hand, 0) AS on_hand, COALESCE(s.sold, 0) AS sold,
           p.reorder_point AS reorder_point, p.unit_cost_cents AS unit_cost_cents
    FROM products AS p
    LEFT JOIN held AS h ON h.product_id = p.product_id
    LEFT JOIN sold AS s ON s.product_id = p.product_id
    WHERE p.active
),
proposed AS (
    SELECT product_id, sku, product, on_hand, sold, unit_cost_cents,
           CAST(CEIL(sold * ($lead_days + $cover_days) / 28.0) AS BIGINT) - on_hand AS propose
    FROM needs
    WHERE sold > 0 AND (on_hand <= reorder_point OR on_hand * 28 <= sold * $lead_days)
)
SELECT product_id, sku, product, on_hand, sold, on_hand * 28.0 / sold AS days_of_cover, propose, propose * unit_cost_cents AS value
FROM proposed
WHERE propose > 0
ORDER BY days_of_cover, product_id
