/*---
title = "Days of cover and reorder proposal"
description = "Which products run out before new ones can come, and how many to order. A row for each active product that is at or below its reorder point, whether or not it sold, or sells out within the lead time. Order: days of cover, fewest first and empty last; ties by product no."
section = "Stock"
grain = "snapshot"
lookback = 27
key = ["product_id"]
[params]
as_of = { type = "date", title = "As of", default = "yesterday" }
lead_days = { type = "int", title = "Lead time (days)", default = 14, min = 0, max = 365 }
cover_days = { type = "int", title = "Days to cover", default = 30, min = 1, max = 365 }
[derived]
start = "$as_of - 27d"
[publish]
as_of = "$business_day"
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "Of the product now." }
product = { type = "string", title = "Product", note = "Of the product now." }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "At the end of the day, in all locations: what is there now, less what moved since." }
sold = { type = "int64", title = "Sold in 28 days", unit = "pieces", note = "Less returned, in all channels, in the 28 days up to the day." }
days_of_cover = { type = "float", title = "Days of cover", unit = "days", note = "On hand by the pieces sold per day; empty where nothing sold." }
propose = { type = "int64", title = "Order", unit = "pieces", note = "What the lead time and the days to cover will sell at the present speed, rounded up, but no less than the reorder point; less what is on hand." }
value = { type = "money", title = "Value at cost", note = "What is proposed, at today's cost." }
[chart]
kind = "bar"
x = "product"
y = "propose"
---*/
WITH sold AS (
    SELECT product_id, SUM(pieces) AS sold
    FROM product_days
    WHERE business_day BETWEEN $start AND $as_of
    GROUP BY product_id
),
held AS (
    SELECT product_id, SUM(on_hand) AS on_hand FROM stock GROUP BY product_id
),
moved AS (
    SELECT product_id AS moved_product, SUM(quantity) AS moved
    FROM stock_movements
    WHERE business_day > $as_of
    GROUP BY product_id
),
needs AS (
    SELECT p.product_id AS product_id, p.sku AS sku, p.name AS product, COALESCE(h.on_hand, 0) - COALESCE(m.moved, 0) AS on_hand, COALESCE(s.sold, 0) AS sold,
           p.reorder_point AS reorder_point, p.unit_cost_cents AS unit_cost_cents
    FROM products AS p
    LEFT JOIN held AS h ON h.product_id = p.product_id
    LEFT JOIN moved AS m ON m.moved_product = p.product_id
    LEFT JOIN sold AS s ON s.product_id = p.product_id
    WHERE p.active
),
wanted AS (
    SELECT product_id, sku, product, on_hand, sold, unit_cost_cents, reorder_point,
           CASE WHEN sold > 0 THEN CAST(CEIL(sold * ($lead_days + $cover_days) / 28.0) AS BIGINT) ELSE 0 END AS demand
    FROM needs
    WHERE on_hand <= reorder_point OR (sold > 0 AND on_hand * 28 <= sold * $lead_days)
),
missing AS (
    SELECT product_id, sku, product, on_hand, sold, unit_cost_cents,
           CASE WHEN demand > reorder_point THEN demand - on_hand ELSE reorder_point - on_hand END AS short
    FROM wanted
),
proposed AS (
    SELECT product_id, sku, product, on_hand, sold, unit_cost_cents, CASE WHEN short > 0 THEN short ELSE 0 END AS propose,
           CASE WHEN sold > 0 THEN on_hand * 28.0 / sold END AS days_of_cover
    FROM missing
)
SELECT product_id, sku, product, on_hand, sold, days_of_cover, propose, propose * unit_cost_cents AS value
FROM proposed
ORDER BY COALESCE(days_of_cover, 1000000000000.0), product_id
