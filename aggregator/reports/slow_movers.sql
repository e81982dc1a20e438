/*---
title = "Slow movers"
description = "Stock that does not move: products on hand without a sale for a while, and the money that lies in them. A row for each product with stock at the end of the day and no sale since. Order: value at cost, most first; ties by product no."
section = "Stock"
grain = "snapshot"
lookback = 364
key = ["product_id"]
[params]
as_of = { type = "date", title = "As of", default = "yesterday" }
since = { type = "date", title = "Without a sale since", default = "$as_of - 27d" }
[derived]
year_start = "$as_of - 364d"
[publish]
as_of = "$business_day"
since = "$business_day - 27d"
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "Of the product now." }
product = { type = "string", title = "Product", note = "Of the product now." }
category = { type = "string", title = "Category", note = "Of the product now; no text where it has none." }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "At the end of the day, in all locations: what is there now, less what moved since." }
value = { type = "money", title = "Value at cost", note = "On hand at today's cost." }
last_sold = { type = "date", title = "Last sold", note = "Latest day of a sale in the year up to the day; empty where there is none." }
[chart]
kind = "bar"
x = "product"
y = "value"
---*/
WITH last_sale AS (
    SELECT product_id, MAX(business_day) AS last_sold
    FROM product_days
    WHERE sold_lines > 0 AND business_day BETWEEN $year_start AND $as_of
    GROUP BY product_id
),
held AS (
    SELECT product_id, SUM(on_hand) AS on_hand_now FROM stock GROUP BY product_id
),
moved AS (
    SELECT product_id AS moved_product, SUM(quantity) AS moved
    FROM stock_movements
    WHERE business_day > $as_of
    GROUP BY product_id
),
day_end AS (
    SELECT p.product_id AS product_id, p.sku AS sku, p.name AS product, COALESCE(c.name, '') AS category, p.unit_cost_cents AS unit_cost_cents,
           h.on_hand_now - COALESCE(m.moved, 0) AS on_hand
    FROM products AS p
    JOIN held AS h ON h.product_id = p.product_id
    LEFT JOIN categories AS c ON c.category_id = p.category_id
    LEFT JOIN moved AS m ON m.moved_product = p.product_id
)
SELECT h.product_id AS product_id, h.sku AS sku, h.product AS product, h.category AS category, h.on_hand AS on_hand,
       h.on_hand * h.unit_cost_cents AS value, l.last_sold AS last_sold
FROM day_end AS h
LEFT JOIN last_sale AS l ON l.product_id = h.product_id
WHERE h.on_hand > 0 AND (l.last_sold IS NULL OR l.last_sold < $since)
ORDER BY value DESC, product_id
