/*---
title = "Order funnel"
description = "How far the online orders of the period have come: placed, confirmed, shipped, delivered, or cancelled. A row for each stage, also where no order has reached it. Order: step."
section = "Customers"
grain = "day"
key = ["step"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
step = { type = "int32", title = "Step", note = "1 to 5, in the order of the stages." }
stage = { type = "string", title = "Stage", note = "placed, confirmed, shipped, delivered or cancelled." }
orders = { type = "int64", title = "Orders", note = "Placed in the period, that have reached the stage so far." }
value = { type = "money", title = "Value", note = "Totals of those orders." }
share = { type = "float", title = "Share of placed", unit = "%", note = "Orders by those placed; empty where none was placed." }
[chart]
kind = "bar"
x = "stage"
y = "orders"
---*/
WITH placed AS (
    SELECT status, is_confirmed, is_shipped, is_delivered, orders, total_cents FROM order_days WHERE business_day BETWEEN $from AND $to
),
stages AS (
    SELECT CAST(1 AS INTEGER) AS step, 'placed' AS stage, COALESCE(SUM(orders), 0) AS orders, COALESCE(SUM(total_cents), 0) AS value FROM placed
    UNION ALL
    SELECT CAST(2 AS INTEGER) AS step, 'confirmed' AS stage, COALESCE(SUM(orders), 0) AS orders, COALESCE(SUM(total_cents), 0) AS value FROM placed WHERE is_confirmed
    UNION ALL
    SELECT CAST(3 AS INTEGER) AS step, 'shipped' AS stage, COALESCE(SUM(orders), 0) AS orders, COALESCE(SUM(total_cents), 0) AS value FROM placed WHERE is_shipped
    UNION ALL
    SELECT CAST(4 AS INTEGER) AS step, 'delivered' AS stage, COALESCE(SUM(orders), 0) AS orders, COALESCE(SUM(total_cents), 0) AS value FROM placed WHERE is_delivered
    UNION ALL
    SELECT CAST(5 AS INTEGER) AS step, 'cancelled' AS stage, COALESCE(SUM(orders), 0) AS orders, COALESCE(SUM(total_cents), 0) AS value FROM placed WHERE status = 'cancelled'
),
total AS (
    SELECT COALESCE(SUM(orders), 0) AS number FROM placed
)
SELECT s.step AS step, s.stage AS stage, s.orders AS orders, s.value AS value, CASE WHEN t.number > 0 THEN s.orders * 100.0 / t.number END AS share
FROM stages AS s
CROSS JOIN total AS t
ORDER BY step
