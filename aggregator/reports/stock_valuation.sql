/*---
title = "Stock valuation"
description = "What lies in each location, by category, at cost and at price. A row for each location and category with a piece on hand now. Order: location, then category."
section = "Stock"
grain = "snapshot"
key = ["location", "category"]
[publish]
[columns]
location = { type = "string", title = "Location" }
category = { type = "string", title = "Category", note = "Of the products now; no text where they have none." }
products = { type = "int64", title = "Products", note = "With any piece on hand." }
on_hand = { type = "int64", title = "On hand", unit = "pieces", note = "Now." }
value_at_cost = { type = "money", title = "Value at cost", note = "On hand at today's cost." }
value_at_price = { type = "money", title = "Value at price", note = "On hand at today's price." }
[chart]
kind = "bar"
x = "location"
y = "value_at_cost"
series = "category"
---*/
WITH cells AS (
    SELECT location, COALESCE(category, '') AS category, on_hand, on_hand * unit_cost_cents AS cost, on_hand * unit_price_cents AS price
    FROM stock_now
    WHERE on_hand <> 0
)
SELECT location, category, COUNT(*) AS products, SUM(on_hand) AS on_hand, SUM(cost) AS value_at_cost, SUM(price) AS value_at_price
FROM cells
GROUP BY location, category
ORDER BY location, category
