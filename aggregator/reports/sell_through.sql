/*---
title = "Sell-through"
description = "Of the pieces that were there to sell in the last weeks, how many were sold: units sold by units sold plus units left at the end. A row for each product whose pieces sold or on hand are not zero. Order: sold, most first; ties by product no."
section = "Products"
grain = "snapshot"
lookback = 27
key = ["product_id"]
[params]
as_of = { type = "date", title = "As of", default = "yesterday" }
[derived]
start = "$as_of - 27d"
[publish]
as_of = "$business_day"
[columns]
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU", note = "Of the product now." }
product = { type = "string", title = "Product", note = "Of the product now." }
category = { type = "string", title = "Category", note = "Of the product now; no text where it has none." }
sold = { type = "int64", title = "Sold", unit = "pieces", note = "Less returned, in the 28 days up to the day." }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "At the end of the day, in all locations: what is there now, less what moved since." }
sell_through = { type = "float", title = "Sell-through", unit = "%", note = "Sold by sold plus on hand; empty where the two together are not above zero." }
[chart]
kind = "bar"
x = "product"
y = "sell_through"
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
both_sides AS (
    SELECT p.product_id AS product_id, p.sku AS sku, p.name AS product, COALESCE(c.name, '') AS category,
           COALESCE(s.sold, 0) AS sold, COALESCE(h.on_hand, 0) - COALESCE(m.moved, 0) AS on_hand
    FROM products AS p
    LEFT JOIN categories AS c ON c.category_id = p.category_id
    LEFT JOIN sold AS s ON s.product_id = p.product_id
    LEFT JOIN held AS h ON h.product_id = p.product_id
    LEFT JOIN moved AS m ON m.moved_product = p.product_id
)
SELECT product_id, sku, product, category, sold, on_hand,
       CASE WHEN sold + on_hand > 0 THEN sold * 100.0 / (sold + on_hand) END AS sell_through
FROM both_sides
WHERE sold <> 0 OR on_hand <> 0
ORDER BY sold DESC, product_id
