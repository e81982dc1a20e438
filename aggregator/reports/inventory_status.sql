/*---
title = "Inventory status"
description = "Every product at every location: on hand, sales speed, days of cover, and whether it is out, low or over-stocked. A row for each active product that the location keeps, and for each other of which it has stock at the end of the day. Order: location, then product no."
section = "Stock"
grain = "snapshot"
lookback = 27
key = ["location", "product_id"]
[params]
as_of = { type = "date", title = "As of", default = "yesterday" }
over_days = { type = "int", title = "Over-stocked above (days)", default = 120, min = 1, max = 3650 }
[derived]
start = "$as_of - 27d"
[publish]
as_of = "$business_day"
[columns]
location = { type = "string", title = "Location" }
location_name = { type = "string", title = "Location name" }
product_id = { type = "int64", title = "Product no." }
sku = { type = "string", title = "SKU" }
product = { type = "string", title = "Product" }
category = { type = "string", title = "Category" }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "At the end of the day: what is there now, less what moved since." }
reorder_point = { type = "int64", title = "Reorder point", unit = "pieces" }
sold = { type = "int64", title = "Sold in 28 days", unit = "pieces", note = "Less returned, from this location, up to the day." }
daily_demand = { type = "float", title = "Per day", unit = "pieces", note = "Sold in 28 days by 28." }
days_of_cover = { type = "float", title = "Days of cover", unit = "days", note = "On hand by the pieces sold per day; empty where nothing sold." }
value = { type = "money", title = "Value at cost", note = "On hand at today's cost." }
status = { type = "string", title = "Status", note = "out of stock: none left; low: at or below the reorder point; over-stocked: covers more days than the limit, or does not sell; else in stock." }
[chart]
kind = "bar"
x = "product"
y = "days_of_cover"
---*/
WITH sold AS (
    SELECT product_id, location_id, SUM(pieces) AS sold
    FROM demand
    WHERE business_day BETWEEN $start AND $as_of
    GROUP BY product_id, location_id
),
moved AS (
    SELECT product_id AS moved_product, location_id AS moved_location, SUM(quantity) AS moved
    FROM stock_movements
    WHERE business_day > $as_of
    GROUP BY product_id, location_id
),
held AS (
    SELECT n.location AS location, n.location_name AS location_name, n.product_id AS product_id, n.sku AS sku, n.product AS product,
           COALESCE(n.category, '') AS category, n.on_hand - COALESCE(m.moved, 0) AS on_hand, n.reorder_point AS reorder_point,
           COALESCE(s.sold, 0) AS sold, n.unit_cost_cents AS unit_cost_cents
    FROM stock_now AS n
    LEFT JOIN sold AS s ON s.product_id = n.product_id AND s.location_id = n.location_id
    LEFT JOIN moved AS m ON m.moved_product = n.product_id AND m.moved_location = n.location_id
    WHERE n.active OR n.on_hand - COALESCE(m.moved, 0) <> 0
)
SELECT location, location_name, product_id, sku, product, category, on_hand, reorder_point, sold, sold / 28.0 AS daily_demand,
       CASE WHEN sold > 0 THEN on_hand * 28.0 / sold END AS days_of_cover, on_hand * unit_cost_cents AS value,
       CASE WHEN on_hand <= 0 THEN 'out of stock'
            WHEN on_hand <= reorder_point THEN 'low'
            WHEN sold <= 0 OR on_hand * 28 > sold * $over_days THEN 'over-stocked'
            ELSE 'in stock' END AS status
FROM held
ORDER BY location, product_id
