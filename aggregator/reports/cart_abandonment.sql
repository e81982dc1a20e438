/*---
title = "Cart abandonment"
description = "Online carts that became orders, were left, or are still open, and the money in them. A row for each status that a cart has now. Order: status."
section = "Customers"
grain = "snapshot"
key = ["status"]
[publish]
[columns]
status = { type = "string", title = "Status", note = "checked_out, abandoned or open." }
carts = { type = "int64", title = "Carts", note = "With this status now, whenever they were begun." }
share = { type = "float", title = "Share", unit = "%", note = "Of all carts." }
items = { type = "int64", title = "Items", note = "Pieces in these carts." }
value = { type = "money", title = "Value", note = "What these carts come to." }
average_value = { type = "money", title = "Average cart", note = "Value by carts; rounded half to even." }
[chart]
kind = "pie"
x = "status"
y = "carts"
---*/
WITH by_status AS (
    SELECT status, COUNT(*) AS carts, SUM(item_count) AS items, SUM(total_cents) AS value FROM carts GROUP BY status
),
total AS (
    SELECT SUM(carts) AS number FROM by_status
)
SELECT b.status AS status, b.carts AS carts, b.carts * 100.0 / t.number AS share, b.items AS items, b.value AS value, b.value / b.carts AS average_value
FROM by_status AS b
CROSS JOIN total AS t
ORDER BY status
