/*---
title = "Orders by day and stage"
description = "One row per day, status and stages reached (confirmed, shipped, delivered) with an order: orders and their totals."
keep = "day"
key = ["business_day", "status", "is_confirmed", "is_shipped", "is_delivered"]
---*/
SELECT business_day, status, confirmed_at IS NOT NULL AS is_confirmed, shipped_at IS NOT NULL AS is_shipped,
       delivered_at IS NOT NULL AS is_delivered, COUNT(*) AS orders, SUM(total_cents) AS total_cents
FROM orders
GROUP BY business_day, status, is_confirmed, is_shipped, is_delivered
